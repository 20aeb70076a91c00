//! The outcome of header fields, for Python.

use pyo3::prelude::*;
use rateproof_prove::{Promises, Row, Terms, Told};

use crate::prove::cut;
use crate::screen::grouped;
use crate::seen_columns::{BLOCK, Columns};

/// Adds this file's functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(broken_promises, module)?)
}

/// The question asked of every key; `known_after_ns` is `rateproof.prove.headers.headers_of`'s.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Asked {
    ppm: u32,
    granularity_ns: i128,
    denied_count: bool,
    hard_reset: bool,
    known_after_ns: Option<i64>,
    most: usize,
}

/// Number judged, by rule, number of them broken, and rule, said and seen of those.
type Found = ([u64; 4], u64, Vec<(usize, u32, u32)>);

/// None where the log is not one that can be looked at here.
#[pyfunction]
fn broken_promises(py: Python<'_>, columns: Columns, asked: Asked) -> PyResult<Option<Found>> {
    let table = columns.table(py)?;
    let told = |at, row: &Row, first_ns| Told::of(at, row, first_ns, table.says(at));
    let Some(mut groups) = grouped(py, &table, columns.keys, told)? else {
        return Ok(None);
    };
    let terms = Terms {
        ppm: asked.ppm,
        granularity_ns: cut(asked.granularity_ns),
        denied_count: asked.denied_count,
        hard_reset: asked.hard_reset,
    };
    let mut promises = Promises::default();
    let mut since = 0;
    for answers in groups.each() {
        since += answers.len();
        let said = |row| table.said(row as usize);
        promises.add(answers, said, terms, asked.known_after_ns, asked.most);
        if since >= BLOCK {
            since = 0;
            py.detach(|| ());
            py.check_signals()?;
        }
    }
    let broken = (promises.first.iter()).map(|one| (one.rule, one.said, one.seen));
    Ok(Some((promises.judged, promises.broken, broken.collect())))
}
