//! The token bucket, kept as a theoretical arrival time (the virtual scheduling algorithm of
//! ITU-T I.371, known as GCRA).
//!
//! A token is worth T = ⌈W/N⌉ ns and the bucket holds C = B·T. The state is the time at which the
//! bucket is full again: `state − now` of C is spent.

use crate::answer::Survey;
use crate::clock::MAX_WINDOW_NS;
use crate::error::Error;
use crate::kernel::{Figures, Kernel, Rule};
use crate::quota::{Algorithm, MAX_LIMIT, Parameter, Quota, Spec};

impl Algorithm {
    /// A bucket of `burst` tokens that gains `limit` a window.
    pub const TOKEN_BUCKET: Self = Self(&Spec {
        name: "token-bucket",
        max_limit: MAX_LIMIT,
        own_burst: true,
        parameter: Parameter::NONE,
        check,
        memory_ns: |quota| {
            let token_ns = quota.window_ns.div_ceil(quota.limit);
            quota.burst.saturating_mul(token_ns)
        },
        kernel: Kernel::Word(Rule { take, survey }),
    });
}

/// The least W/N in ns: rounding T up costs less than a thousandth of the rate.
const LEAST_SPACING_NS: u64 = 1_000;

/// Refuses a quota whose tokens the clock cannot tell apart, or whose bucket overflows it.
fn check(quota: &Quota) -> Result<(), Error> {
    let Quota {
        limit,
        window_ns,
        burst,
        ..
    } = *quota;
    if window_ns / limit < LEAST_SPACING_NS {
        return Err(Error::invalid(
            format!("limit {limit} in window_ns {window_ns} is more than one a microsecond"),
            format!("at most one token in {LEAST_SPACING_NS} ns"),
        ));
    }
    // No overflow: at most 10⁹ · 2⁵⁹ < 2⁸⁹.
    if u128::from(burst) * u128::from(window_ns.div_ceil(limit)) > u128::from(MAX_WINDOW_NS) {
        return Err(Error::invalid(
            format!("burst {burst} of limit {limit} in window_ns {window_ns} takes too long"),
            format!("a bucket that fills up within {MAX_WINDOW_NS} ns"),
        ));
    }
    Ok(())
}

/// The state after `cost` tokens more. No overflow: below 2⁶⁰ + 2 · 2⁵⁹.
fn after(figures: &Figures, state: u64, now: u64, cost: u64) -> u64 {
    state.max(now) + cost * figures.token_ns
}

fn take(figures: &Figures, state: u64, now: u64, cost: u64) -> Option<u64> {
    let after = after(figures, state, now, cost);
    (after <= now + figures.burst_ns).then_some(after)
}

fn survey(figures: &Figures, state: u64, now: u64, cost: u64) -> Survey {
    // A clock that went back finds more spent than the bucket holds: nothing is free.
    let left_ns = (now + figures.burst_ns).saturating_sub(state.max(now));
    Survey {
        free: left_ns / figures.token_ns,
        available_at: after(figures, state, now, cost).saturating_sub(figures.burst_ns),
        all_free_at: state,
    }
}
