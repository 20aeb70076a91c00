//! Phases at which the windows may begin: every one of a grid, tried a piece of a log at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::seen::Seen;

const MILLION: i128 = 1_000_000;
const MAX_PPM: i128 = 100_000;
const MAX_NS: i128 = 1 << 61;
const MOST_JOBS: usize = 1024;
const WIDENED_PARTS: i128 = 16;

/// The price of a search that finds nothing; None where it has to be made.
pub type Clearance = Option<u64>;

/// Searches a family's windows for jobs in order, within a budget.
pub type Search = fn(&[Seen], &Family, u64) -> Clearance;

/// The windows of one quota.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub(super) limit: usize,
    pub(super) window_ns: i64,
    /// A million, less how many millionths the rates of the clocks may differ by.
    rate: i128,
    granularity_ns: i64,
    /// The search for it; None for one that is not known here.
    search: Option<Search>,
    /// True if leaving out admissions never breaks what kept the limit.
    monotone: bool,
    /// True if the window before weighs, so that instants between two ns matter.
    weighs: bool,
}

impl Family {
    /// A family, or None where a figure is out of bounds.
    pub(super) fn new(
        (search, monotone, weighs): (Option<Search>, bool, bool),
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
            limit,
            window_ns,
            rate: MILLION - i128::from(ppm),
            granularity_ns,
            search,
            monotone,
            weighs,
        })
    }

    /// The price of a search of its windows that finds nothing against jobs in order; None
    /// where it finds something, or not within the budget.
    ///
    /// `whole`: these are all hits that were ever counted. Without that some are not searched.
    pub fn clearance(&self, jobs: &[Seen], whole: bool, budget: u64) -> Clearance {
        if jobs.len() <= self.limit {
            return Some(0); // They fit any windows.
        }
        match self.search {
            Some(search) if whole || self.monotone => search(jobs, self, budget),
            Some(_) => Some(0),
            None => None,
        }
    }

    /// The shortest that a window can last on the log's clock.
    pub(super) fn least_ns(&self) -> i128 {
        i128::from(self.window_ns) * self.rate / MILLION - i128::from(self.granularity_ns)
    }

    /// The longest.
    pub(super) fn most_ns(&self) -> i128 {
        let longest = i128::from(self.window_ns) * MILLION;
        (longest + self.rate - 1) / self.rate + i128::from(self.granularity_ns)
    }

    /// Greatest lag of the limiter's reading.
    fn widening_ns(&self) -> i128 {
        if self.rate == MILLION && self.granularity_ns == 0 && !self.weighs {
            return 0;
        }
        i128::from(self.granularity_ns) + 1
    }
}

/// The budget is spent.
#[derive(Debug)]
pub(super) struct Spent;

const FREE_LOOKS: u64 = 16;

/// Counts the jobs that a search looks at; the first looks at each are free.
pub(super) struct Work {
    pub jobs: usize,
    looks: u64,
    free: u64,
    most: u64,
}

impl Work {
    pub(super) fn new(jobs: usize, budget: u64) -> Self {
        let free = FREE_LOOKS * jobs as u64;
        Self {
            jobs,
            looks: 0,
            free,
            most: free.saturating_add(budget),
        }
    }

    /// Looks beyond the free ones.
    pub(super) fn spent(&self) -> u64 {
        self.looks.saturating_sub(self.free)
    }

    pub(super) fn add(&mut self, looks: usize) -> Result<(), Spent> {
        self.looks += looks as u64;
        if self.looks > self.most {
            return Err(Spent);
        }
        Ok(())
    }
}

/// Jobs on the limiter's clock, in ns from their first; by sending time.
pub(super) struct Readings {
    pub low: Vec<i64>,
    pub high: Vec<i64>,
}

/// Jobs that do not fit at a phase, and how many ns later a phase may be for that to stay so.
pub(super) type Stuck = (Vec<usize>, i64);

impl Readings {
    fn of(jobs: &[Seen], family: &Family) -> Self {
        let first = jobs[0].sent;
        let since = |ns: i64| i128::from(ns) - i128::from(first);
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for &Seen { sent, end: due } in jobs {
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

/// Says of readings, a family and a phase which jobs do not fit; None if all do.
pub(super) type Fits = fn(&Readings, &Family, i64, &mut Work) -> Result<Option<Stuck>, Spent>;

/// Searches one piece of a log after the other; see `Search`.
///
/// `restarts`: windows may begin anew, at any phase, after a pause.
pub(super) fn each_piece(
    jobs: &[Seen],
    family: &Family,
    budget: u64,
    fits: Fits,
    restarts: bool,
) -> Option<u64> {
    let window = family.window_ns;
    let mut phase: i128 = jobs.first().map_or(0, |job| job.sent.into());
    let mut spent = 0;
    for run in runs(jobs, family, restarts) {
        let (mut begin, mut end) = (0, 0);
        while end < run.len() {
            let first = run[begin].sent;
            end = piece_end(&run, begin, family);
            if end - begin > family.limit {
                let mut work = Work::new(end - begin, budget - spent);
                let readings = Readings::of(&run[begin..end], family);
                let start = (phase - i128::from(first)).rem_euclid(window.into());
                let start = i64::try_from(start).expect("below a window");
                let at = sweep(&readings, family, start, fits, &mut work).ok()??;
                phase = i128::from(first) + i128::from(at);
                spent += work.spent();
            }
            begin += ((end - begin) / 2).max(1);
        }
    }
    Some(spent)
}

/// End of the piece that begins at a place of a run.
fn piece_end(run: &[Seen], begin: usize, family: &Family) -> usize {
    let mut longest = MAX_NS;
    let ppm = MILLION - family.rate;
    if ppm > 0 {
        longest = longest.min(i128::from(family.window_ns) * MILLION / (WIDENED_PARTS * ppm));
    }
    let ends = i128::from(run[begin].sent) + longest;
    let most = run.len().min(begin + MOST_JOBS);
    let rest = &run[begin + 1..most];
    begin + 1 + rest.partition_point(|job| i128::from(job.sent) < ends)
}

/// Tries every phase from `phase` on: the first that fits, if any.
fn sweep(
    readings: &Readings,
    family: &Family,
    mut phase: i64,
    fits: Fits,
    work: &mut Work,
) -> Result<Option<i64>, Spent> {
    let last = phase + family.window_ns;
    while phase < last {
        work.add(work.jobs)?;
        match fits(readings, family, phase, work)? {
            None => return Ok(Some(phase)),
            Some((_, stays)) => phase += stays + 1,
        }
    }
    Ok(None)
}

/// Jobs among which the phase cannot have changed.
fn runs(jobs: &[Seen], family: &Family, restarts: bool) -> Vec<Vec<Seen>> {
    if !restarts {
        return vec![jobs.to_vec()];
    }
    let least = family.least_ns();
    let apart = |sent: i64, due: i64| i128::from(due) - i128::from(sent) >= least;
    let mut runs = Vec::new();
    let mut run: Vec<Seen> = Vec::new();
    for &Seen { sent, end: due } in jobs {
        if apart(sent, due) {
            continue;
        }
        if run.last().is_some_and(|last| apart(last.sent, due)) {
            runs.push(std::mem::take(&mut run));
        }
        run.push(Seen { sent, end: due });
    }
    runs.push(run);
    runs
}

/// Jobs that touch d slots only and are more than N*d; None if all fit.
pub(super) fn overfull(readings: &Readings, family: &Family, phase: i64) -> Option<Stuck> {
    let (limit, window) = (family.limit, family.window_ns);
    let opens = |job: usize| Readings::slot(readings.low[job], phase, window);
    let closes = |job: usize| Readings::slot(readings.high[job], phase, window);
    let mut ready: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
    let mut placed: Vec<usize> = Vec::new();
    // Where in `placed` each slot since the last that was not full begins.
    let mut slots: Vec<usize> = Vec::new();
    let (mut slot, mut job) = (0, 0);
    while job < readings.low.len() || !ready.is_empty() {
        if ready.is_empty() {
            slot = opens(job);
            placed.clear();
            slots.clear();
        }
        while job < readings.low.len() && opens(job) <= slot {
            ready.push(Reverse((readings.high[job], job)));
            job += 1;
        }
        slots.push(placed.len());
        for _ in 0..limit {
            let Some(Reverse((_, urgent))) = ready.pop() else {
                break;
            };
            if closes(urgent) < slot {
                let mut first = slots.len() - 1;
                while first > 0
                    && (placed[slots[first - 1]..slots[first]].iter())
                        .all(|&job| closes(job) < slot)
                {
                    first -= 1;
                }
                let opening = slot - (slots.len() - 1 - first) as i64;
                let mut block = placed[slots[first]..].to_vec();
                block.push(urgent);
                let behind = (block.iter())
                    .filter(|&&job| opens(job) == opening)
                    .map(|&job| (readings.low[job] - phase).rem_euclid(window));
                let stays = behind
                    .min()
                    .expect("the first slot was filled by such jobs");
                return Some((block, stays));
            }
            placed.push(urgent);
        }
        slot += 1;
    }
    None
}
