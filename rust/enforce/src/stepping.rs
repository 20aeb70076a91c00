//! Atomics that count the steps of a thread, and kill its process at one of them.

use std::cell::Cell;
use std::sync::atomic;

pub(crate) use std::sync::atomic::Ordering;

use crate::sys;

thread_local! {
    static STEPS_LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// Kills the process when this thread is about to take its next step but `steps`.
pub(crate) fn die_after(steps: u64) {
    STEPS_LEFT.set(steps);
}

fn step() {
    match STEPS_LEFT.get() {
        0 => sys::die(),
        left => STEPS_LEFT.set(left - 1),
    }
}

/// As the standard one, whose layout it has.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct AtomicU64(atomic::AtomicU64);

impl AtomicU64 {
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        step();
        self.0.load(order)
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        step();
        self.0.store(value, order);
    }

    pub(crate) fn compare_exchange(
        &self,
        old: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        step();
        self.0.compare_exchange(old, new, success, failure)
    }

    pub(crate) fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
        step();
        self.0.fetch_max(value, order)
    }

    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        step();
        self.0.fetch_add(value, order)
    }
}

/// The same each time, so that the same steps lead to the same place.
pub(crate) fn random() -> Result<u64, getrandom::Error> {
    Ok(7)
}
