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

/// A kind of answer, its number among all, and those that were not yet added to its tally.
#[derive(Clone, Copy, Default)]
struct Recent {
    answer: Answer,
    at: usize,
    times: usize,
    longest: i64,
}

impl Recent {
    fn leave(&self, found: &mut [(Answer, Tally)]) {
        if self.times > 0 {
            let (times, longest) = &mut found[self.at].1;
            *times += self.times;
            *longest = self.longest.max(*longest);
        }
    }
}

/// Every kind of answer, in order of appearance.
#[pyfunction]
pub fn answers(
    py: Python<'_>,
    columns: Columns,
    run: Column<i64>,
) -> PyResult<Vec<(Answer, Tally)>> {
    let table = columns.table(py)?;
    let runs = run.values(py, table.rows)?;
    let mut found: Vec<(Answer, Tally)> = Vec::new();
    let mut place = HashMap::new();
    let mut soon = [Recent::default(); SOON];
    for row in 0..table.rows {
        let (answer, took) = table.answer(row, runs.at(row));
        let (_, status, outcome, error, says, answered) = answer;
        let mixed = status as usize ^ (outcome as usize) << 2 ^ (error as usize) << 3;
        let mixed = mixed ^ usize::from(says) << 4 ^ usize::from(answered) << 5;
        let recent = &mut soon[mixed % SOON];
        if recent.answer != answer || recent.times == 0 {
            recent.leave(&mut found);
            let at = *place.entry(answer).or_insert(found.len());
            if at == found.len() {
                found.push((answer, (0, i64::MIN)));
            }
            *recent = Recent {
                answer,
                at,
                times: 0,
                longest: i64::MIN,
            };
        }
        recent.times += 1;
        recent.longest = took.max(recent.longest);
    }
    for recent in soon {
        recent.leave(&mut found);
    }
    Ok(found)
}
