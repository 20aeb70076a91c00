//! The fixed window: a count, and above it the index of the window that is counted.

use crate::answer::Survey;
use crate::kernel::{Kernel, Rule, STATE_BITS, bits};
use crate::quota::{Algorithm, MAX_LIMIT, Quota, Spec};

impl Algorithm {
    /// Windows that begin at the multiples of their length.
    pub const FIXED_WINDOW: Self = Self(&Spec {
        name: "fixed-window",
        max_limit: MAX_LIMIT,
        own_burst: false,
        check: |_| Ok(()),
        kernel: |quota| Kernel::Word(Box::new(Fixed::new(quota))),
    });
}

/// `limit` in each window that begins at a multiple of its length.
///
/// The window is kept by its index modulo 2^(63 − C), C the bits of the limit. A key that comes back after exactly so many
/// windows, some of them 2³³, finds its old count: stricter, never looser.
#[derive(Debug)]
struct Fixed {
    limit: u64,
    window_ns: u64,
    bits: u32,
}

impl Fixed {
    fn new(quota: &Quota) -> Self {
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
        Survey::of_window(self.limit, count, now, (index + 1) * self.window_ns, cost)
    }
}
