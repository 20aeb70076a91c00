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

/// Half to even, and cut to 64 bits.
pub(crate) fn rounded(ns: f64) -> i64 {
    ns.round_ties_even() as i64
}
