//! Bounds that one quota sets to the k-th admission's instant, given the earlier ones.

use std::collections::VecDeque;

/// More jobs than this in one question could overflow the scaled arithmetic.
pub const MAX_POSITIONS: usize = 1 << 32;

const MAX_RISE: i128 = 1 << 82;
const MAX_PARTS: i128 = 1 << 52;
const MAX_SLACK: i128 = 1 << 62;

/// Of `width*j + lag + 1` admissions in a row the last comes at least
/// `floor(j*rise_num/rise_den) - slack_ns` after the first, for every j.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stair {
    width: usize,
    lag: usize,
    rise_num: i128,
    rise_den: i128,
    slack_ns: i128,
}

impl Stair {
    /// A stair, or None where a figure is out of bounds.
    ///
    /// The bounds keep every product below 2^127: an instant has 63 bits and is
    /// scaled by `rise_den` (52), a step count has 32 and is scaled by
    /// `rise_num` (82).
    pub fn new(
        width: usize,
        lag: usize,
        rise_num: i128,
        rise_den: i128,
        slack_ns: i128,
    ) -> Option<Self> {
        let fits = width >= 1
            && (0..MAX_RISE).contains(&rise_num)
            && (1..MAX_PARTS).contains(&rise_den)
            && (0..MAX_SLACK).contains(&slack_ns);
        fits.then_some(Self {
            width,
            lag,
            rise_num,
            rise_den,
            slack_ns,
        })
    }

    /// True if so many jobs can climb even one step.
    pub(crate) fn binds(&self, positions: usize) -> bool {
        self.width.saturating_add(self.lag) < positions
    }

    /// True if there are admissions before the first step.
    pub(crate) fn lags(&self) -> bool {
        self.lag > 0
    }

    /// Number of admissions in a row that are held apart by so many steps.
    pub(crate) fn size(&self, steps: usize) -> usize {
        self.width
            .saturating_mul(steps)
            .saturating_add(self.lag)
            .saturating_add(1)
    }

    /// The least time in ns that they span, rounded down.
    pub(crate) fn span_ns(&self, steps: usize) -> i128 {
        (steps as i128 * self.rise_num / self.rise_den - self.slack_ns).max(0)
    }

    /// After a pause this long, in ns, what came before no longer matters.
    pub(crate) fn horizon_ns(&self) -> i128 {
        let steps = 1 + self.lag.div_ceil(self.width) as i128;
        // Rounded up; 2 ns and one slack more for the rounding of the spans.
        (steps * self.rise_num + self.rise_den - 1) / self.rise_den + self.slack_ns + 2
    }
}

/// Earliest instants by position, in O(1) each.
///
/// `best[k]` is the largest `T[q] - (q / width)*rise` over q = k, k - width, ...
pub(crate) struct Bounds {
    stair: Stair,
    best: VecDeque<i128>,
    /// Number of positions that are forgotten.
    first: usize,
}

impl Bounds {
    pub(crate) fn new(stair: Stair, positions: usize) -> Self {
        Self {
            stair,
            best: VecDeque::with_capacity(positions),
            first: 0,
        }
    }

    /// The bound on position `k`, at least `otherwise`.
    pub(crate) fn earliest(&self, k: usize, otherwise: i128) -> i128 {
        let stair = &self.stair;
        // `binds` made sure that the sum does not overflow.
        let Some(q) = k.checked_sub(stair.lag + stair.width) else {
            return otherwise;
        };
        let scaled =
            self.best[q - self.first] + ((k - stair.lag) / stair.width) as i128 * stair.rise_num;
        // floor(scaled / den) - slack <= otherwise, without a division.
        if scaled < (otherwise + stair.slack_ns + 1) * stair.rise_den {
            return otherwise;
        }
        let bound = if stair.rise_den == 1 {
            scaled
        } else {
            scaled.div_euclid(stair.rise_den)
        };
        otherwise.max(bound - stair.slack_ns)
    }

    /// Position `k` was given this instant; what later positions had is void.
    pub(crate) fn record(&mut self, k: usize, instant_ns: i128) {
        let stair = &self.stair;
        let mut scaled = instant_ns * stair.rise_den - (k / stair.width) as i128 * stair.rise_num;
        if k >= stair.width {
            scaled = scaled.max(self.best[k - stair.width - self.first]);
        }
        self.best.truncate(k - self.first);
        self.best.push_back(scaled);
    }

    /// Forgets what no position from `k` on is bound by.
    pub(crate) fn forget(&mut self, k: usize) {
        let needed = k.saturating_sub(self.stair.lag + self.stair.width);
        while self.first < needed {
            self.best.pop_front();
            self.first += 1;
        }
    }
}
