//! One slot's state, whatever the algorithm: the steps of the protocol that touch it.
//!
//! Two shapes take part: the ring of a sliding log (`log.rs`), and one word for every other
//! algorithm (`meter.rs` and the rules it goes by). Both can be *frozen* by a holder of the lock:
//! until it is thawed nobody else changes the slot, and what was there before still counts.

use crate::answer::Answer;
use crate::bucket::Bucket;
use crate::clock::Reading;
use crate::counter::Counter;
use crate::log::Ring;
use crate::meter::{Meter, Rule};
use crate::quota::{Algorithm, Quota};
use crate::sync::{AtomicU64, Step, without};
use crate::window::{FirstHit, Fixed};

/// Set in the word that a holder of the lock has frozen; no state reaches this bit.
pub(crate) const FROZEN: u64 = 1 << 63;

/// What a holder puts on the word that it freezes.
pub(crate) fn mark() -> u64 {
    if without(Step::Mark) { 0 } else { FROZEN }
}

/// What a slot has left at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Admissions of cost 1 that would pass.
    pub(crate) free: u64,
    /// When the cost asked about passes if nothing else is admitted; not after now: it does.
    pub(crate) available_at: u64,
    /// When the whole quota is free if nothing else is admitted; not after now: it is, and the
    /// slot is *idle*: nothing in it matters any more.
    pub(crate) all_free_at: u64,
}

/// What a holder of the lock needs to go on with a slot that it has frozen.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) cursor: u64,
    pub(crate) before: u64,
}

/// How the slots of a table are kept.
#[derive(Debug)]
pub(crate) enum Kind {
    Log { window_ns: u64 },
    Word(Box<dyn Rule>),
}

impl Kind {
    pub(crate) fn of(quota: &Quota) -> Self {
        match quota.algorithm {
            Algorithm::SlidingLog => Self::Log {
                window_ns: quota.window_ns,
            },
            Algorithm::TokenBucket => Self::Word(Box::new(Bucket::new(quota))),
            Algorithm::FixedWindow => Self::Word(Box::new(Fixed::new(quota))),
            Algorithm::FirstHitWindow => Self::Word(Box::new(FirstHit::new(quota))),
            Algorithm::SlidingCounter => Self::Word(Box::new(Counter::new(quota))),
        }
    }

    pub(crate) fn slot<'a>(&'a self, words: &'a [AtomicU64]) -> Slot<'a> {
        match self {
            Self::Log { window_ns } => Slot::Ring(Ring::new(words, *window_ns)),
            Self::Word(rule) => Slot::Meter(Meter {
                word: &words[0],
                rule: &**rule,
            }),
        }
    }
}

/// One slot.
#[derive(Clone, Copy)]
pub(crate) enum Slot<'a> {
    Ring(Ring<'a>),
    Meter(Meter<'a>),
}

impl Slot<'_> {
    /// Takes `cost` admissions, or says why not; `None` when it takes the lock to decide.
    ///
    /// `read` is asked for the time after the state was read. Whether the answer counts is for
    /// the caller to find out: the slot may have changed its owner.
    pub(crate) fn admit(&self, cost: u64, read: impl Fn() -> Reading) -> Option<Answer> {
        match self {
            Self::Ring(ring) => ring.admit(cost, read),
            Self::Meter(meter) => meter.admit(cost, read),
        }
    }

    /// What `admit` would say, changing nothing.
    pub(crate) fn look(&self, cost: u64, read: impl Fn() -> Reading) -> Answer {
        match self {
            Self::Ring(ring) => ring.look(cost, read),
            Self::Meter(meter) => meter.look(cost, read),
        }
    }

    /// When the whole quota is free; not after `now`: the slot is idle.
    pub(crate) fn busy_until(&self, now: u64) -> u64 {
        match self {
            Self::Ring(ring) => ring.busy_until(),
            Self::Meter(meter) => meter.busy_until(now),
        }
    }

    /// Under the lock: thaws what a holder left frozen when it died.
    pub(crate) fn recover(&self) {
        match self {
            Self::Ring(ring) => ring.recover(),
            Self::Meter(meter) => meter.recover(),
        }
    }

    /// Under the lock, after `recover`: from here on the slot is in hand.
    pub(crate) fn freeze(&self) -> Hold {
        match self {
            Self::Ring(ring) => ring.freeze(),
            Self::Meter(meter) => meter.freeze(),
        }
    }

    /// In hand: what is left at `now`, and when `cost` fits.
    pub(crate) fn survey(&self, hold: &Hold, now: u64, cost: u64) -> Survey {
        match self {
            Self::Ring(ring) => ring.survey(hold, now, cost),
            Self::Meter(meter) => meter.survey(hold, now, cost),
        }
    }

    /// In hand: takes `cost` admissions that fit at `now`, thaws, and says what is left.
    pub(crate) fn commit(&self, hold: &Hold, now: u64, cost: u64) -> Survey {
        match self {
            Self::Ring(ring) => ring.commit(hold, now, cost),
            Self::Meter(meter) => meter.commit(hold, now, cost),
        }
    }

    /// In hand: lets go of the slot as it was.
    pub(crate) fn thaw(&self, hold: &Hold) {
        match self {
            Self::Ring(ring) => ring.thaw(hold),
            Self::Meter(meter) => meter.thaw(hold),
        }
    }

    /// In hand: frees the whole quota, and lets go.
    pub(crate) fn forget(&self, hold: &Hold) {
        match self {
            Self::Ring(ring) => ring.forget(hold),
            Self::Meter(meter) => meter.forget(),
        }
    }
}
