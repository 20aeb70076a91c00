//! The load engine for Python: a scenario in, batches of columns out.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use rateproof_simulate::audit::Audit;
use rateproof_simulate::engine;
use rateproof_simulate::identity::{Tokens, identity_of};
use rateproof_simulate::outcome::{ErrorKind, Outcome};
use rateproof_simulate::program::{Code, Program};
use rateproof_simulate::rows::{NULL, Row};
use rateproof_simulate::settings::{Group, Settings};
use rateproof_simulate::tls::{client_config, server_name};

use crate::access;
use crate::errors::raise;

/// Certificate authorities (None: the system's), whether to go without proof, the server's name.
type Tls = (Option<PathBuf>, bool, String);

/// Values, how many of them one client alone has, clients, salt.
type Given = (Vec<Vec<u8>>, u32, u32, Vec<u8>);

type OfRow = fn(&Row) -> i64;

/// A run, as `transports.native` tells it.
fn settings(run: &Bound<'_, PyDict>) -> PyResult<Settings> {
    let refused = |why: String| raise(run.py(), "InvalidArgument", &why, None);
    let groups: Vec<(Vec<Code>, u32, u32, u32)> = told(run, "groups")?;
    let groups = groups
        .into_iter()
        .map(|(code, first, clients, connections)| {
            let program = Arc::new(Program::new(&code).map_err(refused)?);
            Ok(Group {
                program,
                first,
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
        step: told::<(u32, u32)>(run, "shard")?.1,
        seed: told(run, "seed")?,
        namespace: told(run, "namespace")?,
        tokens: told::<Option<Given>>(run, "tokens")?.map(|(values, own, clients, salt)| Tokens {
            values,
            own,
            clients,
            salt,
        }),
        duration_ns: told::<Option<i64>>(run, "duration_ns")?.unwrap_or(i64::MAX),
        max_requests: told::<Option<i64>>(run, "max_requests")?.unwrap_or(i64::MAX),
        timeout_ns: told(run, "timeout_ns")?,
        connect_timeout_ns: told(run, "connect_timeout_ns")?,
        max_connections: told(run, "max_connections")?,
        pace_ns: told(run, "pace_ns")?,
        rejected_statuses: told(run, "rejected_statuses")?,
        tolerance_ns: told(run, "tolerance_ns")?,
        loops: told(run, "loops")?,
    })
}

fn told<'py, T: FromPyObjectOwned<'py>>(run: &Bound<'py, PyDict>, name: &str) -> PyResult<T> {
    run.as_any().get_item(name)?.extract().map_err(Into::into)
}

/// A run that goes on, or a shard of one.
#[pyclass(module = "rateproof._native", frozen)]
pub struct Engine {
    engine: engine::Engine,
    /// Number of its shard.
    shard: u32,
    /// Added to each instant of its clock that it gives.
    shift_ns: AtomicI64,
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, run: &Bound<'_, PyDict>) -> PyResult<Self> {
        let settings = settings(run)?;
        let shard = told::<(u32, u32)>(run, "shard")?.0;
        match py.detach(|| engine::Engine::new(settings)) {
            Ok(engine) => Ok(Self {
                engine,
                shard,
                shift_ns: AtomicI64::new(0),
            }),
            Err(error) => Err(failed(py, &error)),
        }
    }

    /// Begins the run at an instant of its clock; all that it gives is on one that is so much ahead.
    fn begin(&self, start_ns: i64, shift_ns: i64) {
        self.shift_ns.store(shift_ns, Ordering::Relaxed);
        self.engine.begin(start_ns);
    }

    #[getter]
    fn start_ns(&self) -> i64 {
        self.engine.start_ns() + self.shift_ns.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        self.engine.shared.control.stop();
    }

    fn abandon(&self) {
        self.engine.shared.control.abandon();
    }

    fn steer(&self, paused: bool, bursts: u64, extra_clients: i64) {
        self.engine
            .shared
            .control
            .steer(paused, bursts, extra_clients);
    }

    /// The columns of the rows that came within `timeout_s`; None once the run is over.
    fn read<'py>(
        &self,
        py: Python<'py>,
        timeout_s: f64,
    ) -> PyResult<Option<(usize, Bound<'py, PyDict>)>> {
        let timeout = Duration::try_from_secs_f64(timeout_s).unwrap_or_default();
        let engine = &self.engine;
        let rows = py.detach(|| engine.read(timeout));
        let shift_ns = self.shift_ns.load(Ordering::Relaxed);
        rows.map(|rows| table(py, &rows, &engine.shared.settings, self.shard, shift_ns))
            .transpose()
    }

    /// Waits for the end of the run; the audit's counts.
    fn join<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let engine = &self.engine;
        match py.detach(|| engine.join()) {
            Ok(audit) => counts(py, &audit),
            Err(error) => Err(failed(py, &error)),
        }
    }
}

fn failed(py: Python<'_>, error: &std::io::Error) -> PyErr {
    let message = format!("the load engine failed: {error}");
    raise(py, "RateproofError", &message, None)
}

/// Rows by column, as `EventLog.from_columns` takes them, each identity once.
fn table<'py>(
    py: Python<'py>,
    rows: &[Row],
    settings: &Settings,
    shard: u32,
    shift_ns: i64,
) -> PyResult<(usize, Bound<'py, PyDict>)> {
    let table = PyDict::new(py);
    let integers: [(&str, OfRow); 4] = [
        ("attempt", |row| i64::from(row.attempt)),
        ("status", |row| row.status),
        ("bytes", |row| row.bytes),
        ("ratelimit_remaining", |row| row.ratelimit_remaining),
    ];
    for (name, of) in integers {
        table.set_item(name, column(py, rows, of))?;
    }
    // Shards take turns: with 3 of them the second numbers its own 1, 4, 7, ...
    let (shard, shards) = (i64::from(shard), i64::from(settings.step));
    let numbers: [(&str, OfRow, i64); 3] = [
        ("sequence", |row| row.sequence, 0),
        ("connection", |row| row.connection, 1),
        ("worker", |row| i64::from(row.worker), 0),
    ];
    for (name, of, first) in numbers {
        let number = |row: &Row| match of(row) - first {
            count @ 0.. => count * shards + shard + first,
            _ => of(row),
        };
        table.set_item(name, column(py, rows, number))?;
    }
    let times: [(&str, OfRow); 4] = [
        ("intended_ns", |row| row.intended_ns),
        ("sent_ns", |row| row.sent_ns),
        ("received_ns", |row| row.received_ns),
        ("done_ns", |row| row.done_ns),
    ];
    for (name, of) in times {
        let shifted = |row: &Row| match of(row) {
            NULL => NULL,
            at_ns => at_ns + shift_ns,
        };
        table.set_item(name, column(py, rows, shifted))?;
    }
    let retry_after = column(py, rows, |row| row.retry_after_s);
    table.set_item("retry_after_s", retry_after)?;
    let reset = column(py, rows, |row| row.ratelimit_reset_s);
    table.set_item("ratelimit_reset_s", reset)?;
    let (mut places, mut identities) = (HashMap::new(), Vec::new());
    let keys = column(py, rows, |row| {
        let tokens = settings.tokens.as_ref();
        let client = tokens.map_or((row.client, row.alias), |tokens| {
            (tokens.place(row.client, row.alias) as u32, 0)
        });
        *places.entry(client).or_insert_with(|| {
            let identity = tokens.map_or_else(
                || identity_of(&settings.namespace, row.client, row.alias),
                |tokens| tokens.name(row.client, row.alias),
            );
            identities.push(PyBytes::new(py, &identity));
            (identities.len() - 1) as i32
        })
    });
    table.set_item("key", (keys, identities))?;
    let outcomes = column(py, rows, |row| row.outcome as i32);
    table.set_item("outcome", (outcomes, Outcome::NAMES.to_vec()))?;
    let kinds: Vec<_> = ErrorKind::NAMES
        .iter()
        .map(|name| (!name.is_empty()).then_some(name))
        .collect();
    let errors = column(py, rows, |row| row.error as i32);
    table.set_item("error", (errors, kinds))?;
    Ok((rows.len(), table))
}

/// A number of each row, in native byte order.
fn column<'py, T: Copy>(
    py: Python<'py>,
    rows: &[Row],
    of: impl FnMut(&Row) -> T,
) -> Bound<'py, PyBytes> {
    access::column(py, &rows.iter().map(of).collect::<Vec<T>>())
}

/// The counts of `rateproof.simulate.audit.Audit`, each histogram as its least, greatest and buckets.
fn counts<'py>(py: Python<'py>, audit: &Audit) -> PyResult<Bound<'py, PyDict>> {
    let counts = PyDict::new(py);
    let lags = [
        ("lag", &audit.lag),
        ("connection_wait", &audit.connection_wait),
        ("own_lag", &audit.own_lag),
    ];
    for (name, lag) in lags {
        let buckets: HashMap<i64, u64> = lag.buckets().collect();
        let (low, high) = lag.range.unzip();
        counts.set_item(name, (low, high, buckets))?;
    }
    let numbers = [
        ("requests", audit.lag.count),
        ("paced", audit.paced),
        ("late", audit.late),
        ("dropped", audit.dropped),
        ("waited", audit.waited),
        ("unsent", audit.unsent),
        ("reconnects", audit.reconnects),
        ("stalls", audit.stalls),
    ];
    for (name, number) in numbers {
        counts.set_item(name, number)?;
    }
    counts.set_item("overrun", audit.overrun)?;
    counts.set_item("stalled_ns", audit.stalled_ns)?;
    counts.set_item("stall_max_ns", audit.stall_max_ns)?;
    counts.set_item("cpu_ns", audit.cpu_ns)?;
    counts.set_item("wall_ns", audit.wall_ns)?;
    Ok(counts)
}
