//! The twin of `ramps.py`: the gaps of arrivals whose rate changes with time.

use crate::interval::rounded;
use crate::rng::Rng;

/// A rate that goes from one to another; see `ramp_gap` in `ramps.py`.
#[derive(Clone, Copy, Debug)]
pub struct Ramp {
    start: f64,
    end: f64,
    over_ns: f64,
}

impl Ramp {
    /// From rates in requests in a million seconds.
    pub fn new(start: i64, end: i64, over_ns: f64) -> Self {
        Self {
            start: start as f64 * 1e-15,
            end: end as f64 * 1e-15,
            over_ns,
        }
    }

    /// From an instant to the next arrival, in ns; None: there is none.
    pub fn gap(&self, rng: &mut Rng, at_ns: i64) -> Option<i64> {
        let left = -rng.unit().ln();
        let at = at_ns as f64;
        let rest = self.over_ns - at;
        if rest <= 0.0 {
            return (self.end > 0.0).then(|| rounded(left / self.end));
        }
        let slope = (self.end - self.start) / self.over_ns;
        let rate = self.start + slope * at;
        let area = (rate + self.end) * 0.5 * rest;
        if left >= area {
            return (self.end > 0.0).then(|| rounded(rest + (left - area) / self.end));
        }
        let root = (rate * rate + 2.0 * slope * left).max(0.0).sqrt();
        Some(rounded(2.0 * left / (rate + root)))
    }
}
