//! Time: nanoseconds of a clock that never steps back.

use std::time::Duration;

use crate::error::Error;
use crate::sync::monotonic_ns;

/// The latest reading that is accepted, about 36 years.
pub const MAX_NOW_NS: u64 = (1 << 60) - 1;

/// The longest window, about 18 years: a reading plus two windows stays below 2⁶¹.
pub const MAX_WINDOW_NS: u64 = 1 << 59;

/// Time that a call waits while the lock does not change hands before it answers without one.
///
/// A holder is done within microseconds, so one that is not for so long has been stopped. Where
/// holders come and go, a call that has bad luck waits on, at most ten times as long for a lock.
pub const PATIENCE: Duration = Duration::from_millis(100);

/// Checks a reading that the caller supplied.
pub(crate) fn supplied(now_ns: Option<u64>) -> Result<Option<u64>, Error> {
    match now_ns {
        Some(reading) if reading > MAX_NOW_NS => Err(Error::invalid(
            format!("now_ns is {reading}"),
            "a monotonic reading from 0 to 2**60 - 1 nanoseconds",
        )),
        other => Ok(other),
    }
}

/// CLOCK_MONOTONIC in nanoseconds.
#[must_use]
pub fn now_ns() -> u64 {
    monotonic_ns()
}

/// One look at the clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// The time to decide by.
    pub(crate) now: u64,
    /// The time on the caller's clock: waits count from here.
    pub(crate) caller: u64,
}

/// Reads the clock: CLOCK_MONOTONIC, or what the caller supplied, lifted to what `floor` gives.
///
/// A supplied reading may be older than a decision or a reclaim that happened since it was taken.
/// The system's clock, read after the slot and its state, is older than neither, so `floor` is
/// not even asked.
pub(crate) fn read(supplied: Option<u64>, floor: impl Fn(u64) -> u64) -> Reading {
    match supplied {
        Some(caller) => Reading {
            now: caller.max(floor(caller)),
            caller,
        },
        None => {
            let now = monotonic_ns() & MAX_NOW_NS;
            Reading { now, caller: now }
        }
    }
}
