//! Sliding counters at a known phase: the count of one window delays the admissions of the next.

use std::collections::BTreeMap;

use super::phases::{Family, Readings, Spent, Stuck, Work, each_piece, overfull};
use crate::seen::Seen;

pub(super) const NAME: &str = "sliding-counter";

/// Jobs left to the next window, the most urgent first: the latest reading, and which it is.
type Waiting = Vec<(i64, usize)>;

pub(super) fn search(jobs: &[Seen], family: &Family, budget: u64) -> Option<u64> {
    if family.window_ns <= family.limit as i64 {
        return Some(0);
    }
    each_piece(jobs, family, budget, fits, true)
}

/// Jobs of consecutive windows that do not all fit into them; None if all jobs fit.
fn fits(
    readings: &Readings,
    family: &Family,
    phase: i64,
    work: &mut Work,
) -> Result<Option<Stuck>, Spent> {
    if let Some(stuck) = overfull(readings, family, phase) {
        return Ok(Some(stuck));
    }
    let (limit, window) = (family.limit, family.window_ns);
    let grid = Grid {
        readings,
        limit,
        window,
        phase,
    };
    let all: Vec<usize> = (0..readings.low.len()).collect();
    let Some(crisis) = grid.fill(&all, work)? else {
        return Ok(None);
    };
    let mut slots = 1;
    loop {
        let blamed = |job: &usize| {
            (crisis - slots..=crisis).contains(&grid.opens(*job)) && grid.closes(*job) <= crisis
        };
        let core: Vec<usize> = all.iter().copied().filter(blamed).collect();
        if grid.opens(0) >= crisis - slots || grid.fill(&core, work)?.is_some() {
            let behind = core
                .iter()
                .map(|&job| (readings.low[job] - phase).rem_euclid(window));
            let stays = behind.min().expect("some job is late");
            return Ok(Some((core, stays)));
        }
        slots *= 2;
    }
}

struct Grid<'a> {
    readings: &'a Readings,
    limit: usize,
    window: i64,
    phase: i64,
}

impl Grid<'_> {
    fn opens(&self, job: usize) -> i64 {
        Readings::slot(self.readings.low[job], self.phase, self.window)
    }

    fn closes(&self, job: usize) -> i64 {
        Readings::slot(self.readings.high[job], self.phase, self.window)
    }

    /// The least e with floor(previous*(W - e)/W) + k - 1 < N: W or more if there is none.
    fn earliest(&self, previous: usize, k: usize) -> i64 {
        let room = self.limit + 1 - k;
        if previous < room {
            return 0;
        }
        let left = (room as u128 * self.window as u128).div_ceil(previous as u128);
        // No more than the window, for room is no more than previous.
        self.window + 1 - left as i64
    }

    /// The first window in which the jobs do not fit, None if they fit.
    fn fill(&self, jobs: &[usize], work: &mut Work) -> Result<Option<i64>, Spent> {
        let mut states: BTreeMap<Waiting, usize> = BTreeMap::from([(Vec::new(), 0)]);
        let (mut slot, mut at) = (jobs.first().map_or(0, |&job| self.opens(job)), 0);
        loop {
            let waits = states.keys().any(|waiting| !waiting.is_empty());
            if !waits {
                let Some(&next) = jobs.get(at) else {
                    return Ok(None);
                };
                if self.opens(next) > slot {
                    states = BTreeMap::from([(Vec::new(), 0)]);
                    slot = self.opens(next);
                }
            }
            let mut new = Vec::new();
            while at < jobs.len() && self.opens(jobs[at]) <= slot {
                new.push((self.readings.high[jobs[at]], jobs[at]));
                at += 1;
            }
            let mut after = BTreeMap::new();
            for (mut waiting, previous) in states {
                waiting.extend_from_slice(&new);
                waiting.sort_unstable();
                work.add(1 + waiting.len())?;
                self.pass(slot, &waiting, previous, &mut after, work)?;
            }
            if after.is_empty() {
                return Ok(Some(slot));
            }
            states = after;
            slot += 1;
        }
    }

    /// Adds what may be left waiting after a window, and how many it took then.
    fn pass(
        &self,
        slot: i64,
        jobs: &[(i64, usize)],
        previous: usize,
        after: &mut BTreeMap<Waiting, usize>,
        work: &mut Work,
    ) -> Result<(), Spent> {
        let begins = self.phase + slot * self.window;
        let mut room = self.limit;
        while room > 0 && self.earliest(previous, room) >= self.window {
            room -= 1;
        }
        let due = jobs.partition_point(|&(high, _)| high < begins + self.window);
        let in_time =
            due <= room && (1..=due).all(|k| jobs[k - 1].0 >= begins + self.earliest(previous, k));
        if in_time {
            for count in due..=jobs.len().min(room) {
                work.add(jobs.len() - count)?;
                let taken = after.entry(jobs[count..].to_vec()).or_insert(count);
                *taken = count.min(*taken);
            }
        }
        Ok(())
    }
}
