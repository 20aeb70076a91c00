//! The rest of a slot's quota, and the answer to a call.

use crate::clock::{PATIENCE, Reading};

/// The room left in a slot at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Admissions of cost 1 that would pass.
    pub(crate) free: u64,
    /// Instant from which the cost asked about passes if nothing else is admitted; not after now: it does.
    pub(crate) available_at: u64,
    /// Instant from which all is free if nothing else is admitted; not after now: the quota is, and the
    /// slot is *idle*: nothing in it matters any more.
    pub(crate) all_free_at: u64,
}

impl Survey {
    /// Of a window that has `count` of its `limit`, ends at `end`, and is then forgotten.
    pub(crate) fn of_window(limit: u64, count: u64, now: u64, end: u64, cost: u64) -> Self {
        Self {
            free: limit.saturating_sub(count),
            available_at: if count + cost <= limit { now } else { end },
            all_free_at: if count > 0 { end } else { now },
        }
    }
}

/// One quota's answer to one call. Times are in nanoseconds from the call's reading of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// As many admissions as were asked for are granted (by a peek: would be).
    pub admitted: bool,
    /// Not denied by the quota: there was no room to count the key in, or no lock in time.
    pub full: bool,
    /// Admissions of cost 1 that are left after this call; 0 when full.
    pub remaining: u64,
    /// Until as many admissions as were asked for are possible; 0 when admitted.
    pub retry_after_ns: u64,
    /// Until the whole quota is free; 0 when it is.
    pub reset_after_ns: u64,
}

impl Answer {
    /// The answer to a call that took its cost; `left` is what it left.
    pub(crate) fn admitted(left: Survey, at: Reading) -> Self {
        Self {
            admitted: true,
            full: false,
            remaining: left.free,
            retry_after_ns: 0,
            reset_after_ns: wait(left.all_free_at, at),
        }
    }

    /// The answer to a call that took nothing: whether it would fit.
    pub(crate) fn looked(found: Survey, at: Reading) -> Self {
        Self {
            admitted: found.available_at <= at.now,
            full: false,
            remaining: found.free,
            retry_after_ns: wait(found.available_at, at),
            reset_after_ns: wait(found.all_free_at, at),
        }
    }

    /// True if it is the quota that is in the way.
    pub(crate) fn denied(&self) -> bool {
        !self.admitted && !self.full
    }

    /// No slot for the key before `ready_at`.
    pub(crate) fn full(ready_at: u64, at: Reading) -> Self {
        Self::without_room(wait(ready_at, at))
    }

    /// The lock was not to be had in time: asking again after as long a wait makes sense.
    #[must_use]
    pub fn busy() -> Self {
        Self::without_room(PATIENCE.as_nanos() as u64)
    }

    /// No room for the key for so long.
    #[must_use]
    pub fn without_room(wait: u64) -> Self {
        Self {
            admitted: false,
            full: true,
            remaining: 0,
            retry_after_ns: wait,
            reset_after_ns: wait,
        }
    }
}

/// From the caller's reading on; what is over by the time decided by is over.
fn wait(until: u64, at: Reading) -> u64 {
    if until <= at.now {
        0
    } else {
        until - at.caller
    }
}
