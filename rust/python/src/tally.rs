//! The counts of a summary for Python: the twin of `rateproof.simulate.tally`.

use std::collections::{BTreeMap, HashMap};

use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use rateproof_simulate::histogram::Histogram;
use rateproof_simulate::rows::NULL;

use crate::errors::raise;

const COLUMNS: usize = 7;

/// Admitted, rejected, unknown.
const KINDS: usize = 3;

const BLOCK_BITS: u32 = 12;
const BLOCK_WORDS: usize = 1 << (BLOCK_BITS - 6);

/// The least value, the greatest, and the count of each bucket by the greatest value in it.
type Buckets = (i64, i64, BTreeMap<i64, u64>);

/// Counts in memory that does not grow; see `rateproof.simulate.tally.PlainTally`.
#[pyclass(module = "rateproof._native")]
#[derive(Default)]
pub struct Tally {
    #[pyo3(get)]
    requests: u64,
    #[pyo3(get)]
    bytes: i128,
    outcomes: [u64; KINDS],
    statuses: BTreeMap<i64, u64>,
    span: Option<(i64, i64)>,
    /// From the instant of sending, and from the intended one where that was earlier.
    times: [[Histogram; KINDS]; 2],
    /// A bit for each number of a connection.
    blocks: HashMap<i64, [u64; BLOCK_WORDS]>,
    last_connection: i64,
}

#[pymethods]
impl Tally {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Counts a table of events; how many had each code of an error.
    fn observe(
        &mut self,
        py: Python<'_>,
        columns: [PyBuffer<i64>; COLUMNS],
        outcomes: PyBuffer<i32>,
        kinds: &[u8],
        errors: PyBuffer<i32>,
        words: usize,
    ) -> PyResult<Vec<u64>> {
        let mut rows = Vec::with_capacity(COLUMNS);
        for column in &columns {
            rows.push(column.to_vec(py)?);
        }
        let (outcomes, errors) = (outcomes.to_vec(py)?, errors.to_vec(py)?);
        let length = outcomes.len();
        if errors.len() != length || rows.iter().any(|column| column.len() != length) {
            return Err(bad(py, "columns of different lengths"));
        }
        let kind_of = |code: i32| {
            let kind = kinds.get(usize::try_from(code).ok()?)?;
            Some(usize::from(*kind)).filter(|&kind| kind < KINDS)
        };
        // Before anything is counted: a table is counted whole or not at all.
        let known = |&code: &i32| (code as u32 as usize) < words;
        if !outcomes.iter().all(|&code| kind_of(code).is_some()) || !errors.iter().all(known) {
            return Err(bad(py, "a code without a word"));
        }
        let mut seen = vec![0; words];
        for at in 0..length {
            let row = std::array::from_fn(|column| rows[column][at]);
            self.add(row, kind_of(outcomes[at]).unwrap_or(KINDS - 1));
            seen[errors[at] as usize] += 1;
        }
        Ok(seen)
    }

    #[getter]
    fn connections(&self) -> u64 {
        let words = self.blocks.values().flatten();
        words.map(|word| u64::from(word.count_ones())).sum()
    }

    fn outcomes(&self) -> [u64; KINDS] {
        self.outcomes
    }

    fn statuses(&self) -> BTreeMap<i64, u64> {
        self.statuses.clone()
    }

    fn span(&self) -> Option<(i64, i64)> {
        self.span
    }

    /// The least, the greatest and the buckets of times of one kind.
    fn buckets(&self, py: Python<'_>, which: usize, kind: usize) -> PyResult<Option<Buckets>> {
        let of_kind = self.times.get(which).and_then(|times| times.get(kind));
        let times = of_kind.ok_or_else(|| bad(py, "no such times or kind of outcome"))?;
        Ok(times
            .range
            .map(|(low, high)| (low, high, times.buckets().collect())))
    }
}

impl Tally {
    /// Counts one event.
    #[inline]
    fn add(&mut self, row: [i64; COLUMNS], kind: usize) {
        let [
            sent_ns,
            received_ns,
            done_ns,
            intended_ns,
            status,
            bytes,
            connection,
        ] = row;
        self.requests += 1;
        self.bytes += i128::from(bytes);
        self.outcomes[kind] += 1;
        if status != NULL {
            *self.statuses.entry(status).or_insert(0) += 1;
        }
        if connection != self.last_connection {
            self.note_connection(connection);
        }
        let answered_ns = if done_ns == NULL {
            received_ns
        } else {
            done_ns
        };
        let mut end_ns = sent_ns;
        if answered_ns != NULL {
            end_ns = answered_ns;
            self.times[0][kind].add(end_ns.saturating_sub(sent_ns));
            if intended_ns != NULL {
                self.times[1][kind].add(end_ns.saturating_sub(sent_ns.min(intended_ns)));
            }
        }
        self.span = Some(match self.span {
            None => (sent_ns, end_ns),
            Some((first, last)) => (first.min(sent_ns), last.max(end_ns)),
        });
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

fn bad(py: Python<'_>, problem: &str) -> PyErr {
    raise(
        py,
        "InvalidArgument",
        problem,
        Some("see rateproof.simulate.tally.PlainTally"),
    )
}
