//! A slot of one word: the protocol of the algorithms whose whole state fits into 63 bits.
//!
//! The state is read before the clock and replaced by compare-and-swap, so the calls of a slot
//! take effect one after the other, each at a time no earlier than the one before. With its top
//! bit set the word is *frozen*: a holder of the lock decides, and what is below is the state
//! until it has.

use crate::answer::{Answer, Survey};
use crate::clock::Reading;
use crate::hold::{FROZEN, Hold, mark, swap};
use crate::kernel::{Figures, Rule};
use crate::sync::{AtomicU64, Ordering};

/// The word of one slot.
#[derive(Clone, Copy)]
pub(crate) struct Meter<'a> {
    pub(crate) word: &'a AtomicU64,
    pub(crate) figures: &'a Figures,
    pub(crate) rule: Rule,
}

impl Meter<'_> {
    fn state(&self) -> u64 {
        self.word.load(Ordering::Acquire) & !FROZEN
    }

    fn take(&self, state: u64, now: u64, cost: u64) -> Option<u64> {
        (self.rule.take)(self.figures, state, now, cost)
    }

    fn surveyed(&self, state: u64, now: u64, cost: u64) -> Survey {
        (self.rule.survey)(self.figures, state, now, cost)
    }

    pub(crate) fn admit(&self, cost: u64, read: impl Fn() -> Reading) -> Option<Answer> {
        loop {
            let word = self.word.load(Ordering::Acquire);
            let at = read();
            let Some(next) = self.take(word & !FROZEN, at.now, cost) else {
                let found = self.surveyed(word & !FROZEN, at.now, cost);
                return Some(Answer::looked(found, at));
            };
            if word & FROZEN != 0 {
                return None;
            }
            if swap(self.word, word, next) {
                return Some(Answer::admitted(self.surveyed(next, at.now, 1), at));
            }
        }
    }

    pub(crate) fn seems_free(&self, now: u64, cost: u64) -> bool {
        self.take(self.state(), now, cost).is_some()
    }

    pub(crate) fn look(&self, cost: u64, read: impl Fn() -> Reading) -> Answer {
        let state = self.state();
        let at = read();
        Answer::looked(self.surveyed(state, at.now, cost), at)
    }

    pub(crate) fn busy_until(&self, now: u64) -> u64 {
        self.surveyed(self.state(), now, 1).all_free_at
    }

    pub(crate) fn recover(&self) {
        let word = self.word.load(Ordering::Acquire);
        if word & FROZEN != 0 {
            self.word.store(word & !FROZEN, Ordering::Release);
        }
    }

    pub(crate) fn freeze(&self) -> Hold {
        loop {
            let before = self.word.load(Ordering::Acquire);
            if swap(self.word, before, before | mark()) {
                return Hold { cursor: 0, before };
            }
        }
    }

    pub(crate) fn survey(&self, hold: &Hold, now: u64, cost: u64) -> Survey {
        self.surveyed(hold.before, now, cost)
    }

    pub(crate) fn commit(&self, hold: &Hold, now: u64, cost: u64) -> Survey {
        // Whoever commits has been told that it fits.
        let next = self.take(hold.before, now, cost).unwrap_or(hold.before);
        self.word.store(next, Ordering::Release);
        self.surveyed(next, now, 1)
    }

    pub(crate) fn thaw(&self, hold: &Hold) {
        self.word.store(hold.before, Ordering::Release);
    }

    pub(crate) fn forget(&self, _hold: &Hold) {
        self.word.store(0, Ordering::Release);
    }
}
