//! The mark on a slot that a holder of the lock has in hand.

use crate::sync::{AtomicU64, Ordering, Step, without};

/// Set in the word that a holder of the lock has frozen; no state reaches this bit.
pub(crate) const FROZEN: u64 = 1 << 63;

/// The mark that a holder puts on the word that it freezes.
pub(crate) fn mark() -> u64 {
    if without(Step::Mark) { 0 } else { FROZEN }
}

/// The state of a slot that a holder of the lock has frozen.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) cursor: u64,
    pub(crate) before: u64,
}

/// Replaces `old` by `new`, unless something else is there.
pub(crate) fn swap(word: &AtomicU64, old: u64, new: u64) -> bool {
    word.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire)
        .is_ok()
}
