//! The requests of one key that does not fit in memory, explained as they come.
//!
//! Where the search for instants ends well, they are an explanation of every admission. Where they
//! also give every rejection a reason, it is one of the whole key.

use std::collections::VecDeque;

use crate::feasible::{Run, Search};
use crate::gaps::Stair;
use crate::orders::Log;
use crate::seen::{Kind, Row, Seen};

/// Positions that the search can go back.
const REMEMBERED: usize = 1 << 18;

/// Positions that are decided again for each job, before the search gives up.
const BUDGET: u64 = 16;

/// A key whose requests are shown in the order in which they were sent.
pub struct Course {
    search: Search,
    jobs: u64,
    /// True as long as admissions are explained.
    admitted: bool,
    reasons: Reasons,
    /// Requests that are to be sorted.
    shown: [Vec<Seen>; 2],
}

impl Course {
    /// For so many requests in all; `logs` are quotas of which one is the reason of each rejection
    /// sent from an instant on, and before another.
    #[must_use]
    pub fn new(stairs: &[Stair], requests: usize, logs: Vec<Log>, judged: (i64, i64)) -> Self {
        Self {
            search: Search::new(stairs, requests),
            jobs: 0,
            admitted: true,
            reasons: Reasons {
                places: vec![0; logs.len()],
                logs,
                judged,
                instants: VecDeque::new(),
                first: 0,
                waiting: VecDeque::new(),
                missing: false,
            },
            shown: Default::default(),
        }
    }

    /// Shows a request, in any order until the next call of `go_on`.
    pub fn show(&mut self, row: &Row) {
        if let Some(end) = row.end_ns {
            let kind = usize::from(row.kind == Kind::Rejected);
            self.shown[kind].push(Seen {
                sent: row.sent_ns,
                end,
            });
        }
    }

    /// Goes on with the requests that were shown; none that is shown later was sent before.
    pub fn go_on(&mut self, last: bool) {
        for shown in &mut self.shown {
            shown.sort_unstable();
        }
        let [jobs, rejected] = &mut self.shown;
        self.jobs += jobs.len() as u64;
        if self.admitted {
            self.search.add(jobs.drain(..));
            self.reasons.ask(rejected.drain(..));
            self.admitted = self.search.run(last, BUDGET * self.jobs) == Run::Done;
            let remembered = if last { 0 } else { REMEMBERED };
            let reasons = &mut self.reasons;
            (self.search).forget(remembered, |place| reasons.decided(place.instant));
            reasons.give(last);
        }
        jobs.clear();
        rejected.clear();
    }

    /// True if all admissions are explained, and then whether all rejections are with them.
    #[must_use]
    pub fn explained(&self) -> (bool, bool) {
        (self.admitted, self.admitted && !self.reasons.missing)
    }
}

/// Rejections, and instants of admissions that may be their reasons.
struct Reasons {
    logs: Vec<Log>,
    judged: (i64, i64),
    /// The instants of admissions that a window may still reach, in order.
    instants: VecDeque<i128>,
    /// Number of admissions before them.
    first: usize,
    /// For each log, the first admission that its window reaches.
    places: Vec<usize>,
    waiting: VecDeque<Seen>,
    missing: bool,
}

impl Reasons {
    fn ask(&mut self, rejected: impl Iterator<Item = Seen>) {
        let (from, until) = self.judged;
        if !self.logs.is_empty() && !self.missing {
            (self.waiting).extend(rejected.filter(|seen| (from..until).contains(&seen.sent)));
        }
    }

    fn decided(&mut self, instant: i128) {
        if !self.logs.is_empty() && !self.missing {
            self.instants.push_back(instant);
        }
    }

    /// Finds a reason for each rejection for which all that may be one was decided.
    fn give(&mut self, last: bool) {
        while let Some(&Seen { sent, end }) = self.waiting.front() {
            let Some(given) = self.given(i128::from(sent), i128::from(end), last) else {
                break;
            };
            if !given {
                self.missing = true;
                self.waiting.clear();
                self.instants.clear();
                return;
            }
            self.waiting.pop_front();
        }
        let needed = self.places.iter().min().copied().unwrap_or(self.first);
        while self.first < needed {
            self.instants.pop_front();
            self.first += 1;
        }
    }

    /// True if a log is full at some instant; None where later admissions may fill one.
    ///
    /// It is full from the `limit`-th of the admissions that its window reaches at the beginning, as
    /// long as the first of them is reached. With later ones it would be full later.
    fn given(&mut self, sent: i128, end: i128, last: bool) -> Option<bool> {
        let decided = self.first + self.instants.len();
        let mut open = false;
        for (log, place) in self.logs.iter().zip(&mut self.places) {
            let reached = |at: usize| self.instants.get(at - self.first);
            while reached(*place).is_some_and(|&instant| instant < sent - i128::from(log.high_ns)) {
                *place += 1;
            }
            match reached(place.saturating_add(log.limit - 1)) {
                Some(&full) if full <= end => return Some(true),
                Some(_) => {}
                None if last => {}
                None => {
                    let beyond =
                        decided > self.first && self.instants[decided - self.first - 1] > end;
                    open |= !beyond;
                }
            }
        }
        if open { None } else { Some(false) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(rows: &[(Kind, i64, i64)], each: usize) -> (bool, bool) {
        let stair = Stair::new(2, 0, 10, 1, 0).expect("it fits");
        let log = Log {
            limit: 2,
            low_ns: 10,
            high_ns: 10,
        };
        let mut course = Course::new(&[stair], rows.len(), vec![log], (i64::MIN, i64::MAX));
        for rows in rows.chunks(each) {
            for &(kind, sent_ns, end) in rows {
                course.show(&Row {
                    key: 0,
                    kind,
                    sent_ns,
                    end_ns: Some(end),
                });
            }
            course.go_on(false);
        }
        course.go_on(true);
        course.explained()
    }

    #[test]
    fn what_is_shown_at_once_does_not_matter() {
        use Kind::{Admitted, Rejected};
        let right = [
            (Admitted, 0, 9),
            (Admitted, 1, 2),
            (Rejected, 3, 4),
            (Admitted, 10, 12),
            (Admitted, 11, 12),
            (Rejected, 20, 21),
        ];
        let mut wrong = right;
        wrong[5] = (Rejected, 30, 31);
        let mut many = right;
        many[2] = (Admitted, 3, 4);
        for each in 1..=right.len() {
            assert_eq!(explained(&right, each), (true, true));
            assert_eq!(explained(&wrong, each), (true, false));
            assert_eq!(explained(&many, each), (false, false));
        }
    }
}
