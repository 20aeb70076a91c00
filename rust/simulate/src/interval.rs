//! The twin of `arrivals.py`: the same draws, bit for bit.
//!
//! Formulas and sources stand there; here every operation has the same order,
//! and ln, exp and their kin come from the same C library.

use crate::rng::Rng;

/// Intervals are below this, 73 years.
pub const MAX_DURATION_NS: i64 = 1 << 61;

const MAX_INTERVAL_NS: i64 = MAX_DURATION_NS - 1;
const MAX_SIGMA: f64 = 10.0;

/// A distribution of intervals in nanoseconds.
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
    /// Itself, or None where a parameter is out of bounds.
    pub fn checked(self) -> Option<Self> {
        let duration = 1..MAX_DURATION_NS;
        let sound = match self {
            Self::Constant(ns) | Self::Exponential(ns) => duration.contains(&ns),
            Self::Uniform(low, high) => low >= 0 && high >= low && duration.contains(&high),
            Self::LogNormal(median, sigma) => {
                duration.contains(&median) && sigma > 0.0 && sigma <= MAX_SIGMA
            }
        };
        sound.then_some(self)
    }

    /// The next interval in ns, from 0 to below 2^61.
    pub fn draw(&self, rng: &mut Rng) -> i64 {
        match *self {
            Self::Constant(ns) => ns,
            Self::Uniform(low, high) => low + rounded((high - low) as f64 * rng.unit()),
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
