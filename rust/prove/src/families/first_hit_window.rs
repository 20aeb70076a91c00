//! Windows opened by their first hit: which hits may have opened them?

use std::collections::BTreeMap;

use super::phases::{Family, Spent, Work};
use crate::seen::Seen;

pub(super) const NAME: &str = "first-hit-window";

/// Number of those decided, of those sent by then, and which of these are not decided.
type State = (usize, usize, Vec<usize>);

/// Searches each part before which there was no window.
pub(super) fn search(jobs: &[Seen], family: &Family, budget: u64) -> Option<u64> {
    let most = family.most_ns();
    let (mut begin, mut spent) = (0, 0);
    let mut latest = jobs.first().map_or(0, |job| job.end);
    for end in 1..=jobs.len() {
        let next = jobs.get(end);
        if let Some(job) = next.filter(|job| i128::from(job.sent) < i128::from(latest) + most) {
            latest = latest.max(job.end);
            continue;
        }
        if end - begin > family.limit {
            let mut work = Work::new(end - begin, budget - spent);
            if !opened(&jobs[begin..end], family, &mut work).ok()? {
                return None;
            }
            spent += work.spent();
        }
        begin = end;
        latest = next.map_or(latest, |job| job.end);
    }
    Some(spent)
}

/// True if all jobs fit some windows.
fn opened(jobs: &[Seen], family: &Family, work: &mut Work) -> Result<bool, Spent> {
    let search = Search::new(jobs, family);
    let mut states: BTreeMap<State, i128> = BTreeMap::from([((0, 0, Vec::new()), search.sent[0])]);
    while let Some((state, earliest)) = states.pop_first() {
        if search.windows(&state, earliest, &mut states, work)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// All ways to go on from a state. Each decides a job, so those with fewer go first.
struct Search {
    limit: usize,
    least: i128,
    most: i128,
    sent: Vec<i128>,
    due: Vec<i128>,
    /// The earliest due of the jobs from each on.
    soonest: Vec<i128>,
}

impl Search {
    fn new(jobs: &[Seen], family: &Family) -> Self {
        let due: Vec<i128> = jobs.iter().map(|job| job.end.into()).collect();
        let mut soonest = due.clone();
        soonest.push(1 << 63);
        for job in (0..due.len()).rev() {
            soonest[job] = soonest[job].min(soonest[job + 1]);
        }
        Self {
            limit: family.limit,
            least: family.least_ns().max(1),
            most: family.most_ns(),
            sent: jobs.iter().map(|job| job.sent.into()).collect(),
            due,
            soonest,
        }
    }

    /// Adds the states after the next window, and when that ends; whether all jobs are decided.
    fn windows(
        &self,
        (_, sent, left): &State,
        mut earliest: i128,
        states: &mut BTreeMap<State, i128>,
        work: &mut Work,
    ) -> Result<bool, Spent> {
        if left.is_empty() {
            earliest = earliest.max(self.sent[*sent]);
        }
        let dues = left.iter().map(|&job| self.due[job]);
        let latest = dues.fold(self.soonest[*sent], i128::min);
        for ends in self.ends(*sent, left, earliest, latest) {
            let by_then = sent + self.sent[*sent..].partition_point(|&sent| sent < ends);
            let mut jobs: Vec<usize> = left.iter().copied().chain(*sent..by_then).collect();
            jobs.sort_by_key(|&job| (self.due[job], job));
            work.add(1 + jobs.len())?;
            let Some((may, count)) = self.choices(jobs, ends) else {
                break;
            };
            // All are paid before any is there: what is held in memory is bounded by the budget.
            work.add(count * may.len() - count * count.saturating_sub(1) / 2)?;
            for taken in 0..count {
                let mut waiting = may[taken..].to_vec();
                waiting.sort_unstable();
                let decided = by_then - waiting.len();
                if decided == self.sent.len() {
                    return Ok(true);
                }
                let earliest = states.entry((decided, by_then, waiting)).or_insert(ends);
                *earliest = ends.min(*earliest);
            }
        }
        Ok(false)
    }

    /// The instants at which the window may end, the first of all between which nothing changes.
    fn ends(&self, sent: usize, left: &[usize], earliest: i128, latest: i128) -> Vec<i128> {
        let (first, last) = (earliest + self.least, latest + self.most);
        let until = sent + self.sent[sent..].partition_point(|&sent| sent < last);
        let mut changes = vec![first];
        for job in left.iter().copied().chain(sent..until) {
            let (sent, due) = (self.sent[job], self.due[job]);
            changes.extend([due + 1, sent + 1, sent + self.least]);
        }
        changes.retain(|instant| (first..=last).contains(instant));
        changes.sort_unstable();
        changes.dedup();
        changes
    }

    /// Requests that may wait, and the number of ways: each leaves one fewer undecided, from the
    /// first on. None if the window must take too many, as any longer one.
    fn choices(&self, mut may: Vec<usize>, ends: i128) -> Option<(Vec<usize>, usize)> {
        let opens = ends - self.least;
        let due = may.partition_point(|&job| self.due[job] < ends);
        if due > self.limit {
            return None;
        }
        let mut must = may.drain(..due);
        let opened = must.any(|job| self.sent[job] <= opens);
        drop(must);
        let mut taken = due;
        if !opened {
            let Some(opener) = may.iter().position(|&job| self.sent[job] <= opens) else {
                return Some((may, 0));
            };
            may.remove(opener);
            taken += 1;
        }
        if taken > self.limit {
            return Some((may, 0));
        }
        let most = may.len().min(self.limit - taken);
        Some((may, most + 1))
    }
}
