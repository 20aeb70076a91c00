//! The question asked of every key of a log, and the report on it.

use crate::families::{Clearance, Family};
use crate::fullness::Full;
use crate::gaps::Stair;
use crate::leaders::Leaders;
use crate::orders::Log;
use crate::pressure::Pressure;
use crate::seen::Name;

/// The terms by which rejections are judged.
#[derive(Clone, Debug)]
pub struct Rejections {
    /// The rule by which each quota fills.
    pub exact: Vec<Full>,
    /// The same, by another clock.
    pub tolerated: Vec<Full>,
    /// After how long nothing matters any more, in ns.
    pub horizon_ns: i128,
    /// True if denied requests use up the quotas too.
    pub denied_count: bool,
    /// Those sent from this instant on are not judged.
    pub until_ns: Option<i64>,
    /// The quotas for a search over orders of decisions; none if there is none.
    pub logs: Vec<Log>,
}

/// The promise of a policy: all of it holds.
#[derive(Clone, Debug)]
pub struct Model {
    /// The gap of each quota.
    pub stairs: Vec<Stair>,
    /// The quotas of which their gap does not say everything.
    pub families: Vec<Family>,
}

/// The questions asked of every key.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The promise.
    pub exact: Model,
    /// The same, shortened by the tolerance; None where there is none.
    pub tolerated: Option<Model>,
    /// True if the log has all that the limiter ever counted, but for unknown outcomes.
    pub whole: bool,
    /// The terms by which rejections are judged; None if they are not.
    pub rejections: Option<Rejections>,
    /// True if no key was in use before the log began.
    pub fresh: bool,
    /// From when on the log has every request, if that does not depend on the key.
    pub since_ns: Option<i64>,
    /// The longest way from sending to answer, where the log is a part of a larger one.
    pub longest_ns: Option<Option<i64>>,
    /// True if over-admission is asked for.
    pub over: bool,
}

/// A key that a search has to look at, or would spend something on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The key.
    pub name: Name,
    /// Was too much admitted, for the clocks as they may be?
    pub tolerated: Clearance,
    /// The same, had the clocks agreed.
    pub exact: Clearance,
    /// The same as the first, had the unknown requests that ended been admitted.
    pub unknown: Clearance,
    /// True if a rejection is certainly wrong.
    pub wrong: bool,
    /// Can all rejections be explained together?
    pub joint: Clearance,
    /// From when to when, in ns, the windows reach that certainly hold too much.
    pub broken: Option<(i64, i64)>,
    /// The most that certainly lie in a window of each quota, on clocks as they may be; none where
    /// a search would find nothing.
    pub nested: Vec<usize>,
}

/// The findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One for each quota.
    pub pressure: Vec<Pressure>,
    /// The keys that came closest to more than is allowed, by how much longer it took.
    pub closest: Leaders,
    /// The keys that asked for more than is allowed in the least time.
    pub densest: Leaders,
    /// The keys with the most requests.
    pub busiest: Leaders,
    /// Rejections that could be judged.
    pub judged: usize,
    /// True if a rejection would be wrong, had the clocks agreed.
    pub wrong_if_exact: bool,
    /// True if a rejection would be wrong, had no unknown request been admitted.
    pub wrong_if_unknown: bool,
    /// By name.
    pub suspects: Vec<Suspect>,
}

impl Report {
    pub(crate) fn join(&mut self, other: Self) {
        for (mine, theirs) in self.pressure.iter_mut().zip(&other.pressure) {
            mine.join(theirs);
        }
        self.closest.join(other.closest);
        self.densest.join(other.densest);
        self.busiest.join(other.busiest);
        self.judged += other.judged;
        self.wrong_if_exact |= other.wrong_if_exact;
        self.wrong_if_unknown |= other.wrong_if_unknown;
        self.suspects.extend(other.suspects);
    }
}
