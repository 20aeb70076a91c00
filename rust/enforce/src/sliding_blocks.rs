//! Blocks: at most N in any window of length W, counted in K blocks of a clock, for limits that are
//! too large for a log. Each admission comes back at most a block later than in a log.
//!
//! Time is cut into blocks of b = ⌈W/K⌉ ns. What was admitted in the block that is open and in the
//! K before it *counts*; an admission fits if what counts, and it, are at most N.
//!
//! # The state
//!
//! A word: *frozen*, the index of the latest block that admitted anything, modulo M, and how many
//! were admitted in all, the *total*, modulo 2^C, C the bits of N. Behind it K + 1 *starts*: the total
//! when a block began, for the latest block and the K before it, each at its index modulo K + 1. What
//! counts in block i is the total, less the start of block i − K; of a block later than the latest the
//! start is the total.
//!
//! # The steps
//!
//! - *In the latest block* anybody adds to the total by compare-and-swap, after reading the word,
//!   the start, and then the clock.
//! - *The first of a later block* takes the lock. In hand, it writes the starts of the blocks since the
//!   latest, and with the last store the new index and total, thawed.
//! - *A denial* reads the word before and after the starts. It is the same: the starts were of it.
//!
//! # Never more than N
//!
//! The total is replaced atomically, and in one block it only grows, by less than 2^C; a start is
//! written only in hand, and only of a block that has begun since the word was frozen. It takes
//! the place of block j − K − 1, which counts no more from block j on. So a start that was read as
//! that of block i − K was, or else it was read from a holder who had read the clock in block i + 1 or
//! later: then our clock, which is read after, says so too, and we take the lock ourselves. Who died in
//! hand has left starts of the total, which is what the next holder writes there: nothing is lost.
//!
//! In place of a start that it overwrites a holder puts the total, in hand the greatest of all: who
//! reads it counts too little, never too much. So nothing is denied by it that could pass.
//!
//! # What wraps
//!
//! *The total*: what counts is at most N, below 2^C, and so it is the difference modulo 2^C. The
//! same word does not come back within a block, since N at most are added to it.
//!
//! *The index*, at M, the largest multiple of K + 1 that its bits hold, so that places go on in turn: for
//! N of a million after 278,000 years of blocks of 1 s. A block up to K + 1 earlier than the latest is
//! taken for a reading that was overtaken by the decision that opened the latest, and counts as of its
//! beginning. So a key that comes back after about M blocks may find its old counts, and a new one
//! may find itself in the first block of the next turn: stricter for 2(K + 1) blocks, never looser.

use crate::answer::{Answer, Survey};
use crate::clock::Reading;
use crate::error::{Error, damaged};
use crate::hold::{FROZEN, Hold, mark, swap};
use crate::kernel::{Figures, Kernel};
use crate::quota::{Algorithm, MAX_LIMIT, Parameter, Quota, Spec};
use crate::sync::{AtomicU64, Ordering};

impl Algorithm {
    /// At most `limit` in any window, each back up to a block late.
    pub const SLIDING_BLOCKS: Self = Self(&Spec {
        name: "sliding-blocks",
        max_limit: MAX_LIMIT,
        own_burst: false,
        parameter: Parameter {
            word: "blocks",
            default: 60,
            most: 1_000,
        },
        check,
        memory_ns: |quota| (quota.parameter + 1) * quota.window_ns.div_ceil(quota.parameter),
        kernel: Kernel::Blocks,
    });
}

/// The least W/K in ns: rounding a block up adds less than a thousandth to the window.
const LEAST_BLOCK_NS: u64 = 1_000;

fn check(quota: &Quota) -> Result<(), Error> {
    if quota.window_ns / quota.parameter >= LEAST_BLOCK_NS {
        return Ok(());
    }
    Err(Error::invalid(
        format!(
            "window_ns {} is too short for {} blocks",
            quota.window_ns, quota.parameter
        ),
        format!("blocks of at least {LEAST_BLOCK_NS} ns"),
    ))
}

/// The words of one slot: the latest block and the total, then the starts.
#[derive(Clone, Copy)]
pub(crate) struct Blocks<'a> {
    pub(crate) word: &'a AtomicU64,
    pub(crate) starts: &'a [AtomicU64],
    pub(crate) figures: &'a Figures,
}

/// A word, as of a time.
#[derive(Clone, Copy)]
struct View {
    /// The latest block that admitted anything, and the one of the time, which is no earlier.
    latest: u64,
    block: u64,
    total: u64,
}

impl Blocks<'_> {
    /// Blocks that may count: the open one and the K before it.
    fn places(&self) -> u64 {
        self.starts.len() as u64
    }

    fn totals(&self) -> u64 {
        (1 << self.figures.bits) - 1
    }

    fn indices(&self) -> u64 {
        self.figures.indices
    }

    fn load(&self) -> u64 {
        self.word.load(Ordering::Acquire)
    }

    fn start(&self, block: u64) -> &AtomicU64 {
        let place = (block % self.places()) as usize;
        self.starts.get(place).unwrap_or_else(|| damaged())
    }

    /// The word as of `now`. Blocks are numbered from M on, so that the oldest has a number, too.
    fn view(&self, word: u64, now: u64) -> View {
        let (indices, bits) = (self.indices(), self.figures.bits);
        let at = now / self.figures.block_ns;
        let index = (word & !FROZEN) >> bits;
        let turned = if at < indices { at } else { at % indices };
        let behind = match turned.checked_sub(index) {
            Some(behind) => behind,
            None => turned + indices - index,
        };
        let (at, total) = (at + indices, word & self.totals());
        let (latest, block) = match indices - behind <= self.places() {
            true => (at + (indices - behind), at + (indices - behind)),
            false => (at - behind, at),
        };
        View {
            latest,
            block,
            total,
        }
    }

    /// The total that counts in a block of these words, no earlier than the latest.
    fn count(&self, view: View, block: u64) -> u64 {
        let oldest = block + 1 - self.places();
        if oldest > view.latest {
            return 0;
        }
        let start = self.start(oldest).load(Ordering::Acquire);
        view.total.wrapping_sub(start) & self.totals()
    }

    /// The instant at which a block begins.
    fn begin(&self, block: u64) -> u64 {
        (block - self.indices()) * self.figures.block_ns
    }

    fn surveyed(&self, view: View, now: u64, cost: u64) -> Survey {
        let limit = self.figures.limit;
        let used = self.count(view, view.block);
        let fits = |block| self.count(view, block) + cost <= limit;
        // In the block after `over` nothing counts.
        let over = view.latest + self.places();
        let (mut low, mut high) = (view.block, over);
        if fits(view.block) {
            high = low;
        }
        while low < high {
            let middle = low.midpoint(high);
            if fits(middle) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Survey {
            free: limit.saturating_sub(used),
            available_at: if low == view.block {
                now
            } else {
                self.begin(low)
            },
            all_free_at: if used > 0 { self.begin(over) } else { now },
        }
    }

    /// The answer of the slot at a time that is read after its word.
    fn looked(&self, word: u64, cost: u64, read: &impl Fn() -> Reading) -> Option<Answer> {
        let at = read();
        let found = self.surveyed(self.view(word, at.now), at.now, cost);
        // Of a slot in hand starts may be missing, but for those that count by a later clock.
        let again = word & FROZEN != 0
            && self.view(word, read().now).block != self.view(word, at.now).block;
        let same = (self.load() ^ word) & !FROZEN == 0 && !again;
        same.then(|| Answer::looked(found, at))
    }

    pub(crate) fn admit(&self, cost: u64, read: impl Fn() -> Reading) -> Option<Answer> {
        loop {
            let word = self.load();
            // Before the clock: what is read after it might be of a later block.
            let index = (word & !FROZEN) >> self.figures.bits;
            let start = self.start(index + 1).load(Ordering::Acquire);
            let at = read();
            let view = self.view(word, at.now);
            let used = match view.block == view.latest {
                true => view.total.wrapping_sub(start) & self.totals(),
                false => self.count(view, view.block),
            };
            if used + cost > self.figures.limit {
                // The time was read after the word, which still has to be the same.
                match self.looked(word, cost, &|| at) {
                    Some(answer) => return Some(answer),
                    None => continue,
                }
            }
            if word & FROZEN != 0 || !at.charges || view.block != view.latest {
                return None;
            }
            let next = (word & !self.totals()) | ((view.total + cost) & self.totals());
            if swap(self.word, word, next) {
                let left = Survey {
                    free: self.figures.limit - used - cost,
                    available_at: at.now,
                    all_free_at: self.begin(view.latest + self.places()),
                };
                return Some(Answer::admitted(left, at));
            }
        }
    }

    pub(crate) fn seems_free(&self, now: u64, cost: u64) -> bool {
        let view = self.view(self.load(), now);
        self.count(view, view.block) + cost <= self.figures.limit
    }

    pub(crate) fn look(&self, cost: u64, read: impl Fn() -> Reading) -> Answer {
        loop {
            if let Some(answer) = self.looked(self.load(), cost, &read) {
                return answer;
            }
        }
    }

    pub(crate) fn busy_until(&self, now: u64) -> u64 {
        self.surveyed(self.view(self.load(), now), now, 1)
            .all_free_at
    }

    pub(crate) fn recover(&self) {
        let word = self.load();
        if word & FROZEN != 0 {
            self.word.store(word & !FROZEN, Ordering::Release);
        }
    }

    pub(crate) fn freeze(&self) -> Hold {
        loop {
            let before = self.load();
            if swap(self.word, before, before | mark()) {
                return Hold { cursor: 0, before };
            }
        }
    }

    pub(crate) fn survey(&self, hold: &Hold, now: u64, cost: u64) -> Survey {
        self.surveyed(self.view(hold.before, now), now, cost)
    }

    /// Begins the blocks since the latest, and adds to the total; thaws with the last store.
    pub(crate) fn commit(&self, hold: &Hold, now: u64, cost: u64) -> Survey {
        let view = self.view(hold.before, now);
        let first = view.latest + 1;
        for block in first.max(view.block + 1 - self.places())..=view.block {
            self.start(block).store(view.total, Ordering::Release);
        }
        let total = (view.total + cost) & self.totals();
        self.store(view.block, total);
        let taken = View {
            latest: view.block,
            total,
            ..view
        };
        self.surveyed(taken, now, 1)
    }

    fn store(&self, block: u64, total: u64) {
        let index = block % self.indices();
        let word = (index << self.figures.bits) | total;
        self.word.store(word, Ordering::Release);
    }

    pub(crate) fn thaw(&self, hold: &Hold) {
        self.word.store(hold.before, Ordering::Release);
    }

    /// Puts the latest block so far back that nothing counts, also to a reading that was overtaken.
    pub(crate) fn forget(&self, hold: &Hold) {
        let index = (hold.before & !FROZEN) >> self.figures.bits;
        let back = index + self.indices() - 2 * self.places();
        self.store(back, hold.before & self.totals());
    }
}
