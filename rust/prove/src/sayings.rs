//! Statements of header fields, and what they mean in times of the log's own clock.

use std::iter::zip;

use crate::seen::{Kind, Request, TIME_LIMIT};

const SECOND_NS: i64 = 1_000_000_000;
const MILLION: i64 = 1_000_000;

/// The fields of an answer; None for one that is missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said {
    /// Time that a rejected client is to wait, in ns.
    pub retry_after: Option<i64>,
    /// Number of requests that may pass yet.
    pub remaining: Option<i64>,
    /// In how many ns the whole quota is free.
    pub reset: Option<i64>,
}

/// The fields of an answer as a log stores them.
pub type Fields = [u64; 3];

/// Statements that are told apart at once.
const NEAR: u32 = 10;

/// The different statements of a log's answers, by number from 1 on. One that comes back soon,
/// as most do, is kept once.
#[derive(Debug)]
pub struct Sayings {
    all: Vec<Said>,
    near: Vec<(Fields, u32)>,
}

impl Default for Sayings {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            near: vec![([0; 3], 0); 1 << NEAR],
        }
    }
}

impl Sayings {
    /// The number of a statement, which is read if it is not known.
    #[inline]
    pub fn number(&mut self, fields: Fields, read: impl FnOnce(Fields) -> Said) -> u32 {
        let mixed = fields.iter().fold(0, |mixed: u64, &field| {
            (mixed.rotate_left(23) ^ field).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        let (known, number) = &mut self.near[(mixed >> (64 - NEAR)) as usize];
        let differ = zip(&*known, fields).fold(0, |all, (one, other)| all | (one ^ other));
        if *number == 0 || differ != 0 {
            self.all.push(read(fields));
            (*known, *number) = (fields, self.all.len() as u32);
        }
        *number
    }

    /// The meaning of each, by these terms.
    pub(crate) fn by(&self, terms: Terms) -> Vec<Meaning> {
        let meaning = |said: &Said| Meaning {
            waited: said.retry_after.map(|wait| terms.at_most(wait)),
            waiting: said.retry_after.map(|wait| terms.at_least(wait)),
            remaining: said.remaining,
            resetting: said.reset.map(|reset| terms.at_least(reset)),
        };
        self.all.iter().map(meaning).collect()
    }
}

/// A statement in times of the log's own clock, in ns.
pub(crate) struct Meaning {
    /// The wait, at the most.
    pub(crate) waited: Option<i64>,
    /// The wait, at the least.
    pub(crate) waiting: Option<i64>,
    pub(crate) remaining: Option<i64>,
    /// The time until the reset, at the least.
    pub(crate) resetting: Option<i64>,
}

/// The terms by which statements are read.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The most that the rates of clocks may differ, in parts per million.
    pub ppm: u32,
    /// The step of the limiter's clock, in ns.
    pub granularity_ns: i64,
    /// True if denied requests use up the quota too.
    pub denied_count: bool,
    /// True if nothing is free before the whole quota is.
    pub hard_reset: bool,
}

impl Terms {
    /// True if a request may have used up the quota.
    pub(crate) fn uses(&self, answer: &Request) -> bool {
        answer.kind() != Kind::Rejected || self.denied_count
    }

    /// Longest time that so many ns of the limiter's clock last.
    fn at_most(&self, said: i64) -> i64 {
        let rate = MILLION - i64::from(self.ppm);
        // said * MILLION / rate, rounded up, without a wider integer.
        let (whole, rest) = (said / rate, said % rate);
        whole
            .saturating_mul(MILLION)
            .saturating_add((rest * MILLION + rate - 1) / rate)
            .saturating_add(self.granularity_ns)
            .min(TIME_LIMIT)
    }

    /// Least time that so many rounded-up seconds of the limiter's clock last.
    fn at_least(&self, said: i64) -> i64 {
        let rate = MILLION - i64::from(self.ppm);
        let short = (said - SECOND_NS).max(0);
        let lasts = short / MILLION * rate + short % MILLION * rate / MILLION;
        (lasts - self.granularity_ns).max(0)
    }
}
