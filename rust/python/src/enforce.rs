//! The limiter table for Python.
//!
//! Detaching from the interpreter costs more than a hit that nobody contends. So a call first
//! tries with no patience at all, attached; only when a holder of the lock is in the way does it
//! start again detached, with patience. Opening a table always detaches: it may wait and write.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rateproof_enforce as core;

use crate::ask::Ask;
use crate::errors::raise;

/// (admitted, full, remaining, retry_after_ns, reset_after_ns)
pub(crate) type Told = (bool, bool, u64, u64, u64);

/// A quota shared by threads and processes.
#[pyclass(frozen, module = "rateproof._native")]
pub struct Table(pub(crate) Arc<core::Table>);

#[pymethods]
impl Table {
    #[new]
    #[pyo3(signature = (path, algorithm, limit, window_ns, burst, capacity, parameter=None))]
    #[expect(
        clippy::too_many_arguments,
        reason = "the figures of a quota, by name in Python"
    )]
    fn new(
        py: Python<'_>,
        path: Option<PathBuf>,
        algorithm: &str,
        limit: &Bound<'_, PyAny>,
        window_ns: &Bound<'_, PyAny>,
        burst: &Bound<'_, PyAny>,
        capacity: &Bound<'_, PyAny>,
        parameter: Option<u64>,
    ) -> PyResult<Self> {
        let algorithm: core::Algorithm = algorithm.parse().map_err(|error| failed(py, &error))?;
        let quota = core::Quota {
            algorithm,
            limit: whole(limit, "limit", algorithm.max_limit())?,
            window_ns: whole(window_ns, "window_ns", core::MAX_WINDOW_NS)?,
            burst: whole(burst, "burst", core::MAX_LIMIT)?,
            parameter: parameter.unwrap_or(algorithm.parameter().default),
        };
        let capacity = whole(capacity, "capacity", core::MAX_CAPACITY)?;
        py.detach(|| core::Table::open(path.as_deref(), quota, capacity))
            .map(|table| Self(Arc::new(table)))
            .map_err(|error| failed(py, &error))
    }

    /// The table at `path`, whatever its quota and capacity are.
    #[staticmethod]
    fn existing(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        py.detach(|| core::Table::existing(&path))
            .map(|table| Self(Arc::new(table)))
            .map_err(|error| failed(py, &error))
    }

    /// About how many keys there is room for.
    #[getter]
    fn capacity(&self) -> u64 {
        self.0.capacity()
    }

    /// Frees the whole quota of `key`.
    fn reset(&self, key: &Bound<'_, PyBytes>) -> PyResult<()> {
        let bytes = key.as_bytes();
        surely(key.py(), |patience| self.0.reset(bytes, patience))
    }

    /// Frees the whole quota of every key.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        // It looks at every slot: others may run meanwhile.
        let cleared = py.detach(|| self.0.clear(core::PATIENCE));
        done(py, cleared)
    }

    /// Keys whose quota is not whole, and slots: of all, or of `count` that are spread.
    #[pyo3(signature = (now_ns, turn=0, count=u64::MAX))]
    fn census(
        &self,
        py: Python<'_>,
        now_ns: Option<&Bound<'_, PyAny>>,
        turn: u64,
        count: u64,
    ) -> PyResult<(u64, u64)> {
        let now_ns = reading(now_ns)?;
        let census = py.detach(|| self.0.census(now_ns, turn, count));
        let core::Census { live, slots } = census.map_err(|error| failed(py, &error))?;
        Ok((live, slots))
    }

    /// Number of slots.
    #[getter]
    fn slots(&self) -> u64 {
        self.0.slots()
    }
}

/// Takes `cost` admissions of `key` in every table, or in none; `charge` false: what that would be
/// told, changing nothing. True if all tables admit, each quota's answer, and whether these are for
/// want of the lock.
#[pyfunction]
#[pyo3(signature = (tables, key, cost, now_ns, charge=true))]
pub fn hit_all(
    tables: Vec<PyRef<'_, Table>>,
    key: &Bound<'_, PyBytes>,
    cost: &Bound<'_, PyAny>,
    now_ns: Option<&Bound<'_, PyAny>>,
    charge: bool,
) -> PyResult<(bool, Vec<Told>, bool)> {
    let tables: Vec<&core::Table> = tables.iter().map(|table| table.0.as_ref()).collect();
    let ask = if charge { Ask::Hit } else { Ask::Peek };
    let least = tables.iter().map(|table| table.quota().burst).min();
    let (cost, now_ns) = (whole(cost, "cost", least.unwrap_or(1))?, reading(now_ns)?);
    let bytes = key.as_bytes();
    let answers = patiently(key.py(), |patience| {
        ask.of(&tables, bytes, cost, now_ns, patience)
    })?;
    Ok(match answers {
        Some((admitted, answers)) => (admitted, answers.iter().map(told).collect(), false),
        None => (false, vec![told(&core::Answer::busy()); tables.len()], true),
    })
}

/// Tries at once; only when that is not enough, again without the interpreter and with patience.
pub(crate) fn patiently<T: Send>(
    py: Python<'_>,
    call: impl Fn(Duration) -> Result<Option<T>, core::Error> + Sync,
) -> PyResult<Option<T>> {
    let answer = match call(Duration::ZERO) {
        Ok(Some(answer)) => return Ok(Some(answer)),
        _ => py.detach(|| call(core::PATIENCE)),
    };
    answer.map_err(|error| failed(py, &error))
}

/// As `patiently`, for what must be done: a lock that is not to be had is an error.
fn surely(
    py: Python<'_>,
    call: impl Fn(Duration) -> Result<bool, core::Error> + Sync,
) -> PyResult<()> {
    let outcome = patiently(py, |patience| Ok(call(patience)?.then_some(())))?;
    done(py, Ok(outcome.is_some()))
}

fn done(py: Python<'_>, outcome: Result<bool, core::Error>) -> PyResult<()> {
    if outcome.map_err(|error| failed(py, &error))? {
        return Ok(());
    }
    Err(raise(
        py,
        "StoreError",
        "cannot forget: the table's lock is held",
        Some("end or resume the process that holds it, then try again"),
    ))
}

pub(crate) fn told(answer: &core::Answer) -> Told {
    (
        answer.admitted,
        answer.full,
        answer.remaining,
        answer.retry_after_ns,
        answer.reset_after_ns,
    )
}

/// A reading of the clock, where one was supplied.
fn reading(now_ns: Option<&Bound<'_, PyAny>>) -> PyResult<Option<u64>> {
    now_ns
        .map(|value| whole(value, "now_ns", core::MAX_NOW_NS))
        .transpose()
}

/// An integer that fits; one that does not is an invalid argument, what is no integer a TypeError.
fn whole(value: &Bound<'_, PyAny>, name: &str, most: u64) -> PyResult<u64> {
    value.extract::<u64>().map_err(|error| {
        if !error.is_instance_of::<PyOverflowError>(value.py()) {
            return error;
        }
        // Python refuses to write out integers of more than 4,300 digits.
        let shown = value
            .str()
            .map_or_else(|_| "too long to show".to_owned(), |text| text.to_string());
        raise(
            value.py(),
            "InvalidArgument",
            &format!("{name} is {shown}"),
            Some(&format!("an integer of at most {most}, not negative")),
        )
    })
}

pub(crate) fn failed(py: Python<'_>, error: &core::Error) -> PyErr {
    let class = format!("{:?}", error.kind);
    raise(py, &class, &error.message, Some(&error.hint))
}
