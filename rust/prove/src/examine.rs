//! One key after the other, in memory that is used again.

use crate::clearance::{clearance, clearance_out_of_turn, in_turn};
use crate::groups::{Chunk, Counts};
use crate::occupancy::{Full, any_wrong};
use crate::pressure::{Asked, Pressure};
use crate::screen::{Report, Rules, Suspect};
use crate::seen::{NEVER, Seen, TIME_LIMIT, in_order};

/// What one thread found so far, and its working memory.
pub(crate) struct Examiner<'a> {
    rules: &'a Rules,
    longest_ns: Option<i64>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    jobs: Vec<Seen>,
    pub report: Report,
}

impl<'a> Examiner<'a> {
    pub(crate) fn new(rules: &'a Rules, longest_ns: Option<i64>) -> Self {
        Self {
            rules,
            longest_ns,
            starts: Vec::new(),
            ends: Vec::new(),
            jobs: Vec::new(),
            report: Report {
                pressure: vec![Pressure::default(); rules.exact.len()],
                ..Report::default()
            },
        }
    }

    /// Looks at the keys of a chunk.
    pub(crate) fn examine(&mut self, chunk: Chunk<'_>) {
        let mut rest = chunk.requests;
        for (at, counts) in chunk.counts.iter().enumerate() {
            let (requests, behind) = rest.split_at_mut(counts.iter().sum());
            rest = behind;
            self.key(chunk.first + at, chunk.codes[at], requests, counts);
        }
    }

    fn key(&mut self, number: usize, code: usize, requests: &mut [Seen], counts: &Counts) {
        let first = requests.iter().map(|seen| seen.sent).min().unwrap_or(0);
        let (admitted, rest) = requests.split_at_mut(counts[0]);
        let (rejected, unknown) = rest.split_at_mut(counts[1]);
        for kind in [&mut *admitted, rejected, unknown] {
            in_order(kind);
        }
        let flat = admitted.is_sorted_by_key(|seen| seen.end);
        self.press(number, admitted, rejected, unknown, flat);
        let mut suspect = Suspect {
            number,
            code,
            tolerated: Some(0),
            exact: Some(0),
            unknown: Some(0),
            wrong: false,
        };
        if self.rules.over {
            self.search(admitted, unknown, flat, &mut suspect);
        }
        if !self.rules.windows.is_empty() {
            let judged = &rejected[self.unjudged(rejected, first)..];
            self.report.judged += judged.len();
            suspect.wrong = self.rejections(judged, admitted, unknown);
        }
        let cleared = [suspect.tolerated, suspect.exact, suspect.unknown];
        if suspect.wrong || cleared != [Some(0); 3] {
            self.report.suspects.push(suspect);
        }
    }

    fn press(
        &mut self,
        number: usize,
        admitted: &[Seen],
        rejected: &[Seen],
        unknown: &[Seen],
        flat: bool,
    ) {
        let all = || admitted.iter().chain(rejected).chain(unknown);
        self.starts.clear();
        self.starts.extend(all().map(|seen| seen.sent));
        self.ends.clear();
        // An unknown request counts until it ended, or as it was sent.
        let end = |seen: &Seen| {
            if seen.end == NEVER {
                seen.sent
            } else {
                seen.end
            }
        };
        self.ends.extend(all().map(end));
        // Stable sorts merge the runs that they find.
        self.starts.sort();
        self.ends.sort();
        let asked = Asked {
            starts: &self.starts,
            ends: &self.ends,
            admitted,
            flat,
        };
        for (pressure, stair) in self.report.pressure.iter_mut().zip(&self.rules.exact) {
            pressure.add(number, stair, &asked);
        }
    }

    /// The searches for over-admission.
    fn search(&mut self, admitted: &[Seen], unknown: &[Seen], flat: bool, found: &mut Suspect) {
        let rules = self.rules;
        let tolerated = rules.tolerated.as_ref().unwrap_or(&rules.exact);
        // Smaller gaps give no later instants: what is in turn stays so with the tolerance.
        if !in_turn(admitted, &rules.exact) {
            found.exact = clearance_out_of_turn(admitted, flat, &rules.exact);
            found.tolerated = match &rules.tolerated {
                Some(stairs) => clearance(admitted, flat, stairs),
                None => found.exact.replace(0),
            };
        }
        if unknown.iter().any(|seen| seen.end != NEVER) {
            self.jobs.clear();
            self.jobs.extend_from_slice(admitted);
            self.jobs
                .extend(unknown.iter().filter(|seen| seen.end != NEVER));
            self.jobs.sort();
            let flat = self.jobs.is_sorted_by_key(|seen| seen.end);
            found.unknown = clearance(&self.jobs, flat, tolerated);
        }
    }

    /// How many rejections come too early to be judged: see `covered_from_ns`.
    fn unjudged(&self, rejected: &[Seen], first: i64) -> usize {
        if self.rules.fresh {
            return 0;
        }
        let Some(longest_ns) = self.longest_ns else {
            return rejected.len();
        };
        let windows = self.rules.windows.iter().map(|window| window.tolerated_ns);
        let from = i128::from(first) + i128::from(longest_ns) + windows.max().unwrap_or(0);
        rejected.partition_point(|seen| i128::from(seen.sent) < from)
    }

    /// Whether any of the rejections is wrong; notes what would be.
    fn rejections(&mut self, judged: &[Seen], admitted: &[Seen], unknown: &[Seen]) -> bool {
        let rules = self.rules;
        if judged.is_empty() {
            return false;
        }
        self.ends.clear();
        self.ends.extend(admitted.iter().map(|seen| seen.end));
        self.ends.sort();
        self.starts.clear();
        self.starts.extend(admitted.iter().map(|seen| seen.sent));
        let exact = || quotas(rules, |window| window.exact_ns);
        let tolerated = || quotas(rules, |window| window.tolerated_ns);
        let (starts, ends, jobs) = (&mut self.starts, &self.ends, &mut self.jobs);
        if unknown.is_empty() {
            // A longer window holds more, so what is right in the shorter one is right.
            let doubt = any_wrong(judged, starts, ends, exact(), jobs);
            self.report.wrong_if_exact |= doubt;
            return doubt && any_wrong(judged, starts, ends, tolerated(), jobs);
        }
        let doubt = any_wrong(judged, starts, ends, tolerated(), jobs);
        self.report.wrong_if_unknown |= doubt;
        starts.extend(unknown.iter().map(|seen| seen.sent));
        starts.sort();
        let doubt = any_wrong(judged, starts, ends, exact(), jobs);
        self.report.wrong_if_exact |= doubt;
        doubt && any_wrong(judged, starts, ends, tolerated(), jobs)
    }
}

/// The quotas of the policy, for windows that last so long.
fn quotas(
    rules: &Rules,
    lasts: impl Fn(&crate::screen::Window) -> i128,
) -> impl Iterator<Item = Full> {
    rules.windows.iter().map(move |window| Full {
        limit: window.limit,
        window: i64::try_from(lasts(window)).map_or(TIME_LIMIT, |ns| ns.min(TIME_LIMIT)),
    })
}
