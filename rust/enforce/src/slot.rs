//! One slot's state, whatever the algorithm: the steps of the protocol that touch it.
//!
//! Three shapes take part: the ring of a sliding log (`sliding_log.rs`), blocks (`sliding_blocks.rs`), and
//! one word for every other algorithm (`meter.rs` and the rule of `kernel.rs`). All can be *frozen* by a holder of the lock:
//! until it is thawed nobody else changes the slot, and what was there before still counts.

use crate::answer::{Answer, Survey};
use crate::clock::Reading;
use crate::hold::Hold;
use crate::kernel::{Figures, Kernel};
use crate::meter::Meter;
use crate::sliding_blocks::Blocks;
use crate::sliding_log::Ring;
use crate::sync::AtomicU64;

/// One slot.
#[derive(Clone, Copy)]
pub(crate) enum Slot<'a> {
    Ring(Ring<'a>),
    Blocks(Blocks<'a>),
    Meter(Meter<'a>),
}

/// All kinds of slots take the same steps.
macro_rules! each {
    ($slot:expr, $part:ident => $step:expr) => {
        match $slot {
            Slot::Ring($part) => $step,
            Slot::Blocks($part) => $step,
            Slot::Meter($part) => $step,
        }
    };
}

impl<'a> Slot<'a> {
    #[inline]
    pub(crate) fn of(figures: &'a Figures, words: &'a [AtomicU64]) -> Self {
        match figures.kernel {
            Kernel::Ring => Self::Ring(Ring::new(words, figures.window_ns)),
            Kernel::Blocks => Self::Blocks(Blocks {
                word: &words[0],
                starts: &words[1..],
                figures,
            }),
            Kernel::Word(rule) => Self::Meter(Meter {
                word: &words[0],
                figures,
                rule,
            }),
        }
    }

    /// Takes `cost` admissions, or says why not; `None` when it takes the lock to decide.
    ///
    /// `read` is asked for the time after the state was read. Whether the answer counts is for
    /// the caller to find out: the slot may have changed its owner.
    pub(crate) fn admit(&self, cost: u64, read: impl Fn() -> Reading) -> Option<Answer> {
        each!(self, part => part.admit(cost, read))
    }

    /// True if `cost` fits at about `now`: a hint, to be followed by what makes sure.
    pub(crate) fn seems_free(&self, now: u64, cost: u64) -> bool {
        each!(self, part => part.seems_free(now, cost))
    }

    /// The answer that `admit` would give, changing nothing.
    pub(crate) fn look(&self, cost: u64, read: impl Fn() -> Reading) -> Answer {
        each!(self, part => part.look(cost, read))
    }

    /// Instant at which the whole quota is free; not after `now`: the slot is idle.
    pub(crate) fn busy_until(&self, now: u64) -> u64 {
        each!(self, part => part.busy_until(now))
    }

    /// Under the lock: thaws what a holder left frozen when it died.
    pub(crate) fn recover(&self) {
        each!(self, part => part.recover())
    }

    /// Under the lock, after `recover`: from here on the slot is in hand.
    pub(crate) fn freeze(&self) -> Hold {
        each!(self, part => part.freeze())
    }

    /// In hand: what is left at `now`, and when `cost` fits.
    pub(crate) fn survey(&self, hold: &Hold, now: u64, cost: u64) -> Survey {
        each!(self, part => part.survey(hold, now, cost))
    }

    /// In hand: takes `cost` admissions that fit at `now`, thaws, and says what is left.
    pub(crate) fn commit(&self, hold: &Hold, now: u64, cost: u64) -> Survey {
        each!(self, part => part.commit(hold, now, cost))
    }

    /// In hand: lets go of the slot as it was.
    pub(crate) fn thaw(&self, hold: &Hold) {
        each!(self, part => part.thaw(hold))
    }

    /// In hand: frees the whole quota, and lets go.
    pub(crate) fn forget(&self, hold: &Hold) {
        each!(self, part => part.forget(hold))
    }
}
