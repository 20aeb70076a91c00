//! Clearance: would a search find nothing against a key, and what would it spend on that?

use crate::families::Clearance;
use crate::feasible::{Answer, feasible};
use crate::gaps::{Bounds, Stair};
use crate::report::Model;
use crate::seen::Seen;

/// Budget of a first search for each job: as `rateproof.prove.over_admission.breach` allows it.
const FIRST_BUDGET: u64 = 16;

/// Cost of searches before they find that jobs in order can be explained: positions that are
/// decided again, and looks at windows. None where one finds otherwise, or not within its first budget.
///
/// `flat`: no interval lies strictly within another. `in_turn`: they are known to be. `whole`: these
/// are all hits that were ever counted.
pub(crate) fn clearance(
    jobs: &[Seen],
    flat: bool,
    in_turn: bool,
    model: &Model,
    whole: bool,
) -> Clearance {
    let mut spent = 0;
    if !in_turn && !self::in_turn(jobs, &model.stairs) {
        spent = clearance_out_of_turn(jobs, flat, &model.stairs)?;
    }
    for family in &model.families {
        spent += family.clearance(jobs, whole, FIRST_BUDGET * jobs.len() as u64)?;
    }
    Some(spent)
}

fn clearance_out_of_turn(jobs: &[Seen], flat: bool, stairs: &[Stair]) -> Clearance {
    // In turn would be by deadline, and there is nothing to pull: a job is late for good.
    if flat {
        return None;
    }
    let smallest = stairs.iter().map(|stair| stair.size(1)).min()?;
    let horizon = stairs.iter().map(Stair::horizon_ns).max()?;
    let segments = Segments {
        rest: jobs,
        horizon,
    };
    let mut spent = 0;
    for part in segments.filter(|part| part.len() >= smallest) {
        let sent: Vec<i64> = part.iter().map(|job| job.sent).collect();
        let due: Vec<i64> = part.iter().map(|job| job.end).collect();
        match feasible(&sent, &due, stairs, FIRST_BUDGET * part.len() as u64) {
            Answer::Feasible { spent: more, .. } => spent += more,
            Answer::Infeasible { .. } | Answer::Exhausted { .. } => return None,
        }
    }
    Some(spent)
}

/// True if all jobs are in time when each is decided as early as the gaps allow, in the order in
/// which they were sent.
///
/// The search tries the same instants until its first crisis, for these depend on how many
/// jobs were released and not on which was taken. If every instant suits the job that is sent
/// in that place, the most urgent one is in time too: there is no crisis, and nothing is spent.
/// A pause of a horizon binds nothing across it, so cutting there would change nothing.
pub(crate) fn in_turn(jobs: &[Seen], stairs: &[Stair]) -> bool {
    let binding = stairs.iter().filter(|stair| stair.binds(jobs.len()));
    let mut bounds: Vec<Bounds> = binding
        .map(|&stair| Bounds::new(stair, jobs.len()))
        .collect();
    let mut instant = i128::MIN;
    for (k, job) in jobs.iter().enumerate() {
        instant = instant.max(i128::from(job.sent));
        for bound in &bounds {
            instant = bound.earliest(k, instant);
        }
        if instant > i128::from(job.end) {
            return false;
        }
        for bound in &mut bounds {
            bound.record(k, instant);
        }
    }
    true
}

/// Runs of jobs that cannot influence each other: see `rateproof.prove.over_admission.feasible.segments`.
struct Segments<'a> {
    rest: &'a [Seen],
    horizon: i128,
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [Seen];

    fn next(&mut self) -> Option<&'a [Seen]> {
        let mut latest = self.rest.first()?.end;
        let apart = |job: &Seen| {
            let cut = i128::from(job.sent) >= i128::from(latest) + self.horizon;
            latest = latest.max(job.end);
            cut
        };
        let length = self.rest.iter().skip(1).position(apart);
        let (part, rest) = self
            .rest
            .split_at(length.map_or(self.rest.len(), |at| at + 1));
        self.rest = rest;
        Some(part)
    }
}
