//! The load engine for Python: a scenario in, batches of columns out.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use rateproof_simulate::audit::Audit;
use rateproof_simulate::engine;
use rateproof_simulate::outcome::{ErrorKind, Outcome};
use rateproof_simulate::program::{Code, Program};
use rateproof_simulate::rows::Columns;
use rateproof_simulate::settings::{Group, Settings};
use rateproof_simulate::tls::{client_config, server_name};

use crate::errors::raise;

/// Adds this file's classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Engine>()
}

/// Certificate authorities (None: the system's), whether to go without proof, the server's name.
type Tls = (Option<PathBuf>, bool, String);

/// A run, as `transports.native` tells it.
fn settings(run: &Bound<'_, PyDict>) -> PyResult<Settings> {
    let refused = |why: String| raise(run.py(), "InvalidArgument", &why, None);
    let groups: Vec<(Vec<Code>, u32, u32)> = told(run, "groups")?;
    let groups = groups.into_iter().map(|(code, clients, connections)| {
        let program = Arc::new(Program::new(&code).map_err(refused)?);
        Ok(Group {
            program,
            clients,
            connections,
        })
    });
    let addresses: Vec<(IpAddr, u16)> = told(run, "addresses")?;
    let tls = told::<Option<Tls>>(run, "tls")?.map(|(ca_file, insecure, name)| {
        Ok((
            client_config(ca_file.as_deref(), insecure)?,
            server_name(&name)?,
        ))
    });
    Ok(Settings {
        addresses: addresses.into_iter().map(SocketAddr::from).collect(),
        tls: tls.transpose().map_err(refused)?,
        before: told(run, "before")?,
        after: told(run, "after")?,
        head_bytes: told(run, "head_bytes")?,
        bodiless: told(run, "bodiless")?,
        groups: groups.collect::<PyResult<_>>()?,
        seed: told(run, "seed")?,
        namespace: told(run, "namespace")?,
        duration_ns: told::<Option<i64>>(run, "duration_ns")?.unwrap_or(i64::MAX),
        timeout_ns: told(run, "timeout_ns")?,
        connect_timeout_ns: told(run, "connect_timeout_ns")?,
        max_connections: told(run, "max_connections")?,
        pace_ns: told(run, "pace_ns")?,
        rejected_statuses: told(run, "rejected_statuses")?,
        tolerance_ns: told(run, "tolerance_ns")?,
        start_ns: told(run, "start_ns")?,
        loops: told(run, "loops")?,
    })
}

fn told<'py, T: FromPyObjectOwned<'py>>(run: &Bound<'py, PyDict>, name: &str) -> PyResult<T> {
    run.as_any().get_item(name)?.extract().map_err(Into::into)
}

/// A run that goes on.
#[pyclass(module = "rateproof._native", frozen)]
struct Engine {
    engine: engine::Engine,
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, run: &Bound<'_, PyDict>) -> PyResult<Self> {
        let settings = settings(run)?;
        match py.detach(|| engine::Engine::start(settings)) {
            Ok(engine) => Ok(Self { engine }),
            Err(error) => Err(failed(py, &error)),
        }
    }

    #[getter]
    fn start_ns(&self) -> i64 {
        self.engine.start_ns()
    }

    fn stop(&self) {
        self.engine.control().stop();
    }

    fn abandon(&self) {
        self.engine.control().abandon();
    }

    fn pause(&self, paused: bool) {
        self.engine.control().pause(paused);
    }

    fn burst(&self) {
        self.engine.control().burst();
    }

    fn extra_clients(&self, count: i64) {
        self.engine.control().extra_clients(count);
    }

    /// The columns of the rows that came within `timeout_s`; None once the run is over.
    fn read<'py>(
        &self,
        py: Python<'py>,
        timeout_s: f64,
    ) -> PyResult<Option<(usize, Bound<'py, PyDict>)>> {
        let timeout = Duration::try_from_secs_f64(timeout_s).unwrap_or_default();
        let engine = &self.engine;
        let columns = py.detach(|| {
            let rows = engine.read(timeout)?;
            Some(Columns::of(&rows, engine.namespace()))
        });
        columns.map(|columns| table(py, &columns)).transpose()
    }

    /// Waits for the end of the run; the audit's figures.
    fn join<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let engine = &self.engine;
        match py.detach(|| engine.join()) {
            Ok(audit) => figures(py, &audit),
            Err(error) => Err(failed(py, &error)),
        }
    }
}

fn failed(py: Python<'_>, error: &std::io::Error) -> PyErr {
    let message = format!("the load engine failed: {error}");
    raise(py, "RateproofError", &message, None)
}

fn table<'py>(py: Python<'py>, columns: &Columns) -> PyResult<(usize, Bound<'py, PyDict>)> {
    let table = PyDict::new(py);
    for (name, values) in &columns.integers {
        table.set_item(name, bytes(py, values))?;
    }
    for (name, values) in &columns.floats {
        table.set_item(name, bytes(py, values))?;
    }
    let identities: Vec<_> = columns
        .identities
        .iter()
        .map(|identity| PyBytes::new(py, identity))
        .collect();
    table.set_item("key", (bytes(py, &columns.keys), identities))?;
    let outcomes = bytes(py, &columns.outcomes);
    table.set_item("outcome", (outcomes, Outcome::NAMES.to_vec()))?;
    let kinds: Vec<_> = ErrorKind::NAMES
        .iter()
        .map(|name| (!name.is_empty()).then_some(name))
        .collect();
    table.set_item("error", (bytes(py, &columns.errors), kinds))?;
    Ok((columns.length, table))
}

/// The memory of numbers, in native byte order.
fn bytes<'py, T: Copy>(py: Python<'py>, values: &[T]) -> Bound<'py, PyBytes> {
    // SAFETY: the callers' i64, f64 and i32 have no padding, and any byte is a valid u8.
    let bytes =
        unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
    PyBytes::new(py, bytes)
}

fn figures<'py>(py: Python<'py>, audit: &Audit) -> PyResult<Bound<'py, PyDict>> {
    let figures = PyDict::new(py);
    figures.set_item("requests", audit.lag.count)?;
    figures.set_item("paced", audit.paced)?;
    for (name, lag) in [("lag", &audit.lag), ("own_lag", &audit.own_lag)] {
        for (percent, suffix) in [(50.0, "p50"), (99.0, "p99"), (100.0, "max")] {
            figures.set_item(format!("{name}_{suffix}_ns"), lag.percentile(percent))?;
        }
    }
    figures.set_item("late", audit.late)?;
    figures.set_item("dropped", audit.dropped)?;
    figures.set_item("waited", audit.waited)?;
    figures.set_item("unsent", audit.unsent)?;
    figures.set_item("reconnects", audit.reconnects)?;
    figures.set_item("overrun", audit.overrun)?;
    figures.set_item("wall_ns", audit.wall_ns)?;
    figures.set_item("stalls", audit.stalls)?;
    figures.set_item("stalled_ns", audit.stalled_ns)?;
    figures.set_item("stall_max_ns", audit.stall_max_ns)?;
    let share = audit.cpu_ns as f64 / audit.wall_ns.max(1) as f64;
    figures.set_item("cpu_share", (share * 1e3).round() / 1e3)?;
    Ok(figures)
}
