//! The two windows that are counted and then forgotten: the fixed one and that of the first hit.
//!
//! Each state is a count in the low C bits, where C is what the limit takes, and above it which
//! window is counted.

use crate::error::Error;
use crate::meter::{Rule, STATE_BITS};
use crate::quota::Quota;
use crate::slot::Survey;

/// The share of a window that rounding its end up may add: one part in so many.
const PRECISION: u64 = 1_000;

/// The bits that hold a count of at most `limit`.
fn bits(limit: u64) -> u32 {
    u64::BITS - limit.leading_zeros()
}

/// What a window says that has `count` of its `limit` and ends at `end`.
fn survey(limit: u64, count: u64, now: u64, end: u64, cost: u64) -> Survey {
    Survey {
        free: limit - count,
        available_at: if count + cost <= limit { now } else { end },
        all_free_at: if count > 0 { end } else { now },
    }
}

/// `limit` in each window that begins at a multiple of its length.
///
/// The window is kept by its index modulo 2^(63 − C). A key that comes back after exactly so many
/// windows, some of them 2³³, finds its old count: stricter, never looser.
#[derive(Debug)]
pub(crate) struct Fixed {
    limit: u64,
    window_ns: u64,
    bits: u32,
}

impl Fixed {
    pub(crate) fn new(quota: &Quota) -> Self {
        Self {
            limit: quota.limit,
            window_ns: quota.window_ns,
            bits: bits(quota.limit),
        }
    }

    /// The index of the window that counts at `now`, and its count.
    ///
    /// A reading from the window before the counted one was overtaken by the decision that opened
    /// it, and counts there: else the two would empty each other's window in turn.
    fn counted(&self, state: u64, now: u64) -> (u64, u64) {
        let (index, mask) = (now / self.window_ns, (1 << (STATE_BITS - self.bits)) - 1);
        let count = state & ((1 << self.bits) - 1);
        match (state >> self.bits).wrapping_sub(index) & mask {
            0 => (index, count),
            1 if count > 0 => (index + 1, count),
            _ => (index, 0),
        }
    }
}

impl Rule for Fixed {
    fn take(&self, state: u64, now: u64, cost: u64) -> Option<u64> {
        let (index, count) = self.counted(state, now);
        let kept = (index << self.bits) & ((1 << STATE_BITS) - 1);
        (count + cost <= self.limit).then_some(kept | (count + cost))
    }

    fn survey(&self, state: u64, now: u64, cost: u64) -> Survey {
        let (index, count) = self.counted(state, now);
        survey(self.limit, count, now, (index + 1) * self.window_ns, cost)
    }
}

/// `limit` in each window, which an admission opens that finds none.
///
/// The end is kept in units of 2^max(0, C − 2) ns, rounded up, so that it and the count share a
/// word: a reading and a window are below 2⁶¹ together.
#[derive(Debug)]
pub(crate) struct FirstHit {
    limit: u64,
    window_ns: u64,
    bits: u32,
}

/// Refuses a window that rounding would make noticeably longer.
pub(crate) fn check(quota: &Quota) -> Result<(), Error> {
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
    pub(crate) fn new(quota: &Quota) -> Self {
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
        survey(self.limit, count, now, end, cost)
    }
}
