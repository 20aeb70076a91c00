//! The way of most hits: `Limiter.hit` without a line of Python.
//!
//! A gate decides what the specification in `rateproof.enforce.limiter` would, of calls that need
//! nothing but tables, or denials that are remembered, and counters; all others it hands on to it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyIndexError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyString, PyTuple};
use rateproof_enforce::{self as core, Answer};

use crate::counters::Counters;
use crate::decision::{Decision, Reason};
use crate::denials::{Denials, Memory};
use crate::enforce::{Table, patiently};

// As in `rateproof.enforce.counters.Count`.
const ADMITTED: usize = 0;
const DENIED: usize = 1;
const NEAR_LIMIT: usize = 2;
const FULL: usize = 3;
const SHADOW: usize = 5;
const CACHED: usize = 7;

/// What can be asked without Python.
enum Source {
    Tables(Vec<Arc<core::Table>>),
    /// Denials, and the number of the ledger that they are of.
    Denials(Arc<Memory>, usize),
}

/// The same as it is given.
#[derive(FromPyObject)]
enum Given<'py> {
    Tables(Vec<PyRef<'py, Table>>),
    Denials((PyRef<'py, Denials>, usize)),
}

/// One policy, ready to be asked about.
#[pyclass(frozen, module = "rateproof._native")]
pub struct Gate {
    source: Source,
    counters: Arc<core::Counters>,
    /// The policy's quotas, and for each the place of its table.
    quotas: Py<PyTuple>,
    order: Vec<usize>,
    bursts: Vec<u64>,
    most: u64,
    skip_full: bool,
    shadow: bool,
    /// `Limiter.hit`, which decides everything else.
    otherwise: Py<PyAny>,
    closed: AtomicBool,
}

#[pymethods]
impl Gate {
    #[new]
    #[pyo3(signature = (source, counters, quotas, otherwise, *, skip_full, shadow))]
    fn new(
        py: Python<'_>,
        source: Given<'_>,
        counters: &Counters,
        quotas: Vec<(Py<PyAny>, usize)>,
        otherwise: Py<PyAny>,
        skip_full: bool,
        shadow: bool,
    ) -> PyResult<Self> {
        let (quotas, order): (Vec<_>, Vec<_>) = quotas.into_iter().unzip();
        let source = match source {
            Given::Tables(tables) => {
                Source::Tables(tables.iter().map(|table| Arc::clone(&table.0)).collect())
            }
            Given::Denials((denials, ledger)) => Source::Denials(Arc::clone(&denials.0), ledger),
        };
        if let Source::Tables(tables) = &source
            && order.iter().any(|place| *place >= tables.len())
        {
            return Err(PyIndexError::new_err("no such table"));
        }
        let burst = |quota: &Py<PyAny>| quota.getattr(py, intern!(py, "burst"))?.extract(py);
        let bursts: Vec<u64> = quotas.iter().map(burst).collect::<PyResult<_>>()?;
        Ok(Self {
            source,
            counters: Arc::clone(&counters.0),
            quotas: PyTuple::new(py, quotas)?.unbind(),
            order,
            most: bursts.iter().copied().min().unwrap_or(0),
            bursts,
            skip_full,
            shadow,
            otherwise,
            closed: AtomicBool::new(false),
        })
    }

    /// See `Limiter.hit`.
    #[pyo3(
        signature = (key, cost=Cost::One, *, policy=None),
        text_signature = "($self, key, cost=1, *, policy=None)"
    )]
    fn hit<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        cost: Cost<'py>,
        policy: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        match (bytes_of(key), self.units(&cost), policy) {
            (Some(bytes), Some(units), None) if !self.is_closed() => {
                if let Some(decision) = self.decide(py, bytes, units)? {
                    return Ok(Py::new(py, decision)?.into_any());
                }
            }
            _ => {}
        }
        self.ask_otherwise(py, key, cost, policy)
    }

    /// Hands everything on from now on.
    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.otherwise)
    }
}

impl Gate {
    fn ask_otherwise(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        cost: Cost<'_>,
        policy: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let named = PyDict::new(py);
        if let Cost::Given(cost) = cost {
            named.set_item("cost", cost)?;
        }
        named.set_item("policy", policy)?;
        self.otherwise.call(py, (key,), Some(&named))
    }

    /// Whether the limiter was closed, and cannot decide any more.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Asks, and counts what is said; `None` if it is for the specification to decide.
    pub fn decide(&self, py: Python<'_>, key: &[u8], cost: u64) -> PyResult<Option<Decision>> {
        match &self.source {
            Source::Tables(tables) => self.ask_tables(py, tables, key, cost).map(Some),
            Source::Denials(denials, ledger) => Ok(denials
                .answers(key, *ledger, cost)
                .filter(|answers| self.order.iter().all(|place| *place < answers.len()))
                .map(|answers| self.told_again(py, &answers))),
        }
    }

    fn ask_tables(
        &self,
        py: Python<'_>,
        tables: &[Arc<core::Table>],
        key: &[u8],
        cost: u64,
    ) -> PyResult<Decision> {
        if let [table] = tables {
            let answer = patiently(py, |patience| table.hit(key, cost, None, patience))?;
            let times = self.order.len();
            return Ok(match answer {
                Some(answer) if times == 1 => self.told(py, answer.admitted, &[answer]),
                Some(answer) => self.told(py, answer.admitted, &vec![answer; times]),
                None => self.told_busy(py),
            });
        }
        let tables: Vec<&core::Table> = tables.iter().map(Arc::as_ref).collect();
        let ruling = patiently(py, |patience| {
            core::hit_all(&tables, key, cost, None, patience)
        })?;
        Ok(match ruling {
            Some((admitted, answers)) => self.told(py, admitted, &self.ordered(&answers)),
            None => self.told_busy(py),
        })
    }

    /// The answers of tables in the order of the policy.
    fn ordered(&self, answers: &[Answer]) -> Vec<Answer> {
        self.order.iter().map(|place| answers[*place]).collect()
    }

    /// A denial that is remembered, counted.
    fn told_again(&self, py: Python<'_>, answers: &[Answer]) -> Decision {
        self.counters.add(CACHED);
        let reason = self.denied(Reason::Cached);
        let quotas = self.quotas.clone_ref(py);
        Decision::of(false, reason, quotas, &self.ordered(answers))
    }

    /// A denial for want of the lock, which `on_full` does not decide: the key may be known, and
    /// its quota used up.
    fn told_busy(&self, py: Python<'_>) -> Decision {
        self.counters.add(FULL);
        let reason = self.denied(Reason::Full);
        let answers = vec![Answer::busy(); self.order.len()];
        Decision::of(false, reason, self.quotas.clone_ref(py), &answers)
    }

    /// Counts a denial, or what shadow mode makes of it.
    fn denied(&self, reason: Reason) -> Reason {
        if !self.shadow {
            self.counters.add(DENIED);
            return reason;
        }
        self.counters.add(ADMITTED);
        self.counters.add(SHADOW);
        Reason::Shadow
    }

    /// The decision, counted. `answers` are in the order of the policy.
    fn told(&self, py: Python<'_>, admitted: bool, answers: &[Answer]) -> Decision {
        let full = answers.iter().any(|answer| answer.full);
        let admitted = admitted || (full && self.skip_full);
        let mut reason = Reason::Quota;
        if full {
            self.counters.add(FULL);
            reason = Reason::Full;
        }
        if admitted {
            self.counters.add(ADMITTED);
            let near = |(answer, burst): (&Answer, &u64)| 5 * answer.remaining < *burst;
            if !full && answers.iter().zip(&self.bursts).any(near) {
                self.counters.add(NEAR_LIMIT);
            }
        } else {
            reason = self.denied(reason);
        }
        Decision::of(admitted, reason, self.quotas.clone_ref(py), answers)
    }

    /// A cost that can be, 1 where none is given.
    fn units(&self, cost: &Cost<'_>) -> Option<u64> {
        let Cost::Given(cost) = cost else {
            return Some(1);
        };
        let units = cost.cast_exact::<PyInt>().ok()?.extract().ok()?;
        (1..=self.most).contains(&units).then_some(units)
    }
}

/// The cost of a call: `None`, given, is no cost.
enum Cost<'py> {
    One,
    Given(Bound<'py, PyAny>),
}

impl<'py> FromPyObject<'_, 'py> for Cost<'py> {
    type Error = Infallible;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> Result<Self, Infallible> {
        Ok(Self::Given(given.to_owned()))
    }
}

/// The bytes of a key that is what it should be.
fn bytes_of<'a>(key: &'a Bound<'_, PyAny>) -> Option<&'a [u8]> {
    if let Ok(text) = key.cast::<PyString>() {
        return text.to_str().ok().map(str::as_bytes);
    }
    key.cast::<PyBytes>().ok().map(|bytes| bytes.as_bytes())
}

/// Adds this file's class to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Gate>()
}
