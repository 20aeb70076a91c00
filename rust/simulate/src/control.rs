//! Control of a run while it goes on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mio::Waker;

use crate::clock::monotonic_ns;

/// The wishes of a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Since when the run's clock stands still; `None` while it goes.
    pub paused_at_ns: Option<i64>,
    /// For how long it has stood still in all, before this pause.
    pub paused_ns: i64,
    /// Number of times that every client that waits was asked to send at once.
    pub bursts: u64,
    /// Clients beyond those of the scenario's last group, negative for fewer.
    pub extra_clients: i64,
}

/// Wishes, shared by the loops of a run.
#[derive(Default)]
pub struct Control {
    stop: AtomicBool,
    abandon: AtomicBool,
    changes: AtomicU64,
    wishes: Mutex<Wishes>,
    wakers: Mutex<Vec<Waker>>,
}

impl Control {
    /// A loop to wake when something is asked.
    pub fn add_waker(&self, waker: Waker) {
        lock(&self.wakers).push(waker);
    }

    /// Nothing new is sent from now on.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// True if it was asked to stop.
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Ends the run at once: what is in flight is neither awaited nor recorded.
    pub fn abandon(&self) {
        self.abandon.store(true, Ordering::Release);
        self.stop();
    }

    /// True if nobody wants the rest.
    pub fn abandoned(&self) -> bool {
        self.abandon.load(Ordering::Acquire)
    }

    /// Wishes for what holds from now on; nothing changes where it is what held before.
    ///
    /// `paused` stops the run's clock; each more in `bursts` lets every client that waits send its
    /// next request now; `extra_clients` are those beyond the scenario's, negative for fewer.
    pub fn steer(&self, paused: bool, bursts: u64, extra_clients: i64) {
        let mut wishes = lock(&self.wishes);
        let before = *wishes;
        (wishes.bursts, wishes.extra_clients) = (bursts, extra_clients);
        match (paused, before.paused_at_ns) {
            (true, None) => wishes.paused_at_ns = Some(monotonic_ns()),
            (false, Some(since_ns)) => {
                wishes.paused_ns += monotonic_ns() - since_ns;
                wishes.paused_at_ns = None;
            }
            _ => {}
        }
        if *wishes != before {
            drop(wishes);
            self.changes.fetch_add(1, Ordering::Release);
            self.wake();
        }
    }

    /// Number of changes so far: cheap to ask in every turn of a loop.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The present wishes.
    pub fn wishes(&self) -> Wishes {
        *lock(&self.wishes)
    }

    /// Lets every loop look around.
    pub fn wake(&self) {
        for waker in lock(&self.wakers).iter() {
            // A loop that cannot be woken looks for itself within its longest wait.
            let _ = waker.wake();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
