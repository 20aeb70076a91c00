//! The ways in which the slots of a table are kept, and what a rule works with.

use crate::answer::Survey;

/// Bits of a word that hold the state of a [`Rule`].
pub(crate) const STATE_BITS: u32 = 63;

/// The ways in which the slots of a table are kept.
#[derive(Clone, Copy)]
pub(crate) enum Kernel {
    /// A ring of cells, as many as the limit.
    Ring,
    /// One word, and the starts of blocks.
    Blocks,
    /// One word, and what an admission makes of it.
    Word(Rule),
}

/// An algorithm as pure functions of figures, its state, 0 at first, the time and the cost.
///
/// The cost is from 1 to the burst. Times never go back from call to call.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    /// The state after `cost` admissions; `None` when they do not fit.
    pub(crate) take: fn(&Figures, u64, u64, u64) -> Option<u64>,
    /// The room that a state leaves, and when `cost` fits.
    pub(crate) survey: fn(&Figures, u64, u64, u64) -> Survey,
}

/// A quota, and what follows from it.
pub(crate) struct Figures {
    pub(crate) limit: u64,
    pub(crate) window_ns: u64,
    /// The bits that hold a count of at most the limit.
    pub(crate) bits: u32,
    /// Time in which one of a limit that comes back evenly comes back.
    pub(crate) token_ns: u64,
    /// Time in which the burst comes back.
    pub(crate) burst_ns: u64,
    /// The length of a block, and how many they are until their numbers begin again.
    pub(crate) block_ns: u64,
    pub(crate) indices: u64,
    pub(crate) kernel: Kernel,
}
