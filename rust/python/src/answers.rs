//! The answers of a log: how often each kind of them came, and how long they took at most.

use std::collections::HashMap;

use pyo3::prelude::*;

use crate::seen_columns::{Column, Columns};

/// Run, status, code of the outcome, code of the error, marked by a limiter, answered at all.
type Answer = (i64, i64, i32, i32, bool, bool);

/// The count, and the longest way from sending to answer in ns.
type Tally = (usize, i64);

/// Kinds that are found at once, where no two share a place.
const SOON: usize = 64;

/// Adds this file's functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(answers, module)?)
}

/// Every kind of answer, in order of appearance.
#[pyfunction]
fn answers(py: Python<'_>, columns: Columns, run: Column<i64>) -> PyResult<Vec<(Answer, Tally)>> {
    let table = columns.table(py)?;
    let runs = run.values(py, table.rows)?;
    let mut found: Vec<(Answer, Tally)> = Vec::new();
    let mut place = HashMap::new();
    let mut soon = [(usize::MAX, (0, 0, 0, 0, false, false)); SOON];
    for row in 0..table.rows {
        let (answer, took) = table.answer(row, runs.at(row));
        let (_, status, outcome, error, says, answered) = answer;
        let mixed = status as usize ^ (outcome as usize) << 2 ^ (error as usize) << 3;
        let mixed = mixed ^ usize::from(says) << 4 ^ usize::from(answered) << 5;
        let (last, known) = &mut soon[mixed % SOON];
        if *known != answer || *last == usize::MAX {
            *known = answer;
            *last = *place.entry(answer).or_insert(found.len());
            if *last == found.len() {
                found.push((answer, (0, i64::MIN)));
            }
        }
        let (times, longest) = &mut found[*last].1;
        *times += 1;
        *longest = took.max(*longest);
    }
    Ok(found)
}
