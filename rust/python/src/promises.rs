//! What became of header fields, for Python.

use pyo3::prelude::*;
use rateproof_prove::{Kind, MAX_POSITIONS, Promises, Row, Terms, Told, UNKNOWN_END};

use crate::prove::cut;
use crate::seen_columns::{BLOCK, Columns, Table};

/// Adds this file's functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(broken_promises, module)?)
}

/// What is asked of every key; `known_after_ns` is `rateproof.prove.headers.headers_of`'s.
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

/// How many were judged, by rule, how many of them were broken, and rule, said and seen of those.
type Found = ([u64; 4], u64, Vec<(usize, u32, u32)>);

/// None where the log is not one that can be looked at here.
#[pyfunction]
fn broken_promises(py: Python<'_>, columns: Columns, asked: Asked) -> PyResult<Option<Found>> {
    let table = columns.table(py)?;
    let Some(mut keyed) = by_key(py, &table, columns.keys)? else {
        return Ok(None);
    };
    let terms = Terms {
        ppm: asked.ppm,
        granularity_ns: cut(asked.granularity_ns),
        denied_count: asked.denied_count,
        hard_reset: asked.hard_reset,
    };
    let mut promises = Promises::default();
    let mut rest = keyed.answers.as_mut_slice();
    let mut since = 0;
    for count in keyed.counts {
        let answers;
        (answers, rest) = rest.split_at_mut(count);
        let known = known(answers, asked.known_after_ns);
        promises.add(
            answers,
            |row| table.said(row as usize),
            terms,
            known,
            asked.most,
        );
        since += count;
        if since >= BLOCK {
            since = 0;
            py.detach(|| ());
            py.check_signals()?;
        }
    }
    let broken = (promises.first.iter()).map(|one| (one.rule, one.said, one.seen));
    Ok(Some((promises.judged, promises.broken, broken.collect())))
}

/// By when all requests of a key that are not in the log had been decided.
fn known(answers: &[Told], after_ns: Option<i64>) -> Option<i64> {
    let sent = answers.iter().map(|answer| answer.sent);
    match after_ns {
        Some(0) => None,
        Some(after_ns) => sent.min().map(|first| first + after_ns.min(1 << 61)),
        None => sent.max().map(|last| last + 1),
    }
}

/// The requests of a log, key by key in the order in which those appeared.
struct Keyed {
    answers: Vec<Told>,
    counts: Vec<usize>,
}

/// None where a row is none, an answer precedes its request, or times are too far apart.
fn by_key(py: Python<'_>, table: &Table<'_>, codes: usize) -> PyResult<Option<Keyed>> {
    if table.rows >= MAX_POSITIONS {
        return Ok(None);
    }
    let mut next = vec![0; codes];
    let mut order = Vec::new();
    let (mut first_ns, mut last_ns) = (i64::MAX, i64::MIN);
    let mut sound = true;
    let whole = table.each(py, codes, |_, row| {
        if next[row.key] == 0 {
            order.push(row.key);
        }
        next[row.key] += 1;
        let end_ns = answered_ns(row).unwrap_or(row.sent_ns);
        sound &= end_ns >= row.sent_ns;
        first_ns = first_ns.min(row.sent_ns);
        last_ns = last_ns.max(end_ns);
    })?;
    if !whole || !sound || i128::from(last_ns) - i128::from(first_ns) >= 1 << 61 {
        return Ok(None);
    }
    let mut at = 0;
    let mut counts = Vec::with_capacity(order.len());
    for code in order {
        counts.push(next[code]);
        at += std::mem::replace(&mut next[code], at);
    }
    let none = Told {
        sent: 0,
        end: 0,
        row: 0,
        kind: Kind::Unknown,
        says: false,
    };
    let mut answers = vec![none; table.rows];
    table.each(py, codes, |at, row| {
        let place = &mut next[row.key];
        answers[*place] = Told {
            sent: row.sent_ns - first_ns,
            end: answered_ns(row).map_or(UNKNOWN_END, |end_ns| end_ns - first_ns),
            row: at as u32,
            kind: row.kind,
            says: row.kind != Kind::Unknown && table.says(at),
        };
        *place += 1;
    })?;
    Ok(Some(Keyed { answers, counts }))
}

fn answered_ns(row: &Row) -> Option<i64> {
    row.end_ns.filter(|_| row.kind != Kind::Unknown)
}
