//! Time as the table writes it: stamps.

use crate::error::Error;
use crate::sys;

/// Stamps are clock readings plus this, so that a cell of 0 means *never* and a window of a day
/// works in the first minute after boot.
pub(crate) const BIAS: u64 = 1 << 62;

/// The latest reading that is accepted, about 73 years.
pub const MAX_NOW_NS: u64 = (1 << 61) - 1;

/// The longest window, about 36 years: a stamp plus a window stays below 2⁶³ + 2⁶⁰.
pub const MAX_WINDOW_NS: u64 = 1 << 60;

/// Checks a reading that the caller supplied and makes it a stamp; `None` stays `None`.
pub(crate) fn supplied(now_ns: Option<u64>) -> Result<Option<u64>, Error> {
    match now_ns {
        Some(reading) if reading > MAX_NOW_NS => Err(Error::invalid(
            format!("now_ns is {reading}"),
            "a monotonic reading from 0 to 2**61 - 1 nanoseconds",
        )),
        other => Ok(other.map(|reading| reading + BIAS)),
    }
}

/// One look at the clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// The stamp to decide by.
    pub(crate) now: u64,
    /// The stamp on the caller's clock: waits count from here.
    pub(crate) caller: u64,
}

/// Reads the clock: CLOCK_MONOTONIC, or what the caller supplied, lifted to `floor`.
///
/// A supplied reading may be older than a reclaim that happened since it was taken; lifting it
/// keeps it in the slot's present ownership. The system's clock, read after the slot was found,
/// is never older, so `floor` is not even looked at.
pub(crate) fn read(supplied: Option<u64>, floor: impl Fn() -> u64) -> Reading {
    match supplied {
        Some(caller) => Reading {
            now: caller.max(floor()),
            caller,
        },
        None => {
            let now = (sys::monotonic_ns() & MAX_NOW_NS) + BIAS;
            Reading { now, caller: now }
        }
    }
}
