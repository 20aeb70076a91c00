//! The fixed window: a count, and above it the index of the window that is counted.
//!
//! The window is kept by its index modulo 2^(63 − C), C the bits of the limit. A key that comes back
//! after exactly so many windows, some of them 2³³, finds its old count: stricter, never looser.

use crate::answer::Survey;
use crate::kernel::{Figures, Kernel, Rule, STATE_BITS};
use crate::quota::{Algorithm, MAX_LIMIT, Parameter, Spec};

impl Algorithm {
    /// Windows that begin at the multiples of their length.
    pub const FIXED_WINDOW: Self = Self(&Spec {
        name: "fixed-window",
        max_limit: MAX_LIMIT,
        own_burst: false,
        parameter: Parameter::NONE,
        check: |_| Ok(()),
        memory_ns: |quota| quota.window_ns,
        kernel: Kernel::Word(Rule { take, survey }),
    });
}

/// The index of the window that counts at `now`, and its count.
///
/// A reading from the window before the counted one was overtaken by the decision that opened it,
/// and counts there: else the two would empty each other's window in turn.
fn counted(figures: &Figures, state: u64, now: u64) -> (u64, u64) {
    let (bits, index) = (figures.bits, now / figures.window_ns);
    let count = state & ((1 << bits) - 1);
    match (state >> bits).wrapping_sub(index) & ((1 << (STATE_BITS - bits)) - 1) {
        0 => (index, count),
        1 if count > 0 => (index + 1, count),
        _ => (index, 0),
    }
}

fn take(figures: &Figures, state: u64, now: u64, cost: u64) -> Option<u64> {
    let (index, count) = counted(figures, state, now);
    let kept = (index << figures.bits) & ((1 << STATE_BITS) - 1);
    (count + cost <= figures.limit).then_some(kept | (count + cost))
}

fn survey(figures: &Figures, state: u64, now: u64, cost: u64) -> Survey {
    let (index, count) = counted(figures, state, now);
    let end = (index + 1) * figures.window_ns;
    Survey::of_window(figures.limit, count, now, end, cost)
}
