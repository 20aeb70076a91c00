//! Orders of decisions that explain admissions and rejections alike.
//!
//! The twin of `rateproof.prove.wrong_rejection.orders`, which is the specification: the same pieces give the same
//! answer and the same count of work. `docs/theory.md`, section 3, proves it.

/// A sliding log, as far as clocks may disagree.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// The most that it holds.
    pub limit: usize,
    /// The least time after which there is room again, in ns.
    pub low_ns: i64,
    /// The most time until there must be, in ns.
    pub high_ns: i64,
}

/// Requests of one key, to be explained together; closed intervals in any order.
#[derive(Clone, Debug, Default)]
pub struct Episode {
    /// Admissions, rejections that need a reason, and rejections that need none.
    pub requests: [Vec<(i64, i64)>; 3],
    /// True if all of them fill a log, and not only admissions.
    pub denied_count: bool,
}

const ADMITTED: usize = 0;
const REJECTED: usize = 1;

/// The price of a search for instants that keep every log and give every rejection a reason;
/// None where there are none, or it is not found out within the budget.
pub fn explain(piece: &Episode, logs: &[Log], budget: u64) -> Option<u64> {
    let mut search = Search::new(piece, logs);
    let mut levels = vec![search.steps()];
    while let Some(level) = levels.last_mut() {
        if search.order.len() == search.requests.len() {
            return Some(search.spent);
        }
        if search.spent > budget {
            return None;
        }
        let Some(step) = level.pop() else {
            levels.pop();
            if !levels.is_empty() {
                search.undo();
            }
            continue;
        };
        if search.take(step) {
            levels.push(search.steps());
        } else {
            search.undo();
        }
    }
    None
}

/// A request, and its neighbours among the pending ones of its kind.
struct Request {
    sent: i64,
    due: i64,
    kind: usize,
    next: Option<usize>,
    previous: Option<usize>,
}

/// A decision that may come next; the least is the best.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    raises: bool,
    instant: i64,
    request: usize,
    log: Option<usize>,
}

/// A place in the order.
struct Place {
    request: usize,
    instant: i64,
    /// The place that must not lie too far back, and how far it may.
    filler: Option<(usize, i64)>,
    /// Number of admissions before.
    rank: usize,
}

struct Search<'a> {
    logs: &'a [Log],
    all_count: bool,
    requests: Vec<Request>,
    head: [Option<usize>; 3],
    order: Vec<Place>,
    admitted: Vec<usize>,
    trail: Vec<(usize, i64)>,
    marks: Vec<usize>,
    spent: u64,
}

impl<'a> Search<'a> {
    fn new(piece: &Episode, logs: &'a [Log]) -> Self {
        let mut requests: Vec<Request> = Vec::new();
        let mut head = [None; 3];
        for (kind, intervals) in piece.requests.iter().enumerate() {
            let base = requests.len();
            let mut by_time: Vec<usize> = (0..intervals.len()).collect();
            by_time.sort_by_key(|&i| (intervals[i], i));
            for (at, &i) in by_time.iter().enumerate() {
                requests.push(Request {
                    sent: intervals[i].0,
                    due: intervals[i].1,
                    kind,
                    next: (at + 1 < by_time.len()).then_some(base + at + 1),
                    previous: at.checked_sub(1).map(|before| base + before),
                });
            }
            head[kind] = (!by_time.is_empty()).then_some(base);
        }
        Self {
            logs,
            all_count: piece.denied_count,
            requests,
            head,
            order: Vec::new(),
            admitted: Vec::new(),
            trail: Vec::new(),
            marks: Vec::new(),
            spent: 0,
        }
    }

    /// Requests that may come next, the best last.
    fn steps(&mut self) -> Vec<Step> {
        let mut candidates = Vec::new();
        let mut least: Option<i64> = None;
        for head in self.head {
            let mut least_of_kind: Option<i64> = None;
            let mut at = head;
            while let Some(number) = at {
                self.spent += 1;
                let request = &self.requests[number];
                if least_of_kind.is_some_and(|least| request.sent > least) {
                    break;
                }
                if least_of_kind.is_none_or(|least| request.due < least) {
                    least_of_kind = Some(request.due);
                    candidates.push(number);
                }
                at = request.next;
            }
            least = least.into_iter().chain(least_of_kind).min();
        }
        let mut steps = Vec::new();
        for request in candidates {
            self.add_steps(request, least.unwrap_or(i64::MAX), &mut steps);
        }
        steps.sort_unstable_by(|one, other| other.cmp(one));
        steps
    }

    /// The ways to decide it next, so that nothing pending is late for certain.
    fn add_steps(&self, number: usize, least_due: i64, steps: &mut Vec<Step>) {
        let request = &self.requests[number];
        let mut instant = request.sent;
        if let Some(last) = self.order.last() {
            instant = instant.max(last.instant);
        }
        if request.kind == ADMITTED {
            instant = self.spaced(self.admitted.len(), instant);
        }
        if instant > least_due {
            return;
        }
        let mut step = Step {
            raises: false,
            instant,
            request: number,
            log: None,
        };
        if request.kind != REJECTED {
            steps.push(step);
            return;
        }
        for (log, &Log { limit, high_ns, .. }) in self.logs.iter().enumerate() {
            let Some(filler) = self.filler_of(limit) else {
                continue;
            };
            let filler = &self.order[filler];
            if instant - high_ns <= self.requests[filler.request].due {
                step.raises = instant - high_ns > filler.instant;
                step.log = Some(log);
                steps.push(step);
            }
        }
    }

    /// The least instant of the admission of this rank, if it is not before `instant`.
    fn spaced(&self, rank: usize, instant: i64) -> i64 {
        let bound = |log: &Log| {
            let before = self.admitted[rank.checked_sub(log.limit)?];
            Some(self.order[before].instant + log.low_ns)
        };
        (self.logs.iter().filter_map(bound)).fold(instant, i64::max)
    }

    /// The place of the N-th last that counts.
    fn filler_of(&self, limit: usize) -> Option<usize> {
        if self.all_count {
            return self.order.len().checked_sub(limit);
        }
        (self.admitted.len().checked_sub(limit)).map(|rank| self.admitted[rank])
    }

    /// Decides a request next; false if that is not possible, and then it is to be undone.
    fn take(&mut self, step: Step) -> bool {
        self.marks.push(self.trail.len());
        let place = self.order.len();
        let filler = step.log.and_then(|log| {
            let Log { limit, high_ns, .. } = self.logs[log];
            Some((self.filler_of(limit)?, high_ns))
        });
        self.order.push(Place {
            request: step.request,
            instant: step.instant,
            filler,
            rank: self.admitted.len(),
        });
        let request = &self.requests[step.request];
        let (kind, before, after) = (request.kind, request.previous, request.next);
        if kind == ADMITTED {
            self.admitted.push(place);
        }
        match before {
            Some(before) => self.requests[before].next = after,
            None => self.head[kind] = after,
        }
        if let Some(after) = after {
            self.requests[after].previous = before;
        }
        self.settle(place)
    }

    /// Takes back the last decision.
    fn undo(&mut self) {
        let mark = self.marks.pop().expect("a decision was made");
        for (place, instant) in self.trail.drain(mark..).rev() {
            self.order[place].instant = instant;
        }
        let number = self.order.pop().expect("a decision was made").request;
        let request = &self.requests[number];
        let (kind, before, after) = (request.kind, request.previous, request.next);
        if kind == ADMITTED {
            self.admitted.pop();
        }
        match before {
            Some(before) => self.requests[before].next = Some(number),
            None => self.head[kind] = Some(number),
        }
        if let Some(after) = after {
            self.requests[after].previous = Some(number);
        }
    }

    /// Raises instants from this place on until all bounds hold; false if one is too late.
    fn settle(&mut self, mut first: usize) -> bool {
        let length = self.order.len();
        let mut sweeps = 0;
        while first < length {
            if sweeps > length {
                return false;
            }
            sweeps += 1;
            let mut again = length;
            for place in first..length {
                self.spent += 1;
                let Place {
                    request,
                    mut instant,
                    filler,
                    rank,
                } = self.order[place];
                if place > 0 {
                    instant = instant.max(self.order[place - 1].instant);
                }
                if self.requests[request].kind == ADMITTED {
                    instant = self.spaced(rank, instant);
                }
                if !self.raise(place, instant) {
                    return false;
                }
                let Some((filler, reach)) = filler else {
                    continue;
                };
                if self.order[filler].instant < instant - reach {
                    if !self.raise(filler, instant - reach) {
                        return false;
                    }
                    again = again.min(filler);
                }
            }
            first = again;
        }
        true
    }

    fn raise(&mut self, number: usize, instant: i64) -> bool {
        let place = &mut self.order[number];
        if instant > self.requests[place.request].due {
            return false;
        }
        if instant > place.instant {
            self.trail.push((number, place.instant));
            place.instant = instant;
        }
        true
    }
}
