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
                let factor = (sigma * normal_quantile(rng.unit())).exp();
                MAX_INTERVAL_NS.min(rounded(median as f64 * factor))
            }
        }
    }
}

/// Half to even, and cut to 64 bits.
pub(crate) fn rounded(ns: f64) -> i64 {
    ns.round_ties_even() as i64
}

type Rational = ([f64; 8], [f64; 8]);

// Wichura's digits, kept as published.
#[allow(clippy::excessive_precision)]
const CENTRE: Rational = (
    [
        2.5090809287301226727e3,
        3.3430575583588128105e4,
        6.7265770927008700853e4,
        4.5921953931549871457e4,
        1.3731693765509461125e4,
        1.9715909503065514427e3,
        1.3314166789178437745e2,
        3.3871328727963666080e0,
    ],
    [
        5.2264952788528545610e3,
        2.8729085735721942674e4,
        3.9307895800092710610e4,
        2.1213794301586595867e4,
        5.3941960214247511077e3,
        6.8718700749205790830e2,
        4.2313330701600911252e1,
        1.0,
    ],
);
#[allow(clippy::excessive_precision)]
const MIDDLE: Rational = (
    [
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258e0,
        3.64784832476320460504e0,
        5.76949722146069140550e0,
        4.63033784615654529590e0,
        1.42343711074968357734e0,
    ],
    [
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940e0,
        2.05319162663775882187e0,
        1.0,
    ],
);
#[allow(clippy::excessive_precision)]
const TAIL: Rational = (
    [
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580e0,
        5.46378491116411436990e0,
        6.65790464350110377720e0,
    ],
    [
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ],
);

/// Algorithm AS241; see `normal_quantile` in `arrivals.py`.
fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        return rational(&CENTRE, 0.180625 - q * q) * q;
    }
    let r = (-(if q <= 0.0 { p } else { 1.0 - p }).ln()).sqrt();
    let x = if r <= 5.0 {
        rational(&MIDDLE, r - 1.6)
    } else {
        rational(&TAIL, r - 5.0)
    };
    if q < 0.0 { -x } else { x }
}

fn rational(coefficients: &Rational, r: f64) -> f64 {
    let horner = |terms: &[f64; 8]| terms.iter().fold(0.0, |sum, term| sum * r + term);
    horner(&coefficients.0) / horner(&coefficients.1)
}
