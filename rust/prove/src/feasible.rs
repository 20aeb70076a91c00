//! Earliest deadline first with barriers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::gaps::{Bounds, MAX_POSITIONS, Stair};

/// The answer to a question; `spent` counts positions decided again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Instants exist: `instants[i]` for the i-th job.
    Feasible {
        /// A witness.
        instants: Vec<i64>,
        /// Work.
        spent: u64,
    },
    /// None exist; the jobs up to the crisis, by index.
    Infeasible {
        /// Indices in ascending order.
        core: Vec<usize>,
        /// Work.
        spent: u64,
    },
    /// The budget was spent first.
    Exhausted {
        /// Work.
        spent: u64,
    },
}

/// Decides whether instants exist, one in each `[sent[i], received[i]]`, that
/// keep the gaps of all stairs.
///
/// # Panics
/// If the slices differ in length or hold `MAX_POSITIONS` jobs or more.
pub fn feasible(sent: &[i64], received: &[i64], stairs: &[Stair], budget: u64) -> Answer {
    assert_eq!(sent.len(), received.len(), "one end for each start");
    assert!(sent.len() < MAX_POSITIONS, "too many jobs");
    let mut search = Search::new(sent, received, stairs);
    while search.position < sent.len() {
        if search.place() {
            continue;
        }
        let Some(pull) = search.pull() else {
            return Answer::Infeasible {
                core: search.core(),
                spent: search.spent,
            };
        };
        search.rewind(pull);
        if search.spent > budget {
            return Answer::Exhausted {
                spent: search.spent,
            };
        }
    }
    Answer::Feasible {
        instants: search.witness(),
        spent: search.spent,
    }
}

/// Positions before `position` are decided. Jobs are numbered by sending time.
struct Search {
    order: Vec<usize>,
    sent: Vec<i64>,
    due: Vec<i64>,
    bounds: Vec<Bounds>,
    barrier: Vec<i64>,
    instant: Vec<i128>,
    who: Vec<usize>,
    released_before: Vec<usize>,
    ready: BinaryHeap<Reverse<(i64, usize)>>,
    released: usize,
    position: usize,
    spent: u64,
}

impl Search {
    fn new(sent: &[i64], received: &[i64], stairs: &[Stair]) -> Self {
        let n = sent.len();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by_key(|&i| (sent[i], received[i], i));
        let first = order.first().map_or(0, |&i| sent[i]);
        Self {
            sent: order.iter().map(|&i| sent[i]).collect(),
            due: order.iter().map(|&i| received[i]).collect(),
            order,
            bounds: stairs
                .iter()
                .filter(|stair| stair.binds(n))
                .map(|&stair| Bounds::new(stair, n))
                .collect(),
            barrier: vec![first; n],
            instant: vec![0; n],
            who: vec![0; n],
            released_before: vec![0; n],
            ready: BinaryHeap::new(),
            released: 0,
            position: 0,
            spent: 0,
        }
    }

    /// Decides the next position; false at a crisis, which stays at that position.
    fn place(&mut self) -> bool {
        let k = self.position;
        self.released_before[k] = self.released;
        let mut t = i128::from(self.barrier[k]);
        if k > 0 {
            t = t.max(self.instant[k - 1]);
        }
        for bounds in &self.bounds {
            t = bounds.earliest(k, t);
        }
        self.release(t);
        if self.ready.is_empty() {
            t = i128::from(self.sent[self.released]);
            self.release(t);
        }
        let Reverse((due, job)) = self
            .ready
            .pop()
            .expect("k jobs are placed, more are released");
        self.instant[k] = t;
        self.who[k] = job;
        if t > i128::from(due) {
            return false;
        }
        for bounds in &mut self.bounds {
            bounds.record(k, t);
        }
        self.position = k + 1;
        true
    }

    fn release(&mut self, t: i128) {
        while let Some(&sent) = self.sent.get(self.released) {
            if i128::from(sent) > t {
                break;
            }
            self.ready
                .push(Reverse((self.due[self.released], self.released)));
            self.released += 1;
        }
    }

    /// The last position before the crisis whose job is due later.
    fn pull(&self) -> Option<usize> {
        let due = self.due[self.who[self.position]];
        (0..self.position)
            .rev()
            .find(|&k| self.due[self.who[k]] > due)
    }

    /// Sets the barrier and goes back to the pull position; earlier ones keep their jobs.
    fn rewind(&mut self, pull: usize) {
        let crisis = self.position;
        let behind = &self.who[pull + 1..=crisis];
        let earliest = *behind.iter().min().expect("the crisis job is among them");
        self.barrier[pull] = self.sent[earliest];
        let released = self.released_before[pull];
        self.spent += (crisis - pull + 1 + self.ready.len()) as u64;
        let mut ready = std::mem::take(&mut self.ready).into_vec();
        ready.extend(
            self.who[pull..=crisis]
                .iter()
                .map(|&job| Reverse((self.due[job], job))),
        );
        ready.retain(|Reverse((_, job))| *job < released);
        self.ready = BinaryHeap::from(ready);
        self.released = released;
        self.position = pull;
    }

    fn core(&self) -> Vec<usize> {
        let mut core: Vec<usize> = self.who[..=self.position]
            .iter()
            .map(|&job| self.order[job])
            .collect();
        core.sort_unstable();
        core
    }

    fn witness(&self) -> Vec<i64> {
        let mut instants = vec![0; self.who.len()];
        for (&job, &instant) in self.who.iter().zip(&self.instant) {
            // No later than the job's end, so it fits.
            instants[self.order[job]] = i64::try_from(instant).expect("within an interval");
        }
        instants
    }
}
