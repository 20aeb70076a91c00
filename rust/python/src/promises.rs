//! What became of header fields, for Python.

use pyo3::prelude::*;
use rateproof_prove::{Kind, MAX_POSITIONS, Promises, Terms, Told, UNKNOWN_END};

use crate::prove::cut;
use crate::seen_columns::{Columns, Table};

/// Rows that are read at a time; in between, other threads of Python may run.
const BLOCK: usize = 1 << 16;

/// Adds this file's functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(broken_promises, module)?)
}

/// What is asked of every key; `known_after_ns` is `rateproof.prove.headers.headers.headers_of`'s.
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
type Found = ([u64; 4], u64, Vec<(usize, usize, usize)>);

/// None where the log is not one that can be looked at here.
#[pyfunction]
fn broken_promises(py: Python<'_>, columns: Columns, asked: Asked) -> PyResult<Option<Found>> {
    let table = columns.table(py)?;
    let Some(keyed) = by_key(py, &table, columns.keys)? else {
        return Ok(None);
    };
    let terms = Terms {
        ppm: asked.ppm,
        granularity_ns: cut(asked.granularity_ns),
        denied_count: asked.denied_count,
        hard_reset: asked.hard_reset,
    };
    let mut promises = Promises::default();
    let mut answers: Vec<Told> = Vec::new();
    let mut since = 0;
    for rows in keyed
        .rows
        .chunk_by(|&one, &other| keyed.key(one) == keyed.key(other))
    {
        answers.clear();
        let told = |&row: &u32| told(&table, row as usize, columns.keys, keyed.first_ns);
        answers.extend(rows.iter().filter_map(told));
        let known = known(&answers, asked.known_after_ns);
        promises.add(&mut answers, terms, known, asked.most);
        since += rows.len();
        if since >= BLOCK {
            since = 0;
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

/// A row and what its answer says, in ns from `first_ns` on.
fn told(table: &Table<'_>, at: usize, keys: usize, first_ns: i64) -> Option<Told> {
    let row = table.row(at, keys)?;
    let answered = row.kind != Kind::Unknown;
    let end = row.end_ns.filter(|_| answered);
    let [retry_after, remaining, reset] = match answered {
        true => table.told(at),
        false => [None; 3],
    };
    Some(Told {
        sent: row.sent_ns - first_ns,
        end: end.map_or(UNKNOWN_END, |end_ns| end_ns - first_ns),
        kind: row.kind,
        row: at,
        retry_after,
        remaining,
        reset,
    })
}

/// The rows of a log, key by key.
struct Keyed {
    rows: Vec<u32>,
    /// Of each row, the key.
    keys: Vec<u32>,
    first_ns: i64,
}

impl Keyed {
    fn key(&self, row: u32) -> u32 {
        self.keys[row as usize]
    }
}

/// Rows by key, in the order in which keys appeared; None where a row is none, an answer precedes
/// its request, or times are too far apart.
fn by_key(py: Python<'_>, table: &Table<'_>, codes: usize) -> PyResult<Option<Keyed>> {
    if table.rows >= MAX_POSITIONS {
        return Ok(None);
    }
    let mut number = vec![u32::MAX; codes];
    let mut counts: Vec<usize> = Vec::new();
    let mut keys = Vec::with_capacity(table.rows);
    let (mut first_ns, mut last_ns) = (i64::MAX, i64::MIN);
    for at in 0..table.rows {
        let Some(row) = table.row(at, codes) else {
            return Ok(None);
        };
        let end_ns = row.end_ns.filter(|_| row.kind != Kind::Unknown);
        if end_ns.is_some_and(|end_ns| end_ns < row.sent_ns) {
            return Ok(None);
        }
        first_ns = first_ns.min(row.sent_ns);
        last_ns = last_ns.max(end_ns.unwrap_or(row.sent_ns));
        if number[row.key] == u32::MAX {
            number[row.key] = counts.len() as u32;
            counts.push(0);
        }
        keys.push(number[row.key]);
        counts[number[row.key] as usize] += 1;
        if at % BLOCK == 0 {
            py.detach(|| ());
            py.check_signals()?;
        }
    }
    if i128::from(last_ns) - i128::from(first_ns) >= 1 << 61 {
        return Ok(None);
    }
    let mut next = 0;
    for count in &mut counts {
        next += std::mem::replace(count, next);
    }
    let mut rows = vec![0; keys.len()];
    for (at, &key) in (0..).zip(&keys) {
        rows[counts[key as usize]] = at;
        counts[key as usize] += 1;
    }
    Ok(Some(Keyed {
        rows,
        keys,
        first_ns,
    }))
}
