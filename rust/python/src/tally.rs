//! The counts of a summary for Python.

use std::collections::BTreeMap;

use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use rateproof_simulate::tally::{self as core, KINDS, Row, Times};

use crate::errors::raise;

const COLUMNS: usize = 7;

/// The least value, the greatest, and the count of each bucket by the greatest value in it.
type Buckets = (i64, i64, BTreeMap<i64, u64>);

/// Counts in memory that does not grow; see `rateproof.simulate.tally.PlainTally`.
#[pyclass(module = "rateproof._native")]
pub struct Tally(core::Tally);

#[pymethods]
impl Tally {
    #[new]
    fn new() -> Self {
        Self(core::Tally::default())
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
            let row = Row {
                sent_ns: rows[0][at],
                received_ns: rows[1][at],
                done_ns: rows[2][at],
                intended_ns: rows[3][at],
                status: rows[4][at],
                bytes: rows[5][at],
                connection: rows[6][at],
            };
            self.0.add(&row, kind_of(outcomes[at]).unwrap_or(KINDS - 1));
            seen[errors[at] as usize] += 1;
        }
        Ok(seen)
    }

    #[getter]
    fn requests(&self) -> u64 {
        self.0.requests
    }

    #[getter]
    fn bytes(&self) -> i128 {
        self.0.bytes
    }

    #[getter]
    fn connections(&self) -> u64 {
        self.0.connections()
    }

    fn outcomes(&self) -> [u64; KINDS] {
        self.0.outcomes
    }

    fn statuses(&self) -> BTreeMap<i64, u64> {
        self.0.statuses.clone()
    }

    fn span(&self) -> Option<(i64, i64)> {
        self.0.span
    }

    /// The least, the greatest and the buckets of times of one kind.
    fn buckets(&self, py: Python<'_>, which: usize, kind: usize) -> PyResult<Option<Buckets>> {
        let which = match which {
            0 => Times::Latency,
            1 => Times::Response,
            _ => return Err(bad(py, "no such times")),
        };
        if kind >= KINDS {
            return Err(bad(py, "no such kind of outcome"));
        }
        let times = self.0.times(which, kind);
        Ok(times
            .range
            .map(|(low, high)| (low, high, times.buckets().collect())))
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

/// Adds this file's class to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Tally>()
}
