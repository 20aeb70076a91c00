//! The sliding counter: this window's count and, of the one before, the share that still lies
//! within W when its admissions are taken as evenly spread. The weight is exact.

use crate::answer::Survey;
use crate::kernel::{Kernel, Rule, STATE_BITS, bits};
use crate::quota::{Algorithm, Quota, Spec};

impl Algorithm {
    /// A fixed window and the share of the one before that still lies within W.
    pub const SLIDING_COUNTER: Self = Self(&Spec {
        name: "sliding-counter",
        max_limit: MAX_LIMIT,
        own_burst: false,
        check: |_| Ok(()),
        kernel: |quota| Kernel::Word(Box::new(Counter::new(quota))),
    });
}

/// The largest limit: two counts of 21 bits leave 21 bits of the window's index.
const MAX_LIMIT: u64 = 1 << 20;

/// `previous·(W − e) + current·W ≤ limit·W` at every admission, e after a multiple of W.
///
/// The window is kept by its index modulo 2^(63 − 2C), C the bits of the limit. A key that comes
/// back after exactly so many windows finds its old counts: stricter, never looser.
#[derive(Debug)]
struct Counter {
    limit: u64,
    window_ns: u64,
    bits: u32,
}

/// The counts as of a time, `elapsed` into the window of that index.
struct Counts {
    index: u64,
    elapsed: u64,
    current: u64,
    previous: u64,
}

impl Counter {
    fn new(quota: &Quota) -> Self {
        Self {
            limit: quota.limit,
            window_ns: quota.window_ns,
            bits: bits(quota.limit),
        }
    }

    /// A reading from the window before the counted one was overtaken by the decision that opened
    /// it, and counts as of its beginning.
    fn counts(&self, state: u64, now: u64) -> Counts {
        let (index, elapsed) = (now / self.window_ns, now % self.window_ns);
        let low = (1 << self.bits) - 1;
        let (current, previous) = (state & low, (state >> self.bits) & low);
        let mask = (1 << (STATE_BITS - 2 * self.bits)) - 1;
        let behind = index.wrapping_sub(state >> (2 * self.bits)) & mask;
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

    /// ⌈previous·(W − e)/W⌉: what the window before still takes.
    fn weight(&self, counts: &Counts) -> u64 {
        let left = self.window_ns - counts.elapsed;
        scaled(
            counts.previous,
            left,
            self.window_ns,
            u64::div_ceil,
            u128::div_ceil,
        )
    }

    fn free(&self, counts: &Counts) -> u64 {
        // Below 0 only for the counts of a key that came back as above.
        self.limit
            .saturating_sub(self.weight(counts) + counts.current)
    }

    /// When `cost` more fit, if nothing else is admitted; `cost` does not fit as of `counts`.
    fn available_at(&self, counts: &Counts, cost: u64) -> u64 {
        let (spare, previous, index) = if counts.current + cost <= self.limit {
            (
                self.limit - counts.current - cost,
                counts.previous,
                counts.index,
            )
        } else {
            (self.limit - cost, counts.current, counts.index + 1)
        };
        // previous·(W − e) ≤ spare·W from e = W − ⌊spare·W/previous⌋ on.
        let within = scaled(spare, self.window_ns, previous, |a, b| a / b, |a, b| a / b);
        (index + 1) * self.window_ns - within
    }
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

impl Rule for Counter {
    fn take(&self, state: u64, now: u64, cost: u64) -> Option<u64> {
        let counts = self.counts(state, now);
        let kept = (counts.index << (2 * self.bits)) & ((1 << STATE_BITS) - 1);
        (cost <= self.free(&counts))
            .then(|| kept | (counts.previous << self.bits) | (counts.current + cost))
    }

    fn survey(&self, state: u64, now: u64, cost: u64) -> Survey {
        let counts = self.counts(state, now);
        let free = self.free(&counts);
        let windows = match (counts.current, counts.previous) {
            (0, 0) => 0,
            (0, _) => counts.index + 1,
            _ => counts.index + 2,
        };
        Survey {
            free,
            available_at: if cost <= free {
                now
            } else {
                self.available_at(&counts, cost)
            },
            all_free_at: windows * self.window_ns,
        }
    }
}
