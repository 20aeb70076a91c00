//! What a summary counts, table by table: the twin of `rateproof.simulate.tally`.

use std::collections::{BTreeMap, HashMap};

use crate::histogram::Histogram;

/// The value in a column of numbers where there is none.
pub const NULL: i64 = i64::MIN;

/// Number of kinds of outcome: admitted, rejected, unknown.
pub const KINDS: usize = 3;

const BLOCK_BITS: u32 = 12;
const BLOCK_WORDS: usize = 1 << (BLOCK_BITS - 6);

/// One event, as far as it is counted; times in ns, `NULL` where there is none.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Before the first byte was written.
    pub sent_ns: i64,
    /// After all three digits of the final status.
    pub received_ns: i64,
    /// After the whole answer.
    pub done_ns: i64,
    /// Instant at which the plan wanted it sent.
    pub intended_ns: i64,
    /// The HTTP status.
    pub status: i64,
    /// Of the body.
    pub bytes: i64,
    /// Number of the connection; 0 is none.
    pub connection: i64,
}

/// The times that a histogram is of.
#[derive(Clone, Copy, Debug)]
pub enum Times {
    /// From the instant of sending.
    Latency = 0,
    /// From the intended instant where that was earlier.
    Response = 1,
}

/// Counts in memory that does not grow with the number of events.
///
/// Connections are counted exactly, by a bit for each number.
#[derive(Debug, Default)]
pub struct Tally {
    /// Number of events.
    pub requests: u64,
    /// Of all bodies together.
    pub bytes: i128,
    /// Number of each kind.
    pub outcomes: [u64; KINDS],
    /// Number of each status that occurred.
    pub statuses: BTreeMap<i64, u64>,
    /// The first instant of sending and the last end; None without events.
    pub span: Option<(i64, i64)>,
    times: [[Histogram; KINDS]; 2],
    blocks: HashMap<i64, [u64; BLOCK_WORDS]>,
    last_connection: i64,
}

impl Tally {
    /// Counts one event; `kind` is 0 admitted, 1 rejected or 2 unknown.
    #[inline]
    pub fn add(&mut self, row: &Row, kind: usize) {
        self.requests += 1;
        self.bytes += i128::from(row.bytes);
        self.outcomes[kind] += 1;
        if row.status != NULL {
            *self.statuses.entry(row.status).or_insert(0) += 1;
        }
        if row.connection != self.last_connection {
            self.note_connection(row.connection);
        }
        let answered_ns = if row.done_ns == NULL {
            row.received_ns
        } else {
            row.done_ns
        };
        let mut end_ns = row.sent_ns;
        if answered_ns != NULL {
            end_ns = answered_ns;
            self.times[Times::Latency as usize][kind].add(end_ns.saturating_sub(row.sent_ns));
            if row.intended_ns != NULL {
                let from_ns = row.sent_ns.min(row.intended_ns);
                self.times[Times::Response as usize][kind].add(end_ns.saturating_sub(from_ns));
            }
        }
        self.span = Some(match self.span {
            None => (row.sent_ns, end_ns),
            Some((first, last)) => (first.min(row.sent_ns), last.max(end_ns)),
        });
    }

    /// Number of different connections; 0 is none.
    pub fn connections(&self) -> u64 {
        let words = self.blocks.values().flatten();
        words.map(|word| u64::from(word.count_ones())).sum()
    }

    /// The times of one kind of outcome.
    pub fn times(&self, which: Times, kind: usize) -> &Histogram {
        &self.times[which as usize][kind]
    }

    fn note_connection(&mut self, number: i64) {
        self.last_connection = number;
        if number == 0 {
            return;
        }
        let words = self
            .blocks
            .entry(number >> BLOCK_BITS)
            .or_insert([0; BLOCK_WORDS]);
        let bit = (number & ((1 << BLOCK_BITS) - 1)) as usize;
        words[bit / 64] |= 1 << (bit % 64);
    }
}
