//! The pressure of a log on one quota: the figures of `rateproof.prove.power.pressure`.

use crate::gaps::Stair;
use crate::seen::{Name, Seen, TIME_LIMIT};
use crate::windows::{most_nested, most_touching, tightest_nest};

/// Steps that are tried of a staircase that lags.
const STEPS: usize = 16;

/// The requests of one key, each list sorted.
pub(crate) struct Asked<'a> {
    /// Instant at which each request was sent, however answered.
    pub starts: &'a [i64],
    /// Instant at which each had ended.
    pub ends: &'a [i64],
    /// The admitted ones.
    pub admitted: &'a [Seen],
    /// True if no interval of these lies strictly within another.
    pub flat: bool,
}

/// The most that any one key asked of one quota.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Most requests that may lie in one window.
    pub attempts: usize,
    /// Most admissions that may lie in it.
    pub possible: usize,
    /// Most admissions that certainly lie in it.
    pub provable: usize,
    /// The least time in ns in which more were admitted than are allowed, if ever.
    pub tightest_ns: Option<i64>,
    /// True if any key may have asked for more than was allowed.
    pub stressed: bool,
    /// The key of the least name with that tightest time, or else with the most attempts, if any.
    pub key: Option<Name>,
}

/// Time beyond the window in which a key got, and asked for, more than is allowed.
pub(crate) struct Margins {
    /// Of the tightest admissions, from the first sent to the last answered.
    pub got_ns: Option<i64>,
    /// Of as many requests, from one that was sent to as many later one that had ended.
    pub asked_ns: Option<i64>,
}

impl Pressure {
    /// Adds what a key asked.
    pub(crate) fn add(&mut self, key: Name, stair: &Stair, asked: &Asked<'_>) -> Margins {
        let window = window(stair, 1);
        // Figures that cannot exceed those there are not worth counting.
        let mut figures = Pressure {
            key: Some(key),
            ..Pressure::default()
        };
        // Where they lead, the name decides among equals.
        let fewer = self.attempts - usize::from(self.attempts > 0 && self.tightest_ns.is_none());
        if may_exceed(asked.starts, asked.ends, window, fewer) {
            figures.attempts = most_touching(asked.starts, asked.ends, window);
        }
        if !self.stressed {
            figures.stressed = may_climb(asked, stair);
        }
        let admitted = asked.admitted;
        let more = |most: usize, apart: fn(&Seen, &Seen) -> i64| {
            // Without order in the ends, counting alone can tell.
            let later = admitted.get(most..).unwrap_or_default();
            let mut pairs = admitted.iter().zip(later);
            !later.is_empty()
                && (!asked.flat || pairs.any(|(first, later)| apart(first, later) < window))
        };
        if more(self.possible, |first, later| later.sent - first.end) {
            let mut ends: Vec<i64> = admitted.iter().map(|seen| seen.end).collect();
            let starts: Vec<i64> = admitted.iter().map(|seen| seen.sent).collect();
            if !asked.flat {
                ends.sort_unstable();
            }
            figures.possible = most_touching(&starts, &ends, window);
        }
        if more(self.provable, |first, later| later.end - first.sent) {
            figures.provable = most_nested(admitted, asked.flat, window);
        }
        let tightest = tightest_nest(asked.admitted, asked.flat, stair.size(1));
        figures.tightest_ns = tightest.map(|(span, _)| span);
        self.join(&figures);
        let ends = asked.ends.iter().skip(stair.size(1) - 1);
        let spans = asked.starts.iter().zip(ends).map(|(sent, end)| end - sent);
        Margins {
            got_ns: figures.tightest_ns.map(|tightest| tightest - window),
            asked_ns: spans.min().map(|span| span - window),
        }
    }

    /// The most of both.
    pub(crate) fn join(&mut self, other: &Self) {
        let lead = match (self.tightest_ns, other.tightest_ns) {
            (None, None) if self.attempts == other.attempts => self.earlier(other),
            (None, None) if self.attempts > other.attempts => self.key,
            (Some(mine), Some(theirs)) if mine == theirs => self.earlier(other),
            (Some(mine), Some(theirs)) if mine < theirs => self.key,
            (Some(_), None) => self.key,
            _ => other.key,
        };
        self.key = lead;
        self.tightest_ns = match (self.tightest_ns, other.tightest_ns) {
            (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        self.attempts = self.attempts.max(other.attempts);
        self.possible = self.possible.max(other.possible);
        self.provable = self.provable.max(other.provable);
        self.stressed |= other.stressed;
    }

    /// The key that comes first of two with equal figures; no key's figures are equal to none.
    fn earlier(&self, other: &Self) -> Option<Name> {
        if self.attempts == 0 && self.tightest_ns.is_none() {
            return None;
        }
        self.key.min(other.key)
    }
}

fn window(stair: &Stair, steps: usize) -> i64 {
    i64::try_from(stair.span_ns(steps)).map_or(TIME_LIMIT, |span| span.min(TIME_LIMIT))
}

/// True if more than so many lie in one window: see `most_touching`.
fn may_exceed(starts: &[i64], ends: &[i64], window: i64, most: usize) -> bool {
    let later = starts.get(most..).unwrap_or_default();
    (ends.iter().zip(later)).any(|(&end, &start)| start < end + window)
}

/// True if the attempts may break the stair at any of its first steps.
fn may_climb(asked: &Asked<'_>, stair: &Stair) -> bool {
    let last = if stair.lags() { STEPS } else { 1 };
    (1..=last)
        .take_while(|&steps| stair.size(steps) <= asked.starts.len())
        .any(|steps| {
            let fewer = stair.size(steps) - 1;
            may_exceed(asked.starts, asked.ends, window(stair, steps), fewer)
        })
}
