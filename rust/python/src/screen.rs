//! The screen of whole logs for Python.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rateproof_prove::{
    Clearance, Counting, Groups, Kind, MAX_POSITIONS, Row, Rules, Window, screen as screen_groups,
};

use crate::prove::{StairFigures, stair};
use crate::seen_columns::{Column, Columns, Table};

/// Rows that are read at a time; in between, other threads of Python may run.
const BLOCK: usize = 1 << 16;

/// attempts, possible, provable, tightest_ns, stressed, code of the key.
type PressureFigures = (usize, usize, usize, Option<i64>, bool, Option<usize>);

/// Code of the key, then tolerated, exact, unknown and wrong of `Suspect`.
type SuspectFigures = (usize, Clearance, Clearance, Clearance, bool);

/// Adds this file's functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(screen, module)?)?;
    module.add_function(wrap_pyfunction!(rows_of, module)?)
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Asked {
    exact: Vec<StairFigures>,
    tolerated: Option<Vec<StairFigures>>,
    windows: Vec<(usize, i128, i128)>,
    fresh: bool,
    over: bool,
}

impl Asked {
    fn rules(self, py: Python<'_>) -> PyResult<Rules> {
        let stairs = |all: Vec<StairFigures>| all.into_iter().map(|one| stair(py, one)).collect();
        let window = |(limit, exact_ns, tolerated_ns)| Window {
            limit,
            exact_ns,
            tolerated_ns,
        };
        Ok(Rules {
            exact: stairs(self.exact)?,
            tolerated: self.tolerated.map(stairs).transpose()?,
            windows: self.windows.into_iter().map(window).collect(),
            fresh: self.fresh,
            over: self.over,
        })
    }
}

#[derive(IntoPyObject)]
struct Screened {
    keys: usize,
    admitted: usize,
    rejected: usize,
    unknown: usize,
    judged: usize,
    longest_ns: Option<i64>,
    marked: bool,
    pressure: Vec<PressureFigures>,
    wrong_if_exact: bool,
    wrong_if_unknown: bool,
    suspects: Vec<SuspectFigures>,
}

/// None where the log is not one that can be screened.
#[pyfunction]
fn screen(
    py: Python<'_>,
    columns: Columns,
    rules: Asked,
    threads: usize,
) -> PyResult<Option<Screened>> {
    let rules = rules.rules(py)?;
    let table = columns.table(py)?;
    let marked = table.marked;
    let Some(mut groups) = grouped(py, &table, columns.keys)? else {
        return Ok(None);
    };
    let (report, groups) = py.detach(|| {
        let report = screen_groups(&mut groups, &rules, threads);
        (report, groups)
    });
    let pressure = report.pressure.into_iter().map(|figures| {
        (
            figures.attempts,
            figures.possible,
            figures.provable,
            figures.tightest_ns,
            figures.stressed,
            figures.key,
        )
    });
    let suspects = report.suspects.into_iter().map(|suspect| {
        (
            suspect.code,
            suspect.tolerated,
            suspect.exact,
            suspect.unknown,
            suspect.wrong,
        )
    });
    Ok(Some(Screened {
        keys: groups.keys(),
        admitted: groups.total(Kind::Admitted),
        rejected: groups.total(Kind::Rejected),
        unknown: groups.total(Kind::Unknown),
        judged: report.judged,
        longest_ns: groups.longest_ns(),
        marked,
        pressure: pressure.collect(),
        wrong_if_exact: report.wrong_if_exact,
        wrong_if_unknown: report.wrong_if_unknown,
        suspects: suspects.collect(),
    }))
}

fn grouped(py: Python<'_>, table: &Table<'_>, keys: usize) -> PyResult<Option<Groups>> {
    if table.rows >= MAX_POSITIONS {
        return Ok(None);
    }
    let mut counting = Counting::new(keys);
    if !each(py, table, keys, |row| counting.count(row))? {
        return Ok(None);
    }
    let Some(mut placing) = counting.place() else {
        return Ok(None);
    };
    each(py, table, keys, |row| placing.place(row))?;
    Ok(Some(placing.finish()))
}

/// Shows every row, or stops at the first that is none.
fn each(
    py: Python<'_>,
    table: &Table<'_>,
    keys: usize,
    mut show: impl FnMut(&Row),
) -> PyResult<bool> {
    for start in (0..table.rows).step_by(BLOCK) {
        for row in start..table.rows.min(start + BLOCK) {
            let Some(row) = table.row(row, keys) else {
                return Ok(false);
            };
            show(&row);
        }
        py.detach(|| ());
        py.check_signals()?;
    }
    Ok(true)
}

/// The rows of each of the keys with these codes, as bytes of 64-bit integers.
#[pyfunction]
fn rows_of<'py>(
    py: Python<'py>,
    key: Column<i32>,
    rows: usize,
    wanted: Vec<usize>,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let key = key.values(py, rows)?;
    let mut place = vec![usize::MAX; wanted.iter().max().map_or(0, |most| most + 1)];
    for (at, &code) in wanted.iter().enumerate() {
        place[code] = at;
    }
    let mut found = vec![Vec::new(); wanted.len()];
    for row in 0..rows {
        let place = place.get(key.at(row) as u32 as usize);
        if let Some(rows) = place.and_then(|&at| found.get_mut(at)) {
            rows.extend_from_slice(&(row as i64).to_ne_bytes());
        }
    }
    Ok(found.iter().map(|rows| PyBytes::new(py, rows)).collect())
}
