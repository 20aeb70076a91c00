//! Earliest deadline first with barriers.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::gaps::{Bounds, MAX_POSITIONS, Stair};
use crate::seen::Seen;

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
    let mut order: Vec<usize> = (0..sent.len()).collect();
    order.sort_by_key(|&i| (sent[i], received[i], i));
    let mut search = Search::new(stairs, sent.len());
    search.add(order.iter().map(|&i| Seen {
        sent: sent[i],
        end: received[i],
    }));
    let by_index = |mut of: Vec<usize>| {
        of.iter_mut().for_each(|job| *job = order[*job]);
        of.sort_unstable();
        of
    };
    match search.run(true, budget) {
        Run::Done => {
            let mut instants = vec![0; sent.len()];
            for place in &search.places {
                // No later than the job's end, so it fits.
                instants[order[place.job]] =
                    i64::try_from(place.instant).expect("within an interval");
            }
            Answer::Feasible {
                instants,
                spent: search.spent,
            }
        }
        Run::Stuck => Answer::Infeasible {
            core: by_index(search.core()),
            spent: search.spent,
        },
        Run::Spent => Answer::Exhausted {
            spent: search.spent,
        },
    }
}

/// A position that is decided.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// The earliest instant that it can have.
    pub instant: i128,
    /// Number of the job that has it, and its interval.
    job: usize,
    seen: Seen,
    /// Not before this instant.
    barrier: i64,
    /// Number of jobs that were released before it was decided.
    released_before: usize,
}

/// The end of a run of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// All of those jobs that are known to be next are decided.
    Done,
    /// One is late, and no job can wait for it among those that are remembered.
    Stuck,
    /// The budget is spent.
    Spent,
}

/// A search that jobs are added to by sending time, of which the first positions may be forgotten.
pub(crate) struct Search {
    jobs: VecDeque<Seen>,
    /// Number of jobs that are forgotten.
    first_job: usize,
    bounds: Vec<Bounds>,
    /// The positions that are remembered; at a crisis also that of the job which is late.
    pub places: VecDeque<Place>,
    /// Number of positions that are forgotten.
    pub first: usize,
    ready: BinaryHeap<Reverse<(i64, usize, i64)>>,
    released: usize,
    position: usize,
    pub spent: u64,
}

impl Search {
    /// For so many jobs in all.
    pub fn new(stairs: &[Stair], jobs: usize) -> Self {
        Self {
            jobs: VecDeque::new(),
            first_job: 0,
            bounds: stairs
                .iter()
                .filter(|stair| stair.binds(jobs))
                .map(|&stair| Bounds::new(stair, 0))
                .collect(),
            places: VecDeque::new(),
            first: 0,
            ready: BinaryHeap::new(),
            released: 0,
            position: 0,
            spent: 0,
        }
    }

    /// Adds the jobs that were sent next.
    pub fn add(&mut self, jobs: impl Iterator<Item = Seen>) {
        self.jobs.extend(jobs);
    }

    /// Decides all positions, or until more jobs are added those that these cannot matter to.
    pub fn run(&mut self, last: bool, budget: u64) -> Run {
        while self.position < self.first_job + self.jobs.len() {
            match self.place(last) {
                None => break,
                Some(true) => continue,
                Some(false) => {}
            }
            let Some(pull) = self.pull() else {
                return Run::Stuck;
            };
            self.rewind(pull);
            if self.spent > budget {
                return Run::Spent;
            }
        }
        Run::Done
    }

    /// Forgets all positions but the last so many, and gives each to see.
    pub fn forget(&mut self, but: usize, mut see: impl FnMut(&Place)) {
        while self.position - self.first > but {
            see(&self.places[0]);
            self.places.pop_front();
            self.first += 1;
        }
        let needed = (self.places.front()).map_or(self.released, |place| place.released_before);
        while self.first_job < needed {
            self.jobs.pop_front();
            self.first_job += 1;
        }
        for bounds in &mut self.bounds {
            bounds.forget(self.first);
        }
    }

    /// Decides the next position; false at a crisis, which stays at that position. None where
    /// jobs that are not known yet may matter to it.
    fn place(&mut self, last: bool) -> Option<bool> {
        let k = self.position;
        let at = k - self.first;
        if at == self.places.len() {
            self.places.push_back(Place {
                barrier: i64::MIN,
                ..Place::default()
            });
        }
        self.places[at].released_before = self.released;
        let mut t = i128::from(self.places[at].barrier);
        if at > 0 {
            t = t.max(self.places[at - 1].instant);
        }
        for bounds in &self.bounds {
            t = bounds.earliest(k, t);
        }
        self.release(t, last)?;
        if self.ready.is_empty() {
            // No more were sent before it than have a position: it is not earlier, whatever else is found.
            let sent = self.jobs[self.released - self.first_job].sent;
            self.places[at].barrier = sent;
            t = i128::from(sent);
            self.release(t, last)?;
        }
        let Reverse((due, job, sent)) = self
            .ready
            .pop()
            .expect("k jobs are placed, more are released");
        let place = &mut self.places[at];
        place.instant = t;
        place.job = job;
        place.seen = Seen { sent, end: due };
        if t > i128::from(due) {
            return Some(false);
        }
        for bounds in &mut self.bounds {
            bounds.record(k, t);
        }
        self.position = k + 1;
        Some(true)
    }

    /// Releases the jobs sent by an instant; None where more of them may be added.
    fn release(&mut self, t: i128, last: bool) -> Option<()> {
        while let Some(seen) = self.jobs.get(self.released - self.first_job) {
            if i128::from(seen.sent) > t {
                return Some(());
            }
            self.ready
                .push(Reverse((seen.end, self.released, seen.sent)));
            self.released += 1;
        }
        last.then_some(())
    }

    /// The last position before the crisis whose job is due later.
    fn pull(&self) -> Option<usize> {
        let crisis = self.position - self.first;
        let due = self.places[crisis].seen.end;
        (0..crisis).rev().find(|&at| self.places[at].seen.end > due)
    }

    /// Sets the barrier and goes back to the pull position; earlier ones keep their jobs.
    fn rewind(&mut self, pull: usize) {
        let crisis = self.position - self.first;
        let behind = self.places.range(pull + 1..=crisis);
        let earliest = behind.min_by_key(|place| place.job);
        self.places[pull].barrier = earliest.expect("the crisis job is among them").seen.sent;
        let released = self.places[pull].released_before;
        self.spent += (crisis - pull + 1 + self.ready.len()) as u64;
        let mut ready = std::mem::take(&mut self.ready).into_vec();
        ready.extend(
            (self.places.range(pull..=crisis))
                .map(|place| Reverse((place.seen.end, place.job, place.seen.sent))),
        );
        ready.retain(|Reverse((_, job, _))| *job < released);
        self.ready = BinaryHeap::from(ready);
        self.released = released;
        self.position = self.first + pull;
    }

    fn core(&self) -> Vec<usize> {
        let crisis = self.position - self.first;
        (self.places.range(..=crisis))
            .map(|place| place.job)
            .collect()
    }
}
