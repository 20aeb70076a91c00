//! Screen of a whole log, which looks at no key longer than it takes.
//!
//! For each key: what it asked, whether any of its rejections was wrong, and whether the
//! searches for over-admission would find nothing. What a screen does not clear is for
//! `rateproof.prove` to look at, which is the specification and finds the evidence.

use std::mem;
use std::ops::Range;

use crate::clearance::{clearance, in_turn};
use crate::families::Clearance;
use crate::fullness::{Full, Taken, any_wrong};
use crate::gaps::Stair;
use crate::groups::Groups;
use crate::leaders::Leader;
use crate::pressure::{Asked, Pressure};
use crate::report::{Rejections, Report, Rules, Suspect};
use crate::seen::{NEVER, Name, Request, Seen};
use crate::together::{Requests, explained};
use crate::windows::{most_nested, tightest_nest};

/// Looks at every key, on at most so many threads; the report does not depend on how many.
pub fn screen(groups: &mut Groups, rules: &Rules, threads: usize) -> Report {
    let longest_ns = rules.longest_ns.unwrap_or(groups.longest_ns);
    let first_ns = groups.first_ns;
    let examiners = groups.each_key(
        threads,
        || Examiner::new(rules, longest_ns, first_ns),
        |examiner, name, requests| examiner.key(name, requests),
    );
    let mut report = (examiners.into_iter())
        .map(|examiner| examiner.report)
        .reduce(|mut report, other| {
            report.join(other);
            report
        })
        .expect("at least one looked");
    report.suspects.sort_unstable_by_key(|suspect| suspect.name);
    for suspect in &mut report.suspects {
        suspect.broken = (suspect.broken).map(|(from, to)| (first_ns + from, first_ns + to));
    }
    report
}

/// Findings of one thread so far, and its working memory.
struct Examiner<'a> {
    rules: &'a Rules,
    longest_ns: Option<i64>,
    /// Instants of the log are counted from this one.
    first_ns: i64,
    /// The requests of a key, by kind.
    kinds: [Vec<Seen>; 3],
    starts: Vec<i64>,
    ends: Vec<i64>,
    jobs: Vec<Seen>,
    report: Report,
}

impl<'a> Examiner<'a> {
    fn new(rules: &'a Rules, longest_ns: Option<i64>, first_ns: i64) -> Self {
        Self {
            rules,
            longest_ns,
            first_ns,
            kinds: Default::default(),
            starts: Vec::new(),
            ends: Vec::new(),
            jobs: Vec::new(),
            report: Report {
                pressure: vec![Pressure::default(); rules.exact.stairs.len()],
                ..Report::default()
            },
        }
    }

    /// Looks at a key, whose requests are in order.
    fn key(&mut self, name: Name, requests: &[Request]) {
        let mut kinds = mem::take(&mut self.kinds);
        for kind in &mut kinds {
            kind.resize(kind.len().max(requests.len()), Seen::default());
        }
        // Nobody can foretell the kind of the next, so nothing hangs on it.
        let mut lengths = [0; 3];
        for request in requests {
            let kind = request.kind() as usize;
            let length = &mut lengths[kind];
            kinds[kind][*length] = request.seen();
            *length += 1;
        }
        let [admitted, rejected, unknown] = [0, 1, 2].map(|kind| &kinds[kind][..lengths[kind]]);
        let flat = admitted.is_sorted_by_key(|seen| seen.end);
        self.press(name, requests, admitted, flat);
        let mut suspect = Suspect {
            name,
            tolerated: Some(0),
            exact: Some(0),
            unknown: Some(0),
            wrong: false,
            joint: Some(0),
            broken: None,
            nested: Vec::new(),
        };
        if self.rules.over {
            // Of several quotas, one may have counted what another rejected.
            let counted = self.rules.exact.stairs.len() > 1 && !rejected.is_empty();
            let whole = self.rules.whole && unknown.is_empty() && !counted;
            self.search(admitted, unknown, flat, whole, &mut suspect);
        }
        if let Some(rules) = &self.rules.rejections {
            let since_ns = self.rules.since_ns.map(|since_ns| since_ns - self.first_ns);
            let first = requests.first().map_or(0, |request| request.sent);
            let known_ns = since_ns.or(self.longest_ns.map(|longest_ns| first + longest_ns));
            let judged = self.judged(rejected, known_ns, rules);
            if !judged.is_empty() {
                self.report.judged += judged.len();
                let key = Key {
                    admitted,
                    rejected,
                    unknown,
                    judged,
                    empty: known_ns.filter(|_| !self.rules.fresh),
                };
                suspect.wrong = self.rejections(&key, rules);
                if !suspect.wrong && !rules.logs.is_empty() {
                    suspect.joint = self.together(&key, rules);
                }
            }
        }
        let cleared = [
            suspect.tolerated,
            suspect.exact,
            suspect.unknown,
            suspect.joint,
        ];
        if suspect.wrong || cleared != [Some(0); 4] {
            self.report.suspects.push(suspect);
        }
        self.kinds = kinds;
    }

    fn press(&mut self, name: Name, requests: &[Request], admitted: &[Seen], flat: bool) {
        self.starts.clear();
        (self.starts).extend(requests.iter().map(|request| request.sent));
        self.ends.clear();
        // An unknown request counts until it ended, or as it was sent.
        let end = |request: &Request| match request.end {
            NEVER => request.sent,
            end => end,
        };
        self.ends.extend(requests.iter().map(end));
        // A stable sort merges the runs that it finds.
        self.ends.sort();
        let asked = Asked {
            starts: &self.starts,
            ends: &self.ends,
            admitted,
            flat,
        };
        let report = &mut self.report;
        let leader = |rank, quota| Leader { rank, name, quota };
        let (mut got, mut asks) = (None, None);
        for (quota, stair) in self.rules.exact.stairs.iter().enumerate() {
            let margins = report.pressure[quota].add(name, stair, &asked);
            got = earlier(got, margins.got_ns.map(|rank| leader(rank, quota)));
            asks = earlier(asks, margins.asked_ns.map(|rank| leader(rank, quota)));
        }
        got.into_iter().for_each(|got| report.closest.add(got));
        asks.into_iter().for_each(|asks| report.densest.add(asks));
        let requests = i64::try_from(asked.starts.len()).expect("fewer than 2^32 rows");
        report.busiest.add(leader(-requests, 0));
    }

    /// The searches for over-admission; `whole`: the admissions are all hits that were ever counted.
    fn search(
        &mut self,
        admitted: &[Seen],
        unknown: &[Seen],
        flat: bool,
        whole: bool,
        found: &mut Suspect,
    ) {
        let rules = self.rules;
        let tolerated = rules.tolerated.as_ref().unwrap_or(&rules.exact);
        // Smaller gaps give no later instants: what is in turn stays so with the tolerance.
        let in_turn = in_turn(admitted, &rules.exact.stairs);
        found.tolerated = clearance(admitted, flat, in_turn, tolerated, whole);
        if rules.tolerated.is_some() {
            found.exact = clearance(admitted, flat, in_turn, &rules.exact, whole);
        }
        if found.tolerated.is_none() {
            found.broken = broken(admitted, flat, &tolerated.stairs);
            let spans = tolerated.stairs.iter().map(|stair| stair.span_ns(1));
            found.nested = spans
                .map(|span| {
                    most_nested(admitted, flat, i64::try_from(span).unwrap_or(i64::MAX / 2))
                })
                .collect();
        }
        if unknown.iter().any(|seen| seen.end != NEVER) {
            self.jobs.clear();
            self.jobs.extend_from_slice(admitted);
            self.jobs
                .extend(unknown.iter().filter(|seen| seen.end != NEVER));
            self.jobs.sort();
            let flat = self.jobs.is_sorted_by_key(|seen| seen.end);
            found.unknown = clearance(&self.jobs, flat, false, tolerated, false);
        }
    }

    /// The rejections that come neither too early to be judged, see `covered_from_ns`, nor too late.
    fn judged(&self, rejected: &[Seen], known_ns: Option<i64>, rules: &Rejections) -> Range<usize> {
        let from = match known_ns {
            _ if self.rules.fresh => i128::MIN,
            Some(known_ns) => i128::from(known_ns) + rules.horizon_ns,
            None => return 0..0,
        };
        let until = (rules.until_ns).map_or(i128::MAX, |until| i128::from(until - self.first_ns));
        let from = rejected.partition_point(|seen| i128::from(seen.sent) < from);
        from..(rejected.partition_point(|seen| i128::from(seen.sent) < until)).max(from)
    }

    /// True if any of the rejections is wrong; notes what would be.
    fn rejections(&mut self, key: &Key<'_>, rules: &Rejections) -> bool {
        let judged = &key.rejected[key.judged.clone()];
        self.take(key, rules);
        let mut wrong = |starts: &[i64], quotas: &[Full]| {
            let taken = Taken {
                starts,
                ends: &self.ends,
                empty: key.empty,
            };
            any_wrong(judged, taken, quotas, &mut self.jobs)
        };
        if key.unknown.is_empty() {
            // By the other clock more are in use, so what is right by this one is right.
            let doubt = wrong(&self.starts, &rules.exact);
            self.report.wrong_if_exact |= doubt;
            return doubt && wrong(&self.starts, &rules.tolerated);
        }
        let doubt = wrong(&self.starts, &rules.tolerated);
        self.report.wrong_if_unknown |= doubt;
        self.starts.extend(key.unknown.iter().map(|seen| seen.sent));
        self.starts.sort();
        let doubt = wrong(&self.starts, &rules.exact);
        self.report.wrong_if_exact |= doubt;
        doubt && wrong(&self.starts, &rules.tolerated)
    }

    /// Notes when the requests that certainly used up a quota were sent and ended.
    fn take(&mut self, key: &Key<'_>, rules: &Rejections) {
        let denied = if rules.denied_count {
            key.rejected
        } else {
            &[]
        };
        let all = || key.admitted.iter().chain(denied);
        self.starts.clear();
        self.starts.extend(all().map(|seen| seen.sent));
        self.ends.clear();
        self.ends.extend(all().map(|seen| seen.end));
        // Stable sorts merge the runs that they find.
        self.starts.sort();
        self.ends.sort();
    }

    /// Cost of searches over orders of decisions to explain all rejections.
    fn together(&mut self, key: &Key<'_>, rules: &Rejections) -> Clearance {
        if !key.unknown.is_empty() {
            self.take(key, rules);
        }
        let requests = Requests {
            admitted: key.admitted,
            rejected: key.rejected,
            judged: key.judged.clone(),
            unknown_from: key.unknown.first().map(|seen| seen.sent),
            starts: &self.starts,
            ends: &self.ends,
            denied_count: rules.denied_count,
        };
        explained(&requests, &rules.logs)
    }
}

/// The requests of one key, each kind in order.
struct Key<'a> {
    admitted: &'a [Seen],
    rejected: &'a [Seen],
    unknown: &'a [Seen],
    /// The rejections to judge.
    judged: Range<usize>,
    /// Instant at which a bucket may have been empty, before which nothing is known.
    empty: Option<i64>,
}

/// The lesser of two, where there are two.
fn earlier<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// From when to when the tightest nests reach that break a stair at its first step.
fn broken(admitted: &[Seen], flat: bool, stairs: &[Stair]) -> Option<(i64, i64)> {
    stairs
        .iter()
        .filter_map(|stair| {
            let (span, sent) = tightest_nest(admitted, flat, stair.size(1))?;
            (i128::from(span) < stair.span_ns(1)).then_some((sent, sent + span))
        })
        .reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
}
