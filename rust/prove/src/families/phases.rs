//! Every phase of a grid, tried a piece of a log at a time.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::fixed_window::overfull;
use super::sliding_counter::crowded;
use super::work::{Spent, Work};
use super::{Algorithm, Family, Found, Job, MAX_NS, MILLION};

const MOST_JOBS: usize = 1024;
const WIDENED_PARTS: i128 = 16;

/// Jobs on the limiter's clock, in ns from their first; by sending time.
pub(super) struct Piece {
    pub low: Vec<i64>,
    pub high: Vec<i64>,
}

/// Jobs that do not fit at a phase, and how many ns later a phase may be for that to stay so.
pub(super) type Stuck = (Vec<usize>, i64);

impl Piece {
    fn of(jobs: impl Iterator<Item = Job>, first: i64, family: &Family) -> Self {
        let since = |ns: i64| i128::from(ns) - i128::from(first);
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for (sent, due) in jobs {
            // No piece is longer than MAX_NS, and the widening is no more.
            let earliest = (since(sent) * family.rate).div_euclid(MILLION) - family.widening_ns();
            low.push(i64::try_from(earliest).expect("within a piece"));
            let latest = -(-since(due) * MILLION).div_euclid(family.rate);
            high.push(i64::try_from(latest.min(2 * MAX_NS)).expect("bounded above"));
        }
        Self { low, high }
    }

    /// The window in which an instant lies at a phase.
    pub(super) fn slot(instant: i64, phase: i64, window: i64) -> i64 {
        (instant - phase).div_euclid(window)
    }
}

/// Searches each piece; `each` is told what was found and what it cost.
pub(super) fn phases(
    jobs: &[Job],
    family: &Family,
    mut budget: u64,
    mut each: impl FnMut(Found, u64) -> ControlFlow<()>,
) {
    let window = family.window_ns;
    let mut phase = jobs.first().map_or(0, |job| job.0.into());
    for run in runs(jobs, family) {
        let mut begin = 0;
        let mut end = 0;
        while end < run.len() {
            let first = jobs[run[begin]].0;
            end = piece_end(jobs, &run, begin, family);
            if end - begin > family.limit {
                let mut work = Work::new(end - begin, budget);
                let members = run[begin..end].iter().map(|&job| jobs[job]);
                let piece = Piece::of(members, first, family);
                let start = (phase - i128::from(first)).rem_euclid(window.into());
                let start = i64::try_from(start).expect("below a window");
                let found = sweep(&piece, family, start, &mut work).map(|(stuck, at)| {
                    phase = i128::from(first) + i128::from(at);
                    stuck.map(|stuck| stuck.into_iter().map(|job| run[begin + job]).collect())
                });
                if each(found, work.spent()).is_break() {
                    return;
                }
                budget = budget.saturating_sub(work.spent());
            }
            begin += ((end - begin) / 2).max(1);
        }
    }
}

/// Where a piece ends that begins at a place of a run.
fn piece_end(jobs: &[Job], run: &[usize], begin: usize, family: &Family) -> usize {
    let mut longest = MAX_NS;
    let ppm = MILLION - family.rate;
    if ppm > 0 {
        longest = longest.min(i128::from(family.window_ns) * MILLION / (WIDENED_PARTS * ppm));
    }
    let ends = i128::from(jobs[run[begin]].0) + longest;
    let most = run.len().min(begin + MOST_JOBS);
    let rest = &run[begin + 1..most];
    begin + 1 + rest.partition_point(|&job| i128::from(jobs[job].0) < ends)
}

/// Tries every phase from `phase` on: the jobs that left none, or the phase that fits.
fn sweep(
    piece: &Piece,
    family: &Family,
    mut phase: i64,
    work: &mut Work,
) -> Result<(Option<BTreeSet<usize>>, i64), Spent> {
    let last = phase + family.window_ns;
    let mut left = BTreeSet::new();
    while phase < last {
        work.add(work.jobs)?;
        let stuck = match family.algorithm {
            Algorithm::FixedWindow => overfull(piece, family.limit, family.window_ns, phase),
            _ => crowded(piece, family.limit, family.window_ns, phase, work)?,
        };
        let Some((jobs, stays)) = stuck else {
            return Ok((None, phase));
        };
        left.extend(jobs);
        phase += stays + 1;
    }
    Ok((Some(left), phase))
}

/// Jobs among which the phase cannot have changed, by index.
fn runs(jobs: &[Job], family: &Family) -> Vec<Vec<usize>> {
    if family.algorithm == Algorithm::FixedWindow {
        return vec![(0..jobs.len()).collect()];
    }
    let least = family.least_ns();
    let apart = |sent: i64, due: i64| i128::from(due) - i128::from(sent) >= least;
    let mut runs = Vec::new();
    let mut run: Vec<usize> = Vec::new();
    for (job, &(sent, due)) in jobs.iter().enumerate() {
        if apart(sent, due) {
            continue;
        }
        if run.last().is_some_and(|&last| apart(jobs[last].0, due)) {
            runs.push(std::mem::take(&mut run));
        }
        run.push(job);
    }
    runs.push(run);
    runs
}
