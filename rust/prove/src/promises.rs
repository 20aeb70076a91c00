//! Which statements of header fields did not come true: the twin of `rateproof.prove.headers.promises`.

use crate::seen::{Kind, TIME_LIMIT};

const SECOND_NS: i64 = 1_000_000_000;
const MILLION: i128 = 1_000_000;

/// A request of a key, and what its answer says; None for a field that is missing.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// When it was sent, in ns from the earliest instant of its log.
    pub sent: i64,
    /// When it was answered; the end of time for a request of unknown outcome.
    pub end: i64,
    /// How it was answered.
    pub kind: Kind,
    /// Its place in the log.
    pub row: usize,
    /// How long a rejected client is to wait, in ns.
    pub retry_after: Option<i64>,
    /// How many more may pass.
    pub remaining: Option<i64>,
    /// In how many ns the whole quota is free.
    pub reset: Option<i64>,
}

/// What stands for the end of a request of unknown outcome.
pub const UNKNOWN_END: i64 = i64::MAX;

/// How statements are read.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How far the rates of clocks may differ, in parts per million.
    pub ppm: u32,
    /// The step of the limiter's clock, in ns.
    pub granularity_ns: i64,
    /// Whether denied requests use up the quota too.
    pub denied_count: bool,
    /// Whether nothing is free before the whole quota is.
    pub hard_reset: bool,
}

impl Terms {
    fn at_most(&self, said: i64) -> i64 {
        let rate = MILLION - i128::from(self.ppm);
        let lasts = (i128::from(said) * MILLION + rate - 1) / rate;
        let lasts = lasts + i128::from(self.granularity_ns);
        i64::try_from(lasts).map_or(TIME_LIMIT, |ns| ns.min(TIME_LIMIT))
    }

    /// How long that many rounded-up seconds of the limiter's clock last at least.
    fn at_least(&self, said: i64) -> i64 {
        let short = i128::from((said - SECOND_NS).max(0));
        let lasts = short * (MILLION - i128::from(self.ppm)) / MILLION;
        (lasts - i128::from(self.granularity_ns)).max(0) as i64
    }
}

/// A statement that did not come true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which of the rules.
    pub rule: usize,
    /// Row of the answer that says it.
    pub said: usize,
    /// Row of the answer that gives it the lie.
    pub seen: usize,
}

/// What was found of some keys.
#[derive(Clone, Debug, Default)]
pub struct Promises {
    /// Statements that later answers put to the test, by rule.
    pub judged: [u64; 4],
    /// How many of them did not come true.
    pub broken: u64,
    /// The first of those.
    pub first: Vec<Broken>,
}

impl Promises {
    /// Adds what is found of a key; at most `most` statements are kept.
    ///
    /// `known`: by when all requests that are not in the log had been decided; None if there
    /// were none.
    pub fn add(&mut self, answers: &mut [Told], terms: Terms, known: Option<i64>, most: usize) {
        answers.sort_unstable_by_key(|answer| (answer.sent, answer.end, answer.row));
        let key = Key::new(answers, terms, known);
        for said in answers.iter().filter(|said| said.end != UNKNOWN_END) {
            let looked = [
                key.too_short(said),
                key.too_long(said),
                key.too_high(said),
                key.too_low(said),
            ];
            for (rule, seen) in looked.into_iter().enumerate() {
                let Some((seen, broken)) = seen else { continue };
                self.judged[rule] += 1;
                self.broken += u64::from(broken);
                if broken && self.first.len() < most {
                    self.first.push(Broken {
                        rule,
                        said: said.row,
                        seen,
                    });
                }
            }
        }
    }
}

/// The row of an answer that put a statement to the test, and whether it belies it.
type Look = Option<(usize, bool)>;

/// The requests of a key by sending time, and what may have used up the quota.
struct Key<'a> {
    all: &'a [Told],
    terms: Terms,
    known: Option<i64>,
    used_starts: Vec<i64>,
    used_ends: Vec<i64>,
    admitted: Answered,
    rejected: Answered,
    admitted_ends: Vec<i64>,
}

impl<'a> Key<'a> {
    fn new(all: &'a [Told], terms: Terms, known: Option<i64>) -> Self {
        let used = || all.iter().filter(|answer| uses(answer, terms));
        let sorted = |ends: &mut dyn Iterator<Item = i64>| {
            let mut ends: Vec<i64> = ends.collect();
            ends.sort();
            ends
        };
        let admitted = Answered::new(all, Kind::Admitted);
        Self {
            all,
            terms,
            known,
            used_starts: used().map(|answer| answer.sent).collect(),
            used_ends: sorted(
                &mut used()
                    .map(|answer| answer.end)
                    .filter(|&end| end != UNKNOWN_END),
            ),
            admitted_ends: sorted(&mut admitted.ends.iter().copied()),
            admitted,
            rejected: Answered::new(all, Kind::Rejected),
        }
    }

    /// How many others may have used up the quota after the answer was decided.
    fn since(&self, said: &Told, until: i64) -> i64 {
        let sent = self.used_starts.partition_point(|&start| start <= until);
        let gone = self.used_ends.partition_point(|&end| end < said.sent);
        sent as i64 - gone as i64 - i64::from(uses(said, self.terms))
    }

    fn complete(&self, said: &Told) -> bool {
        self.known.is_none_or(|known| said.sent >= known)
    }

    fn too_short(&self, said: &Told) -> Look {
        let wait = said.retry_after?;
        if said.kind != Kind::Rejected || !self.complete(said) {
            return None;
        }
        let waited = said.end + self.terms.at_most(wait);
        let seen = (self.all).get(self.all.partition_point(|answer| answer.sent < waited))?;
        if seen.end == UNKNOWN_END || self.since(said, seen.end) > i64::from(uses(seen, self.terms))
        {
            return None;
        }
        Some((seen.row, seen.kind == Kind::Rejected))
    }

    fn too_long(&self, said: &Told) -> Look {
        let wait = said.retry_after?;
        if said.kind != Kind::Rejected {
            return None;
        }
        let over = said.sent + self.terms.at_least(wait);
        let before = |answered: &Answered| answered.next(said.end).filter(|&(end, _)| end < over);
        match (before(&self.admitted), before(&self.rejected)) {
            (Some((_, row)), _) => Some((row, true)),
            (None, denied) => denied.map(|(_, row)| (row, false)),
        }
    }

    fn too_high(&self, said: &Told) -> Look {
        let remaining = said.remaining.filter(|&remaining| remaining != 0)?;
        if !self.complete(said) {
            return None;
        }
        if let Some((end, row)) = self.rejected.next(said.end) {
            let own = i64::from(self.terms.denied_count);
            if self.since(said, end) - own < remaining {
                return Some((row, true));
            }
        }
        self.admitted.next(said.end).map(|(_, row)| (row, false))
    }

    fn too_low(&self, said: &Told) -> Look {
        let (remaining, reset) = (said.remaining?, said.reset?);
        if !self.terms.hard_reset {
            return None;
        }
        let over = said.sent + self.terms.at_least(reset);
        let before = self
            .admitted
            .starts
            .partition_point(|&start| start <= said.end);
        let passed = self.admitted_ends.partition_point(|&end| end < over) as i64 - before as i64;
        if passed <= 0 {
            return None;
        }
        let (_, row) = self.admitted.earliest[before];
        Some((row, passed > remaining))
    }
}

fn uses(answer: &Told, terms: Terms) -> bool {
    answer.kind != Kind::Rejected || terms.denied_count
}

/// The answers of a kind by sending time.
struct Answered {
    starts: Vec<i64>,
    ends: Vec<i64>,
    /// From each on, the end and the row of the one that was answered first.
    earliest: Vec<(i64, usize)>,
}

impl Answered {
    fn new(all: &[Told], kind: Kind) -> Self {
        let of_kind = || all.iter().filter(|answer| answer.kind == kind);
        let mut earliest: Vec<(i64, usize)> =
            of_kind().map(|answer| (answer.end, answer.row)).collect();
        for at in (1..earliest.len()).rev() {
            if earliest[at].0 < earliest[at - 1].0 {
                earliest[at - 1] = earliest[at];
            }
        }
        Self {
            starts: of_kind().map(|answer| answer.sent).collect(),
            ends: of_kind().map(|answer| answer.end).collect(),
            earliest,
        }
    }

    /// Of those sent later, the end and the row of the one that was answered first.
    fn next(&self, after: i64) -> Option<(i64, usize)> {
        let at = self.starts.partition_point(|&start| start <= after);
        self.earliest.get(at).copied()
    }
}
