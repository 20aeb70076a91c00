//! What the protocol stands on, imported in one place so that tests can put something else there:
//! a model checker, which runs every interleaving (`models.rs`), or atomics that count the steps,
//! so that a process can be killed between any two of them (`kills.rs`).

pub(crate) use std::sync::atomic::Ordering;

#[cfg(not(test))]
pub(crate) use std::sync::atomic::{AtomicU64, fence};

#[cfg(all(test, not(loom)))]
pub(crate) use crate::stepping::{AtomicU64, fence, random};

#[cfg(not(all(test, loom)))]
pub(crate) use crate::sys::{Mapping, monotonic_ns};
#[cfg(not(test))]
pub(crate) use getrandom::u64 as random;

#[cfg(all(test, loom))]
pub(crate) use crate::models::{Mapping, monotonic_ns, random, without};
#[cfg(all(test, loom))]
pub(crate) use loom::sync::atomic::{AtomicU64, fence};

/// A step that the models show to be needed, by leaving it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The mark on a frozen slot.
    Mark,
    /// The second look at the word, after the state was changed or read.
    Recheck,
    /// The second look at the cursor, after the cell was read.
    Recursor,
}

/// Whether the step is left out: never, but in a model.
#[cfg(not(all(test, loom)))]
pub(crate) const fn without(_step: Step) -> bool {
    false
}
