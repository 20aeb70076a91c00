//! A log by key, for Python: grouped once, and asked several questions.

use pyo3::prelude::*;
use rateproof_prove::{Counting, Groups, MOST_ROWS, Sayings};

use crate::promises::{self, Found};
use crate::screen::{self, Screened};
use crate::seen_columns::Columns;

/// The requests of a log, by key.
#[pyclass(module = "rateproof._native")]
pub struct ByKey {
    groups: Groups,
    sayings: Sayings,
    marked: bool,
}

#[pymethods]
impl ByKey {
    /// None where the log is not one that can be looked at here.
    #[staticmethod]
    fn of(py: Python<'_>, columns: Columns) -> PyResult<Option<Self>> {
        let (table, digests) = (columns.table(py)?, columns.digests(py));
        if table.rows >= MOST_ROWS {
            return Ok(None);
        }
        let mut counting = Counting::new(digests);
        if !table.each_key(py, |key| counting.count(key))? {
            return Ok(None);
        }
        let (mut placing, mut sayings) = (counting.room(), Sayings::default());
        if !table.each(py, &mut sayings, |row, said| placing.place(row, said))? {
            return Ok(None);
        }
        Ok(placing.groups().map(|groups| Self {
            groups,
            sayings,
            marked: table.marked,
        }))
    }

    /// The suspects among the keys, and what is known of all.
    fn screen(
        &mut self,
        py: Python<'_>,
        rules: screen::Asked,
        threads: usize,
    ) -> PyResult<Screened> {
        screen::screen(py, &mut self.groups, self.marked, rules, threads)
    }

    /// Outcomes of the statements in header fields.
    fn broken_promises(&mut self, py: Python<'_>, asked: promises::Asked, threads: usize) -> Found {
        promises::broken(py, &mut self.groups, &self.sayings, &asked, threads)
    }
}
