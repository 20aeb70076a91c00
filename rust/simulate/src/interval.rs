//! The twin of `arrivals.py`: the same draws, bit for bit.
//!
//! Formulas and sources stand there; here every operation has the same order,
//! and ln, exp and their kin come from the same C library.

use crate::rng::Rng;

/// 73 years.
const MAX_INTERVAL_NS: i64 = (1 << 61) - 1;

/// A distribution of intervals in nanoseconds, its parameters as `arrivals.py` takes them.
#[derive(Clone, Copy, Debug)]
pub enum Interval {
    /// Always the same.
    Constant(i64),
    /// Between two bounds.
    Uniform(i64, i64),
    /// Memoryless, with this mean.
    Exponential(i64),
    /// With this median and this standard deviation of the logarithm.
    LogNormal(i64, f64),
}

impl Interval {
    /// The next interval in ns, from 0 to below 2^61.
    pub fn draw(&self, rng: &mut Rng) -> i64 {
        match *self {
            Self::Constant(ns) => ns,
            Self::Uniform(low, high) => {
                low.wrapping_add(rounded(high.wrapping_sub(low) as f64 * rng.unit()))
            }
            Self::Exponential(mean) => {
                MAX_INTERVAL_NS.min(rounded(-(mean as f64) * rng.unit().ln()))
            }
            Self::LogNormal(median, sigma) => {
                let radius = (-2.0 * rng.unit().ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * rng.unit()).cos();
                MAX_INTERVAL_NS.min(rounded(median as f64 * (sigma * normal).exp()))
            }
        }
    }
}

/// From an instant to the next arrival of a rate that goes from one to another, both in requests
/// in a nanosecond; None: there is none.
pub(crate) fn ramp_gap(
    rng: &mut Rng,
    at_ns: i64,
    start: f64,
    end: f64,
    over_ns: f64,
) -> Option<i64> {
    let left = -rng.unit().ln();
    let at = at_ns as f64;
    let rest = over_ns - at;
    if rest <= 0.0 {
        return (end > 0.0).then(|| rounded(left / end));
    }
    let slope = (end - start) / over_ns;
    let rate = start + slope * at;
    let area = (rate + end) * 0.5 * rest;
    if left >= area {
        return (end > 0.0).then(|| rounded(rest + (left - area) / end));
    }
    let root = (rate * rate + 2.0 * slope * left).max(0.0).sqrt();
    Some(rounded(2.0 * left / (rate + root)))
}

/// Half to even, and cut to 64 bits.
fn rounded(ns: f64) -> i64 {
    ns.round_ties_even() as i64
}
