//! What a call is told.

use crate::clock::Reading;
use crate::lock::PATIENCE;
use crate::slot::Survey;

/// One quota's answer to one call. Times are in nanoseconds from the call's reading of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// As many admissions as were asked for are granted (by a peek: would be).
    pub admitted: bool,
    /// Not denied by the quota: there was no room to count the key in, or no lock in time.
    pub full: bool,
    /// Admissions left after this call; 0 when full.
    pub remaining: u64,
    /// Until as many admissions as were asked for are possible; 0 when admitted.
    pub retry_after_ns: u64,
    /// Until the whole quota is free.
    pub reset_after_ns: u64,
}

impl Answer {
    pub(crate) fn admitted(remaining: u64, all_free_at: u64, at: Reading) -> Self {
        Self {
            admitted: true,
            full: false,
            remaining,
            retry_after_ns: 0,
            reset_after_ns: all_free_at.saturating_sub(at.caller),
        }
    }

    pub(crate) fn denied(remaining: u64, available_at: u64, all_free_at: u64, at: Reading) -> Self {
        Self {
            admitted: false,
            full: false,
            remaining,
            retry_after_ns: available_at.saturating_sub(at.caller),
            reset_after_ns: all_free_at.saturating_sub(at.caller),
        }
    }

    /// What `survey` says, as of `at`, of a call of this cost that has taken nothing.
    pub(crate) fn judged(survey: &Survey, cost: u64, at: Reading) -> Self {
        if survey.free >= cost {
            Self::admitted(survey.free, survey.all_free_at, at)
        } else if survey.available_at <= at.now {
            // Cells became free between the survey's own reading and this one.
            Self::admitted(cost, survey.all_free_at, at)
        } else {
            Self::denied(survey.free, survey.available_at, survey.all_free_at, at)
        }
    }

    /// No slot for the key before the stamp `ready_at`.
    pub(crate) fn full(ready_at: u64, at: Reading) -> Self {
        let wait = ready_at.saturating_sub(at.caller);
        Self {
            admitted: false,
            full: true,
            remaining: 0,
            retry_after_ns: wait,
            reset_after_ns: wait,
        }
    }

    /// The lock was not to be had in time: asking again after as long a wait makes sense.
    #[must_use]
    pub fn busy() -> Self {
        let wait = PATIENCE.as_nanos() as u64;
        Self {
            admitted: false,
            full: true,
            remaining: 0,
            retry_after_ns: wait,
            reset_after_ns: wait,
        }
    }
}
