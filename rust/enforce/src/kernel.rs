//! The two ways in which the slots of a table are kept.

use std::fmt::Debug;

use crate::answer::Survey;

/// Bits of a word that hold the state of a [`Rule`].
pub(crate) const STATE_BITS: u32 = 63;

/// How the slots of a table are kept.
#[derive(Debug)]
pub(crate) enum Kernel {
    /// A ring of so many cells, each busy for so long.
    Ring { cells: u64, window_ns: u64 },
    /// One word, and what an admission makes of it.
    Word(Box<dyn Rule>),
}

/// An algorithm as a pure function of its state, 0 at first, the time and the cost.
///
/// The cost is from 1 to the burst. Times never go back from call to call.
pub(crate) trait Rule: Debug + Send + Sync {
    /// The state after `cost` admissions at `now`; `None` when they do not fit.
    fn take(&self, state: u64, now: u64, cost: u64) -> Option<u64>;

    /// What the state leaves, and when `cost` fits.
    fn survey(&self, state: u64, now: u64, cost: u64) -> Survey;
}

/// The bits that hold a count of at most `limit`.
pub(crate) fn bits(limit: u64) -> u32 {
    u64::BITS - limit.leading_zeros()
}
