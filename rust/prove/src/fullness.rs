//! Rejections without need: the rules of `rateproof.prove.wrong_rejection.fullness`.

use crate::cursor::Cursor;
use crate::seen::Seen;

/// The rules by which a quota fills, at the longest.
#[derive(Clone, Copy, Debug)]
pub enum Full {
    /// So many, each of which counts for so long.
    Window {
        /// Number of clients.
        limit: usize,
        /// Time for which each counts, in ns; below the longest time of a log.
        lasts: i64,
    },
    /// A bucket is full of debt when it is empty of tokens.
    Bucket {
        /// Tokens that it holds.
        limit: usize,
        /// Units that flow in each ns, at the least.
        gain: i128,
        /// Units of a token.
        cost: i128,
        /// Units lost to rounding, however long it flows.
        slack: i128,
    },
}

/// The requests that may have used up the quotas of a key.
#[derive(Clone, Copy)]
pub(crate) struct Taken<'a> {
    /// Instant at which each was sent, sorted.
    pub starts: &'a [i64],
    /// Instant at which those ended that did, sorted.
    pub ends: &'a [i64],
    /// Instant at which a bucket may have been empty, before which nothing is known.
    pub empty: Option<i64>,
}

/// True if any rejection is certainly wrong: no quota may have been full while it was decided.
///
/// Rejections are in order. `kept` is for the function's own use.
pub(crate) fn any_wrong(
    rejections: &[Seen],
    taken: Taken<'_>,
    quotas: &[Full],
    kept: &mut Vec<Seen>,
) -> bool {
    kept.clear();
    kept.extend_from_slice(rejections);
    for &quota in quotas {
        match quota {
            Full::Window { limit, .. } if limit > taken.starts.len() => {}
            Full::Window { limit, lasts } => excuse(kept, taken.starts, || {
                let mut count = Counter::new(taken);
                move |instant| count.begun(instant) - count.gone(instant - lasts) >= limit
            }),
            Full::Bucket {
                limit,
                gain,
                cost,
                slack,
            } => {
                let bucket = Bucket::new(taken, [gain, cost, slack], limit);
                excuse(kept, taken.starts, || {
                    let mut count = Counter::new(taken);
                    let bucket = &bucket;
                    move |instant| {
                        bucket.may_be_empty(instant, count.begun(instant), count.gone(instant + 1))
                    }
                });
            }
        }
        if kept.is_empty() {
            return false;
        }
    }
    !kept.is_empty()
}

/// Removes the rejections during which the quota may have been full.
///
/// `full_at` gives a function that is asked of later and later instants.
fn excuse<F: FnMut(i64) -> bool>(kept: &mut Vec<Seen>, starts: &[i64], full_at: impl Fn() -> F) {
    // It becomes full only at a start.
    let mut at = full_at();
    let full: Vec<i64> = starts.iter().copied().filter(|&start| at(start)).collect();
    let mut at = full_at();
    let mut later = Cursor::default();
    kept.retain(|rejection| {
        let next = full.get(later.seek(&full, |&start| start <= rejection.sent));
        !at(rejection.sent) && next.is_none_or(|&start| start > rejection.end)
    });
}

/// The level of a bucket at its lowest: see `rateproof.prove.wrong_rejection.fullness`.
struct Bucket {
    limit: usize,
    gain: i128,
    cost: i128,
    slack: i128,
    drained: Vec<i128>,
    /// Instant at which it may have been empty, and how many had ended by then.
    empty: Option<(i128, usize)>,
}

impl Bucket {
    fn new(taken: Taken<'_>, [gain, cost, slack]: [i128; 3], limit: usize) -> Self {
        let mut most = i128::MIN;
        let drained = (taken.ends.iter().zip(0..)).map(|(&end, ended)| {
            let ended: i128 = ended;
            most = most.max(i128::from(end) * gain - ended * cost);
            most
        });
        let ended_by = |empty: i64| taken.ends.partition_point(|&end| end <= empty);
        Self {
            limit,
            gain,
            cost,
            slack,
            drained: drained.collect(),
            empty: (taken.empty).map(|empty| (i128::from(empty), ended_by(empty))),
        }
    }

    /// True if it may hold less than a token, once so many were sent and so many of them ended.
    fn may_be_empty(&self, instant: i64, sent: usize, ended: usize) -> bool {
        let units = |tokens: usize| tokens as i128 * self.cost;
        let flowed = i128::from(instant) * self.gain - self.slack;
        let emptied = self.empty.is_some_and(|(empty, ended_by)| {
            // More may have ended by then than were sent by now, of an instant before.
            let since = sent as i128 - ended_by as i128;
            flowed - empty * self.gain < (since + 1) * self.cost
        });
        let Some(over) = sent.checked_sub(self.limit) else {
            return emptied;
        };
        emptied || sent - ended >= self.limit || flowed - units(over + 1) < self.drained[over]
    }
}

/// Counts what began and what ended, at later and later instants.
struct Counter<'a> {
    taken: Taken<'a>,
    begun: Cursor,
    gone: Cursor,
}

impl<'a> Counter<'a> {
    fn new(taken: Taken<'a>) -> Self {
        Self {
            taken,
            begun: Cursor::default(),
            gone: Cursor::default(),
        }
    }

    /// Number of those sent by an instant.
    fn begun(&mut self, by: i64) -> usize {
        self.begun.seek(self.taken.starts, |&start| start <= by)
    }

    /// Number of those that ended before an instant.
    fn gone(&mut self, before: i64) -> usize {
        self.gone.seek(self.taken.ends, |&end| end < before)
    }
}
