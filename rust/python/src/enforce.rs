//! The limiter table for Python.
//!
//! Detaching from the interpreter costs more than a hit that nobody contends. So a call first
//! tries with no patience at all, attached; only when a holder of the lock is in the way does it
//! start again detached, with patience. Opening a table always detaches: it may wait and write.

use std::path::PathBuf;
use std::time::Duration;

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rateproof_enforce as core;

use crate::errors::raise;

/// (admitted, full, remaining, retry_after_ns, reset_after_ns)
type Told = (bool, bool, u64, u64, u64);

/// A quota shared by threads and processes.
#[pyclass(frozen, module = "rateproof._native")]
struct Table(core::Table);

#[pymethods]
impl Table {
    #[new]
    fn new(
        py: Python<'_>,
        path: Option<PathBuf>,
        limit: &Bound<'_, PyAny>,
        window_ns: &Bound<'_, PyAny>,
        capacity: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let limit = whole(limit, "limit", core::MAX_LIMIT)?;
        let window_ns = whole(window_ns, "window_ns", core::MAX_WINDOW_NS)?;
        let capacity = whole(capacity, "capacity", core::MAX_CAPACITY)?;
        py.detach(|| core::Table::open(path.as_deref(), limit, window_ns, capacity))
            .map(Self)
            .map_err(|error| failed(py, &error))
    }

    /// Takes `cost` admissions of `key`, all or none.
    fn hit(
        &self,
        key: &Bound<'_, PyBytes>,
        cost: &Bound<'_, PyAny>,
        now_ns: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Told> {
        self.ask(core::Table::hit, key, cost, now_ns)
    }

    /// What a hit would be told, changing nothing.
    fn peek(
        &self,
        key: &Bound<'_, PyBytes>,
        cost: &Bound<'_, PyAny>,
        now_ns: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Told> {
        self.ask(core::Table::peek, key, cost, now_ns)
    }

    /// Frees the whole quota of `key`.
    fn reset(&self, key: &Bound<'_, PyBytes>, now_ns: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let now_ns = reading(now_ns)?;
        let (py, bytes) = (key.py(), key.as_bytes());
        let done = patiently(py, |patience| {
            let done = self.0.reset(bytes, now_ns, patience)?;
            Ok(done.then_some(()))
        })?;
        done.ok_or_else(|| {
            raise(
                py,
                "StoreError",
                "cannot reset: the table's lock is held",
                Some("end or resume the process that holds it, then try again"),
            )
        })
    }

    /// Admissions in any half-open window.
    #[getter]
    fn limit(&self) -> u64 {
        self.0.limit()
    }

    /// The window in nanoseconds.
    #[getter]
    fn window_ns(&self) -> u64 {
        self.0.window_ns()
    }

    /// Keys that find room at the same time.
    #[getter]
    fn capacity(&self) -> u64 {
        self.0.capacity()
    }

    fn __repr__(&self) -> String {
        let (limit, window_ns, capacity) = (self.limit(), self.window_ns(), self.capacity());
        format!("Table(limit={limit}, window_ns={window_ns}, capacity={capacity})")
    }
}

/// `core::Table::hit` or `peek`.
type Question = fn(
    &core::Table,
    &[u8],
    u64,
    Option<u64>,
    Duration,
) -> Result<Option<core::Answer>, core::Error>;

impl Table {
    fn ask(
        &self,
        question: Question,
        key: &Bound<'_, PyBytes>,
        cost: &Bound<'_, PyAny>,
        now_ns: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Told> {
        let cost = whole(cost, "cost", self.0.limit())?;
        let now_ns = reading(now_ns)?;
        let bytes = key.as_bytes();
        let answer = patiently(key.py(), |patience| {
            question(&self.0, bytes, cost, now_ns, patience)
        })?;
        Ok(told(&answer.unwrap_or_else(core::Answer::busy)))
    }
}

/// Takes `cost` admissions of `key` in every table, or in none.
#[pyfunction]
fn hit_all(
    tables: Vec<PyRef<'_, Table>>,
    key: &Bound<'_, PyBytes>,
    cost: &Bound<'_, PyAny>,
    now_ns: Option<&Bound<'_, PyAny>>,
) -> PyResult<(bool, Vec<Told>)> {
    let tables: Vec<&core::Table> = tables.iter().map(|table| &table.0).collect();
    let least = tables.iter().map(|table| table.limit()).min().unwrap_or(1);
    let (cost, now_ns) = (whole(cost, "cost", least)?, reading(now_ns)?);
    let bytes = key.as_bytes();
    let answers = patiently(key.py(), |patience| {
        core::hit_all(&tables, bytes, cost, now_ns, patience)
    })?;
    let (admitted, answers) =
        answers.unwrap_or_else(|| (false, vec![core::Answer::busy(); tables.len()]));
    Ok((admitted, answers.iter().map(told).collect()))
}

/// Tries at once; only when that is not enough, again without the interpreter and with patience.
fn patiently<T: Send>(
    py: Python<'_>,
    call: impl Fn(Duration) -> Result<Option<T>, core::Error> + Sync,
) -> PyResult<Option<T>> {
    let answer = match call(Duration::ZERO) {
        Ok(None) => py.detach(|| call(core::PATIENCE)),
        other => other,
    };
    answer.map_err(|error| failed(py, &error))
}

fn told(answer: &core::Answer) -> Told {
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

fn failed(py: Python<'_>, error: &core::Error) -> PyErr {
    raise(py, error.kind.class(), &error.message, Some(&error.hint))
}

/// Adds this file's classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Table>()?;
    module.add_function(wrap_pyfunction!(hit_all, module)?)
}
