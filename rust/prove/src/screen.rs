//! What can be said of a whole log without looking at one key longer than it takes.
//!
//! For each key: what it asked, whether any of its rejections was wrong, and whether the
//! searches for over-admission would find nothing. What a screen does not clear is for
//! `rateproof.prove` to look at, which is the specification and finds the evidence.

use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::examine::Examiner;
use crate::groups::Groups;
use crate::pressure::Pressure;
use crate::stair::Stair;

/// A sliding log, for the judgement of rejections.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// How many admissions fill it.
    pub limit: usize,
    /// How long it lasts, in ns.
    pub exact_ns: i128,
    /// The longest that it may last by another clock, in ns.
    pub tolerated_ns: i128,
}

/// What is asked of every key.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The gap of each quota.
    pub exact: Vec<Stair>,
    /// The same, shortened by the tolerance; None where there is none.
    pub tolerated: Option<Vec<Stair>>,
    /// The quotas by which rejections are judged; none if they are not judged.
    pub windows: Vec<Window>,
    /// Whether no key was in use before the log began.
    pub fresh: bool,
    /// Whether over-admission is asked for.
    pub over: bool,
}

/// What a search would spend to find nothing; None where it has to be made.
pub type Clearance = Option<u64>;

/// A key that a search has to look at, or would spend something on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Its number in order of appearance.
    pub number: usize,
    /// The code of the key.
    pub code: usize,
    /// Was too much admitted, for the clocks as they may be?
    pub tolerated: Clearance,
    /// The same, had the clocks agreed.
    pub exact: Clearance,
    /// The same as the first, had the unknown requests that ended been admitted.
    pub unknown: Clearance,
    /// Whether a rejection is certainly wrong.
    pub wrong: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One for each quota.
    pub pressure: Vec<Pressure>,
    /// Rejections that could be judged.
    pub judged: usize,
    /// Whether a rejection would be wrong, had the clocks agreed.
    pub wrong_if_exact: bool,
    /// Whether a rejection would be wrong, had no unknown request been admitted.
    pub wrong_if_unknown: bool,
    /// In order of appearance.
    pub suspects: Vec<Suspect>,
}

impl Report {
    fn join(&mut self, other: Self) {
        for (mine, theirs) in self.pressure.iter_mut().zip(&other.pressure) {
            mine.join(theirs);
        }
        self.judged += other.judged;
        self.wrong_if_exact |= other.wrong_if_exact;
        self.wrong_if_unknown |= other.wrong_if_unknown;
        self.suspects.extend(other.suspects);
    }
}

/// Rows that a thread takes at a time.
const ROWS: usize = 1 << 16;

/// Looks at every key, on at most so many threads; the report does not depend on how many.
pub fn screen(groups: &mut Groups, rules: &Rules, threads: usize) -> Report {
    let longest_ns = groups.longest_ns;
    let chunks = groups.chunks(ROWS);
    let threads = threads.min(chunks.len());
    let chunks = Mutex::new(chunks.into_iter());
    let work = || {
        let mut examiner = Examiner::new(rules, longest_ns);
        loop {
            let next = chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(chunk) = next else {
                return examiner.report;
            };
            examiner.examine(chunk);
        }
    };
    let mut report = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut report = work();
        for other in others {
            report.join(other.join().expect("a screen does not panic"));
        }
        report
    });
    report
        .suspects
        .sort_unstable_by_key(|suspect| suspect.number);
    for pressure in &mut report.pressure {
        pressure.key = pressure.key.map(|number| groups.codes[number]);
    }
    report
}
