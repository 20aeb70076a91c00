//! The primitives of the protocol, imported in one place so that tests can put others there:
//! a model checker, which runs every interleaving (`models.rs`), or atomics that count the steps,
//! so that a process can be killed between any two of them (`kills.rs`).

pub(crate) use std::sync::atomic::Ordering;

#[cfg(not(test))]
pub(crate) use std::sync::atomic::AtomicU64;

#[cfg(all(test, not(loom)))]
pub(crate) use crate::stepping::{AtomicU64, random};

#[cfg(not(all(test, loom)))]
pub(crate) use crate::sys::monotonic_ns;
#[cfg(not(test))]
pub(crate) use getrandom::u64 as random;

#[cfg(all(test, loom))]
pub(crate) use modelled::*;

/// A step that the models show to be needed, by leaving it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The mark on a frozen slot.
    Mark,
    /// The second look at the word, after the state was changed or read.
    Recheck,
    /// The second look at the cursor, after the cell was read.
    Recursor,
    /// The reading of the clock once the slot is frozen, not before.
    Reading,
    /// The turn that comes with every change of the lock.
    Turn,
}

/// True if the step is left out: never, but in a model.
#[cfg(not(all(test, loom)))]
pub(crate) const fn without(_step: Step) -> bool {
    false
}

#[cfg(all(test, loom))]
mod modelled {
    use std::cell::Cell;

    pub(crate) use loom::sync::atomic::AtomicU64;

    use super::{Ordering, Step};

    loom::lazy_static! {
        pub(crate) static ref CLOCK: AtomicU64 = AtomicU64::new(0);
    }

    thread_local! {
        pub(crate) static LEFT_OUT: Cell<Option<Step>> = const { Cell::new(None) };
    }

    pub(crate) fn without(step: Step) -> bool {
        LEFT_OUT.get() == Some(step)
    }

    /// Relaxed: the clock orders nothing, it only never goes back.
    pub(crate) fn monotonic_ns() -> u64 {
        CLOCK.fetch_add(1, Ordering::Relaxed)
    }

    /// The same in every run, so that runs can be told apart by their interleaving alone.
    pub(crate) fn random() -> Result<u64, getrandom::Error> {
        Ok(7)
    }
}
