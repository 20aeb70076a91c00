//! The twin of `ranks.py`: which of many, by Zipf's law.

use crate::rng::Rng;

/// Ranks by Zipf's law; see `Zipf` in `ranks.py`.
#[derive(Clone, Copy, Debug)]
pub struct Zipf {
    n: u32,
    s: f64,
    first: f64,
    last: f64,
    guard: f64,
}

impl Zipf {
    /// Of n ranks, up to a million; None where a parameter is out of bounds.
    pub fn new(n: i64, s: f64) -> Option<Self> {
        if !((1..=1_000_000).contains(&n) && s > 0.0 && s <= 10.0) {
            return None;
        }
        let mut made = Self {
            n: n as u32,
            s,
            first: 0.0,
            last: 0.0,
            guard: 0.0,
        };
        made.first = made.integral(1.5) - 1.0;
        made.last = made.integral(n as f64 + 0.5);
        made.guard = 2.0 - made.inverse(made.integral(2.5) - made.density(2.0));
        Some(made)
    }

    /// A rank from 1, the likeliest, to n.
    pub fn draw(&self, rng: &mut Rng) -> u32 {
        loop {
            let u = self.last + rng.unit() * (self.first - self.last);
            let x = self.inverse(u);
            let k = ((x + 0.5) as u32).clamp(1, self.n);
            let rank = f64::from(k);
            if rank - x <= self.guard || u >= self.integral(rank + 0.5) - self.density(rank) {
                return k;
            }
        }
    }

    fn density(&self, x: f64) -> f64 {
        (-self.s * x.ln()).exp()
    }

    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        let t = (1.0 - self.s) * log;
        if t.abs() > 1e-8 {
            return t.exp_m1() / t * log;
        }
        (1.0 + t * 0.5 * (1.0 + t / 3.0 * (1.0 + 0.25 * t))) * log
    }

    fn inverse(&self, y: f64) -> f64 {
        let t = (-1.0f64).next_up().max(y * (1.0 - self.s));
        if t.abs() > 1e-8 {
            return (t.ln_1p() / t * y).exp();
        }
        ((1.0 - t * (0.5 - t * (1.0 / 3.0 - 0.25 * t))) * y).exp()
    }
}
