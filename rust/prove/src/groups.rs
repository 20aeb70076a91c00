//! The rows of a log by key and by answer: a counting sort of two passes.

use crate::seen::{Kind, Row, Seen, TIME_LIMIT};

/// Rows by kind.
pub(crate) type Counts = [usize; 3];

/// The first pass: how many rows each key has of each kind.
pub struct Counting {
    of_code: Vec<Counts>,
    order: Vec<usize>,
    first_ns: i64,
    last_ns: i64,
    longest_ns: Option<i64>,
    total: Counts,
    backwards: bool,
}

impl Counting {
    /// For keys whose codes are below `codes`.
    pub fn new(codes: usize) -> Self {
        Self {
            of_code: vec![[0; 3]; codes],
            order: Vec::new(),
            first_ns: i64::MAX,
            last_ns: i64::MIN,
            longest_ns: None,
            total: [0; 3],
            backwards: false,
        }
    }

    /// Counts one row; the same rows, in the same order, are to be placed.
    pub fn count(&mut self, row: &Row) {
        let counts = &mut self.of_code[row.key];
        if *counts == [0; 3] {
            self.order.push(row.key);
        }
        counts[row.kind as usize] += 1;
        self.total[row.kind as usize] += 1;
        let end_ns = row.end_ns.unwrap_or(row.sent_ns);
        self.first_ns = self.first_ns.min(row.sent_ns).min(end_ns);
        self.last_ns = self.last_ns.max(row.sent_ns).max(end_ns);
        if row.kind != Kind::Unknown {
            let took_ns = end_ns.saturating_sub(row.sent_ns);
            self.backwards |= row.end_ns.is_none() || took_ns < 0;
            self.longest_ns = self.longest_ns.max(Some(took_ns));
        }
    }

    /// Makes room for what is kept of the rows; None where times are too far apart, or an answer
    /// precedes its request.
    pub fn place<T: Clone + Default>(self) -> Option<Groups<T>> {
        let span_ns = i128::from(self.last_ns) - i128::from(self.first_ns);
        if self.backwards || span_ns >= i128::from(TIME_LIMIT) {
            return None;
        }
        let mut next = self.of_code;
        let mut counts = Vec::with_capacity(self.order.len());
        let mut at = 0;
        for &code in &self.order {
            counts.push(next[code]);
            for place in &mut next[code] {
                at += std::mem::replace(place, at);
            }
        }
        let lost = self.total[Kind::Unknown as usize] > 0;
        Some(Groups {
            next,
            codes: self.order,
            counts,
            requests: vec![T::default(); at],
            total: self.total,
            first_ns: self.first_ns,
            longest_ns: self.longest_ns.filter(|_| !lost),
        })
    }
}

/// A log by key, in the order in which the keys appeared, and by kind in each key, once every row
/// has been placed: the second pass.
pub struct Groups<T> {
    next: Vec<Counts>,
    pub(crate) codes: Vec<usize>,
    pub(crate) counts: Vec<Counts>,
    pub(crate) requests: Vec<T>,
    total: Counts,
    /// The earliest instant, from which times are counted here.
    pub first_ns: i64,
    /// The longest way from sending to answer; None where an answer was lost.
    pub(crate) longest_ns: Option<i64>,
}

/// The requests of consecutive keys, from number `first` on.
pub(crate) struct Chunk<'a> {
    pub first: usize,
    pub codes: &'a [usize],
    pub counts: &'a [Counts],
    pub requests: &'a mut [Seen],
}

impl<T> Groups<T> {
    /// Places what is kept of a row.
    pub fn place(&mut self, row: &Row, kept: T) {
        let at = &mut self.next[row.key][row.kind as usize];
        self.requests[*at] = kept;
        *at += 1;
    }

    /// The part that is kept of each key.
    pub fn each(&mut self) -> impl Iterator<Item = &mut [T]> {
        let mut rest = self.requests.as_mut_slice();
        self.counts.iter().map(move |counts| {
            let (kept, behind) = std::mem::take(&mut rest).split_at_mut(counts.iter().sum());
            rest = behind;
            kept
        })
    }

    /// Number of keys.
    pub fn keys(&self) -> usize {
        self.codes.len()
    }

    /// Number of rows of a kind.
    pub fn total(&self, kind: Kind) -> usize {
        self.total[kind as usize]
    }

    /// The longest way from sending to answer in ns; None where an answer was lost.
    pub fn longest_ns(&self) -> Option<i64> {
        self.longest_ns
    }
}

impl Groups<Seen> {
    /// Cuts the log between keys into parts of `rows` rows or a little more.
    pub(crate) fn chunks(&mut self, rows: usize) -> Vec<Chunk<'_>> {
        let mut chunks = Vec::new();
        let mut rest = self.requests.as_mut_slice();
        let (mut first, mut held) = (0, 0);
        for key in 0..self.codes.len() {
            held += self.counts[key].iter().sum::<usize>();
            if held < rows && key + 1 < self.codes.len() {
                continue;
            }
            let (requests, behind) = rest.split_at_mut(held);
            chunks.push(Chunk {
                first,
                codes: &self.codes[first..=key],
                counts: &self.counts[first..=key],
                requests,
            });
            (rest, first, held) = (behind, key + 1, 0);
        }
        chunks
    }
}
