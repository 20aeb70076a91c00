//! The window of the first hit: a count, and above it the end of the window that is counted.
//!
//! The end is kept in units of 2^max(0, C − 2) ns, C the bits of the limit, rounded up, so that it
//! and the count share a word: a reading and a window are below 2⁶¹ together.

use crate::answer::Survey;
use crate::error::Error;
use crate::kernel::{Figures, Kernel, Rule};
use crate::quota::{Algorithm, MAX_LIMIT, Parameter, Quota, Spec};

/// The share of a window that rounding its end up may add: one part in so many.
const PRECISION: u64 = 1_000;

impl Algorithm {
    /// Windows that begin with an admission.
    pub const FIRST_HIT_WINDOW: Self = Self(&Spec {
        name: "first-hit-window",
        max_limit: MAX_LIMIT,
        own_burst: false,
        parameter: Parameter::NONE,
        check,
        memory_ns: |quota| quota.window_ns,
        kernel: Kernel::Word(Rule { take, survey }),
    });
}

/// Refuses a window that rounding would make noticeably longer.
fn check(quota: &Quota) -> Result<(), Error> {
    let (figures, window_ns) = (quota.figures(), quota.window_ns);
    let unit_ns = 1 << unit_bits(&figures);
    if unit_ns <= 2 || unit_ns * PRECISION <= window_ns {
        return Ok(());
    }
    let limit = quota.limit;
    Err(Error::invalid(
        format!("window_ns {window_ns} is too short to count {limit} in, in steps of {unit_ns} ns"),
        format!("at least {} ns, or a smaller limit", unit_ns * PRECISION),
    ))
}

fn unit_bits(figures: &Figures) -> u32 {
    figures.bits.saturating_sub(2)
}

/// End of the window that is open at `now`, and its count; end of one that would open now.
fn open(figures: &Figures, state: u64, now: u64) -> (u64, u64) {
    let unit = unit_bits(figures);
    let end = (state >> figures.bits) << unit;
    if now < end {
        return (end, state & ((1 << figures.bits) - 1));
    }
    let end = (now + figures.window_ns).next_multiple_of(1 << unit);
    (end, 0)
}

fn take(figures: &Figures, state: u64, now: u64, cost: u64) -> Option<u64> {
    let (end, count) = open(figures, state, now);
    let kept = (end >> unit_bits(figures)) << figures.bits;
    (count + cost <= figures.limit).then_some(kept | (count + cost))
}

fn survey(figures: &Figures, state: u64, now: u64, cost: u64) -> Survey {
    let (end, count) = open(figures, state, now);
    Survey::of_window(figures.limit, count, now, end, cost)
}
