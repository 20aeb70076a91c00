//! Where may the windows of a limiter begin? The twin of `rateproof.prove.over_admission.families`, which is the
//! specification: the same inputs give the same answer, the same core and the same count of work.

mod first_hit_window;
mod fixed_window;
mod phases;
mod sliding_counter;
mod work;

use std::ops::ControlFlow;

use first_hit_window::openings;
use phases::phases;
use work::Spent;

use crate::stair::MAX_POSITIONS;

const MILLION: i128 = 1_000_000;
const MAX_PPM: i128 = 100_000;
const MAX_NS: i128 = 1 << 61;

/// An algorithm whose gap does not say everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Windows at the multiples of their length, from an unknown phase.
    FixedWindow,
    /// The same, where the count of one window weighs on the next.
    SlidingCounter,
    /// Windows opened by the first hit after the last has ended.
    FirstHitWindow,
}

/// The windows of one quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    algorithm: Algorithm,
    limit: usize,
    window_ns: i64,
    /// A million, less how many millionths the rates of the clocks may differ by.
    rate: i128,
    granularity_ns: i64,
}

impl Family {
    /// A family, or None where a figure is out of bounds.
    pub fn new(
        algorithm: Algorithm,
        limit: usize,
        window_ns: i64,
        ppm: i64,
        granularity_ns: i64,
    ) -> Option<Self> {
        let fits = limit >= 1
            && (1..MAX_NS).contains(&window_ns.into())
            && (0..=MAX_PPM).contains(&ppm.into())
            && (0..MAX_NS).contains(&granularity_ns.into());
        fits.then_some(Self {
            algorithm,
            limit,
            window_ns,
            rate: MILLION - i128::from(ppm),
            granularity_ns,
        })
    }

    /// How many admissions a window takes.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether leaving out admissions never breaks what kept the limit.
    pub(crate) fn monotone(&self) -> bool {
        self.algorithm != Algorithm::FirstHitWindow
    }

    /// The shortest that a window can last on the log's clock.
    fn least_ns(&self) -> i128 {
        i128::from(self.window_ns) * self.rate / MILLION - i128::from(self.granularity_ns)
    }

    /// The longest.
    fn most_ns(&self) -> i128 {
        let longest = i128::from(self.window_ns) * MILLION;
        (longest + self.rate - 1) / self.rate + i128::from(self.granularity_ns)
    }

    /// What the limiter's reading may lag by.
    fn widening_ns(&self) -> i128 {
        if self.rate == MILLION && self.granularity_ns == 0 {
            return 0;
        }
        i128::from(self.granularity_ns) + 1
    }
}

/// What came of a search; `spent` counts looks beyond the free ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Windows {
    /// Some windows fit, as far as was searched.
    Explained {
        /// Work.
        spent: u64,
    },
    /// None do: the jobs, by index in ascending order, that show it.
    Infeasible {
        /// Indices.
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

/// Looks for admissions that no windows of the family explain; see `rateproof.prove.over_admission.families`.
///
/// # Panics
/// If the slices differ in length or hold `MAX_POSITIONS` jobs or more.
pub fn search_windows(sent: &[i64], received: &[i64], family: &Family, budget: u64) -> Windows {
    assert_eq!(sent.len(), received.len(), "one end for each start");
    assert!(sent.len() < MAX_POSITIONS, "too many jobs");
    let mut order: Vec<usize> = (0..sent.len()).collect();
    order.sort_by_key(|&i| (sent[i], received[i], i));
    let jobs: Vec<Job> = order.iter().map(|&i| (sent[i], received[i])).collect();
    match search_sorted(&jobs, family, budget) {
        Windows::Infeasible { core, spent } => {
            let mut core: Vec<usize> = core.into_iter().map(|job| order[job]).collect();
            core.sort_unstable();
            Windows::Infeasible { core, spent }
        }
        other => other,
    }
}

/// When a job was sent, and when it was answered.
pub(crate) type Job = (i64, i64);

/// The jobs of a part that fit no windows, by index.
type Found = Result<Option<Vec<usize>>, Spent>;

/// The same for jobs that are sorted.
pub(crate) fn search_sorted(jobs: &[Job], family: &Family, budget: u64) -> Windows {
    let (mut spent, mut exhausted, mut core) = (0, false, None);
    let each = |found: Found, work: u64| {
        spent += work;
        match found {
            Err(Spent) => exhausted = true,
            Ok(None) => {}
            Ok(Some(found)) => {
                core = Some(found);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    };
    if family.monotone() {
        phases(jobs, family, budget, each);
    } else {
        openings(jobs, family, budget, each);
    }
    match core {
        Some(core) => Windows::Infeasible { core, spent },
        None if exhausted => Windows::Exhausted { spent },
        None => Windows::Explained { spent },
    }
}
