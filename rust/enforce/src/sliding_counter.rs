//! The sliding counter: this window's count and, of the one before, the share that still lies
//! within W when its admissions are taken as evenly spread. The weight is exact:
//! `previous·(W − e) + current·W ≤ limit·W` at every admission, e after a multiple of W.
//!
//! The window is kept by its index modulo 2^(63 − 2C), C the bits of the limit. A key that comes
//! back after exactly so many windows finds its old counts: stricter, never looser.

use crate::answer::Survey;
use crate::kernel::{Figures, Kernel, Rule, STATE_BITS};
use crate::quota::{Algorithm, Parameter, Spec};

impl Algorithm {
    /// A fixed window and the share of the one before that still lies within W.
    pub const SLIDING_COUNTER: Self = Self(&Spec {
        name: "sliding-counter",
        max_limit: MAX_LIMIT,
        own_burst: false,
        parameter: Parameter::NONE,
        check: |_| Ok(()),
        memory_ns: |quota| 2 * quota.window_ns,
        kernel: Kernel::Word(Rule { take, survey }),
    });
}

/// The largest limit: two counts of 21 bits leave 21 bits of the window's index.
const MAX_LIMIT: u64 = 1 << 20;

/// The counts as of a time, `elapsed` into the window of that index.
struct Counts {
    index: u64,
    elapsed: u64,
    current: u64,
    previous: u64,
}

/// A reading from the window before the counted one was overtaken by the decision that opened it,
/// and counts as of its beginning.
fn counts(figures: &Figures, state: u64, now: u64) -> Counts {
    let (bits, window_ns) = (figures.bits, figures.window_ns);
    let (index, elapsed) = (now / window_ns, now % window_ns);
    let low = (1 << bits) - 1;
    let (current, previous) = (state & low, (state >> bits) & low);
    let mask = (1 << (STATE_BITS - 2 * bits)) - 1;
    let behind = index.wrapping_sub(state >> (2 * bits)) & mask;
    let (index, elapsed, current, previous) = match behind {
        0 => (index, elapsed, current, previous),
        1 => (index, elapsed, 0, current),
        _ if behind == mask && current > 0 => (index + 1, 0, current, previous),
        _ => (index, elapsed, 0, 0),
    };
    Counts {
        index,
        elapsed,
        current,
        previous,
    }
}

/// The rest beside the count, and ⌈previous·(W − e)/W⌉: the share of the window before.
fn free(figures: &Figures, counts: &Counts) -> u64 {
    let (window_ns, left) = (figures.window_ns, figures.window_ns - counts.elapsed);
    let (narrow, wide) = (u64::div_ceil, u128::div_ceil);
    let weight = scaled(counts.previous, left, window_ns, narrow, wide);
    // Below 0 only for the counts of a key that came back as above.
    figures.limit.saturating_sub(weight + counts.current)
}

/// The instant at which `cost` more fit, if nothing else is admitted; `cost` does not fit as of `counts`.
fn available_at(figures: &Figures, counts: &Counts, cost: u64) -> u64 {
    let &Counts { index, current, .. } = counts;
    let (spare, previous, index) = match figures.limit.checked_sub(current + cost) {
        Some(spare) => (spare, counts.previous, index),
        None => (figures.limit - cost, current, index + 1),
    };
    // previous·(W − e) ≤ spare·W from e = W − ⌊spare·W/previous⌋ on.
    let (narrow, wide) = (|a, b| a / b, |a, b| a / b);
    let within = scaled(spare, figures.window_ns, previous, narrow, wide);
    (index + 1) * figures.window_ns - within
}

/// `a·b` divided by `by` in one of two widths: 128 bits are slow and seldom needed.
fn scaled(
    a: u64,
    b: u64,
    by: u64,
    narrow: impl Fn(u64, u64) -> u64,
    wide: impl Fn(u128, u128) -> u128,
) -> u64 {
    match a.checked_mul(b) {
        Some(product) => narrow(product, by),
        None => wide(u128::from(a) * u128::from(b), u128::from(by)) as u64,
    }
}

fn take(figures: &Figures, state: u64, now: u64, cost: u64) -> Option<u64> {
    let (bits, counts) = (figures.bits, counts(figures, state, now));
    let kept = (counts.index << (2 * bits)) & ((1 << STATE_BITS) - 1);
    (cost <= free(figures, &counts))
        .then(|| kept | (counts.previous << bits) | (counts.current + cost))
}

fn survey(figures: &Figures, state: u64, now: u64, cost: u64) -> Survey {
    let counts = counts(figures, state, now);
    let free = free(figures, &counts);
    let windows = match (counts.current, counts.previous) {
        (0, 0) => 0,
        (0, _) => counts.index + 1,
        _ => counts.index + 2,
    };
    Survey {
        free,
        available_at: match cost <= free {
            true => now,
            false => available_at(figures, &counts, cost),
        },
        all_free_at: windows * figures.window_ns,
    }
}
