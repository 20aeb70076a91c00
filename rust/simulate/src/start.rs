//! The common start of a run's loops.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::clock::monotonic_ns;

#[derive(Default)]
struct State {
    waiting: usize,
    start_ns: i64,
    cancelled: bool,
}

/// A barrier at which loops wait until all of them are ready.
#[derive(Default)]
pub struct Start {
    state: Mutex<State>,
    changed: Condvar,
}

impl Start {
    /// A loop is ready: the instant of the start, once it has come; `None`: there will be none.
    pub fn wait(&self) -> Option<i64> {
        let mut state = self.state();
        state.waiting += 1;
        self.changed.notify_all();
        while state.start_ns == 0 && !state.cancelled {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        (!state.cancelled).then_some(state.start_ns)
    }

    /// Waits until so many loops are ready, and lets them go: the start is now, or at the
    /// monotonic instant given where that is still to come.
    pub fn begin(&self, loops: usize, not_before_ns: i64) {
        let mut state = self.state();
        while state.waiting < loops && !state.cancelled {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.start_ns = monotonic_ns().max(not_before_ns);
        self.changed.notify_all();
    }

    /// There will be no start: a loop could not be had.
    pub fn cancel(&self) {
        self.state().cancelled = true;
        self.changed.notify_all();
    }

    /// The instant of the start, monotonic ns; 0 before it.
    pub fn instant_ns(&self) -> i64 {
        self.state().start_ns
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
