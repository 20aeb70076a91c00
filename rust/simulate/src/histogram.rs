//! Latencies in constant memory: the twin of `rateproof.simulate.histogram`.

/// Buckets to an octave: each is at most 1/1,024 as wide as the values in it.
pub const SUB_BUCKETS: usize = 1 << SUB_BITS;

const SUB_BITS: u32 = 10;

/// Counts of values from 0 on; negative ones count as 0.
///
/// The least and the greatest value are exact. A percentile is never below the true
/// nearest-rank one, and above it by less than 0.1 %. Source: Tene, HdrHistogram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    // As long as the greatest value needs; the last one is never 0.
    counts: Vec<u64>,
    /// Number of values counted.
    pub count: u64,
    /// The least and the greatest value, exact; None where nothing was counted.
    pub range: Option<(i64, i64)>,
}

impl Histogram {
    /// Counts one value.
    #[inline]
    pub fn add(&mut self, value: i64) {
        let value = value.max(0);
        let bucket = bucket_of(value);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.count += 1;
        self.widen(value, value);
    }

    /// Counts everything that the other one counted.
    pub fn merge(&mut self, other: &Self) {
        let Some((low, high)) = other.range else {
            return;
        };
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.widen(low, high);
    }

    /// The nearest-rank percentile for `percent` above 0 and at most 100, which is the maximum.
    pub fn percentile(&self, percent: f64) -> Option<i64> {
        let (_, high) = self.range?;
        // As in Python: -(-count * percent // 100).
        let rank = -(-(self.count as f64) * percent / 100.0).floor();
        let mut left = rank as u64;
        for (bucket, count) in self.buckets() {
            left = left.saturating_sub(count);
            if left == 0 {
                return Some(bucket.min(high));
            }
        }
        Some(high)
    }

    /// The greatest value of every bucket that holds something, with its count, in ascending order.
    pub fn buckets(&self) -> impl Iterator<Item = (i64, u64)> + '_ {
        let counts = self.counts.iter().copied().enumerate();
        let held = counts.filter(|&(_, count)| count > 0);
        held.map(|(bucket, count)| (last_value_of(bucket), count))
    }

    #[inline]
    fn widen(&mut self, low: i64, high: i64) {
        self.range = Some(match self.range {
            None => (low, high),
            Some((least, greatest)) => (least.min(low), greatest.max(high)),
        });
    }
}

/// The number of the bucket that holds a value of 0 or more.
#[inline]
fn bucket_of(value: i64) -> usize {
    let bits = i64::BITS - value.leading_zeros();
    let exponent = bits.saturating_sub(SUB_BITS + 1);
    exponent as usize * SUB_BUCKETS + (value >> exponent) as usize
}

/// The greatest value of a bucket.
fn last_value_of(bucket: usize) -> i64 {
    let exponent = (bucket / SUB_BUCKETS).saturating_sub(1);
    let next = (bucket - exponent * SUB_BUCKETS + 1) as u128;
    ((next << exponent) - 1) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_nearest_rank_and_the_last_is_exact() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50.0), None);
        for value in (1..=100).rev() {
            histogram.add(value);
        }
        let ranks = [0.5, 1.0, 50.0, 99.0, 99.5, 100.0].map(|p| histogram.percentile(p).unwrap());
        assert_eq!(ranks, [1, 1, 50, 99, 100, 100]);
        histogram.add(1_234_567_891);
        assert_eq!(histogram.percentile(100.0), Some(1_234_567_891));
        assert_eq!(histogram.range, Some((1, 1_234_567_891)));
    }

    #[test]
    fn merging_is_adding_all() {
        let mut all = Histogram::default();
        let mut parts = [
            Histogram::default(),
            Histogram::default(),
            Histogram::default(),
        ];
        for number in 0..2_000_i64 {
            let value = number * number * 977 - 3;
            all.add(value);
            parts[(number % 2) as usize].add(value);
        }
        let mut merged = Histogram::default();
        for part in &parts {
            merged.merge(part);
        }
        assert_eq!(merged, all);
        assert_eq!(merged.count, 2_000);
    }
}
