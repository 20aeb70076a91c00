//! The window of the first hit: a count, and above it the end of the window that is counted.

use crate::answer::Survey;
use crate::error::Error;
use crate::kernel::{Kernel, Rule, bits};
use crate::quota::{Algorithm, MAX_LIMIT, Quota, Spec};

/// The share of a window that rounding its end up may add: one part in so many.
const PRECISION: u64 = 1_000;

impl Algorithm {
    /// Windows that begin with an admission.
    pub const FIRST_HIT_WINDOW: Self = Self(&Spec {
        name: "first-hit-window",
        max_limit: MAX_LIMIT,
        own_burst: false,
        check,
        kernel: |quota| Kernel::Word(Box::new(FirstHit::new(quota))),
    });
}

/// `limit` in each window, which an admission opens that finds none.
///
/// The end is kept in units of 2^max(0, C − 2) ns, C the bits of the limit, rounded up, so that it and the count share a
/// word: a reading and a window are below 2⁶¹ together.
#[derive(Debug)]
struct FirstHit {
    limit: u64,
    window_ns: u64,
    bits: u32,
}

/// Refuses a window that rounding would make noticeably longer.
fn check(quota: &Quota) -> Result<(), Error> {
    let Quota {
        limit, window_ns, ..
    } = *quota;
    let unit_ns = 1u64 << unit_bits(limit);
    if unit_ns <= 2 || unit_ns * PRECISION <= window_ns {
        return Ok(());
    }
    Err(Error::invalid(
        format!("window_ns {window_ns} is too short to count {limit} in, in steps of {unit_ns} ns"),
        format!("at least {} ns, or a smaller limit", unit_ns * PRECISION),
    ))
}

fn unit_bits(limit: u64) -> u32 {
    bits(limit).saturating_sub(2)
}

impl FirstHit {
    fn new(quota: &Quota) -> Self {
        Self {
            limit: quota.limit,
            window_ns: quota.window_ns,
            bits: bits(quota.limit),
        }
    }

    /// When the window that is open at `now` ends, and its count; when one opened now would end.
    fn open(&self, state: u64, now: u64) -> (u64, u64) {
        let unit = unit_bits(self.limit);
        let end = (state >> self.bits) << unit;
        if now < end {
            return (end, state & ((1 << self.bits) - 1));
        }
        ((now + self.window_ns).next_multiple_of(1 << unit), 0)
    }
}

impl Rule for FirstHit {
    fn take(&self, state: u64, now: u64, cost: u64) -> Option<u64> {
        let (end, count) = self.open(state, now);
        let kept = (end >> unit_bits(self.limit)) << self.bits;
        (count + cost <= self.limit).then_some(kept | (count + cost))
    }

    fn survey(&self, state: u64, now: u64, cost: u64) -> Survey {
        let (end, count) = self.open(state, now);
        Survey::of_window(self.limit, count, now, end, cost)
    }
}
