//! The decider without a line of Python: tables, or denials that are remembered, and counters.
//!
//! A decider answers as the specification in `rateproof.enforce.limiter` would; what it cannot
//! decide is left to that.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyIndexError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use rateproof_enforce::{self as core, Answer, Answers, Count, Ruling};

use crate::ask::Ask;
use crate::counters::Counters;
use crate::decision::{Decision, Reason};
use crate::denials::{Denials, Memory};
use crate::enforce::{Table, failed};
use crate::held::Held;

/// Ledgers that can be asked without Python.
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
pub struct Decider {
    source: Source,
    counters: Arc<core::Counters>,
    /// The policy's quotas, and for each the place of its table.
    quotas: Py<PyTuple>,
    order: Vec<usize>,
    bursts: Vec<u64>,
    most: u64,
    skip_full: bool,
    shadow: bool,
    /// The decision that was given last, of one quota.
    last: Held<Py<Decision>>,
}

#[pymethods]
impl Decider {
    /// Of the tables or denials of a ledger; for each quota of the policy its place there.
    #[new]
    #[pyo3(signature = (source, counters, quotas, *, skip_full, shadow))]
    fn new(
        py: Python<'_>,
        source: Given<'_>,
        counters: &Counters,
        quotas: Vec<(Py<PyAny>, usize)>,
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
            last: Held::default(),
        })
    }
}

impl Decider {
    /// The decision about a key; `None` if it takes patience, if it fails, or if it is for the
    /// specification.
    ///
    /// It runs no Python, and keeps the interpreter's lock. Answers are read where they are: to
    /// move one costs as much as to find it.
    #[inline]
    pub fn at_once(&self, py: Python<'_>, ask: Ask, key: &[u8], cost: u64) -> Option<Py<Decision>> {
        if cost == 0 || cost > self.most {
            return None;
        }
        match &self.source {
            Source::Tables(tables) => match (&tables[..], ask, &self.bursts[..]) {
                ([table], Ask::Hit, [burst]) => match &table.hit(key, cost, None, Duration::ZERO) {
                    Ok(Some(answer)) => self.told_of_one(py, answer, *burst),
                    _ => None,
                },
                _ => match ask_tables(tables, ask, key, cost, Duration::ZERO) {
                    Ok(Some(ruling)) => self.ruled(py, ask, ruling),
                    _ => None,
                },
            },
            Source::Denials(denials, ledger) => {
                let answers = denials.answers(key, *ledger, cost)?;
                let known = self.order.iter().all(|place| *place < answers.len());
                known.then(|| self.told_again(py, ask, answers)).flatten()
            }
        }
    }

    /// As `at_once`, with patience, while others run; `None` if it is for the specification.
    pub fn patiently(
        &self,
        py: Python<'_>,
        ask: Ask,
        key: &[u8],
        cost: u64,
    ) -> PyResult<Option<Py<Decision>>> {
        let Source::Tables(tables) = &self.source else {
            return Ok(None);
        };
        if cost == 0 || cost > self.most {
            return Ok(None);
        }
        let ruling = py
            .detach(|| ask_tables(tables, ask, key, cost, core::PATIENCE))
            .map_err(|error| {
                self.count(ask, Count::Error);
                failed(py, &error)
            })?;
        Ok(match ruling {
            Some(ruling) => self.ruled(py, ask, ruling),
            None => self.told_busy(py, ask),
        })
    }

    /// A hit of one quota, counted.
    #[inline]
    fn told_of_one(&self, py: Python<'_>, answer: &Answer, burst: u64) -> Option<Py<Decision>> {
        let (admitted, reason) = self.counted(Ask::Hit, answer.admitted, answer.full, || {
            5 * answer.remaining < burst
        });
        let renewed = self.last.with(py, |last| {
            // SAFETY: an object that lives. Where ours is the only reference, nobody else has it,
            // and without the lock nobody can get one.
            let alone = unsafe { ffi::Py_REFCNT(last.as_ptr()) } == 1;
            alone.then(|| {
                last.get().renew(admitted, reason, answer);
                last.clone_ref(py)
            })
        });
        renewed.flatten().or_else(|| {
            let decision = Decision::only(self.quotas.clone_ref(py));
            decision.renew(admitted, reason, answer);
            let decision = Py::new(py, decision).ok()?;
            let before = self.last.put(py, Some(decision.clone_ref(py)));
            drop(before.map(|before| before.into_bound(py)));
            Some(decision)
        })
    }

    fn ruled(&self, py: Python<'_>, ask: Ask, (passes, answers): Ruling) -> Option<Py<Decision>> {
        let answers = self.ordered(answers);
        let full = answers.iter().any(|answer| answer.full);
        let near = || {
            let mut pairs = answers.iter().zip(&self.bursts);
            pairs.any(|(answer, burst)| 5 * answer.remaining < *burst)
        };
        let (admitted, reason) = self.counted(ask, passes, full, near);
        self.told(py, admitted, reason, answers)
    }

    fn told(
        &self,
        py: Python<'_>,
        admitted: bool,
        reason: Reason,
        answers: Answers,
    ) -> Option<Py<Decision>> {
        let decision = Decision::of(admitted, reason, self.quotas.clone_ref(py), answers);
        Py::new(py, decision).ok()
    }

    /// The answers of tables in the order of the policy, which mostly is theirs.
    fn ordered(&self, answers: Answers) -> Answers {
        if self.order.iter().copied().eq(0..answers.len()) {
            return answers;
        }
        self.order.iter().map(|place| answers[*place]).collect()
    }

    /// A denial that is remembered.
    fn told_again(&self, py: Python<'_>, ask: Ask, answers: Answers) -> Option<Py<Decision>> {
        self.count(ask, Count::Cached);
        let reason = self.denied(ask, Reason::Cached);
        self.told(py, false, reason, self.ordered(answers))
    }

    /// A denial for want of the lock, which `on_full` does not decide: the key may be known, and
    /// its quota used up.
    fn told_busy(&self, py: Python<'_>, ask: Ask) -> Option<Py<Decision>> {
        self.count(ask, Count::Full);
        let reason = self.denied(ask, Reason::Full);
        self.told(
            py,
            false,
            reason,
            Answers::from_elem(Answer::busy(), self.order.len()),
        )
    }

    /// Counts a denial, or what shadow mode makes of it.
    fn denied(&self, ask: Ask, reason: Reason) -> Reason {
        if !self.shadow {
            self.count(ask, Count::Denied);
            return reason;
        }
        self.count(ask, Count::Admitted);
        self.count(ask, Count::Shadow);
        Reason::Shadow
    }

    /// True if a call passes, and who decided: counted.
    #[inline]
    fn counted(
        &self,
        ask: Ask,
        passes: bool,
        full: bool,
        near: impl FnOnce() -> bool,
    ) -> (bool, Reason) {
        let admitted = passes || (full && self.skip_full);
        let reason = if full { Reason::Full } else { Reason::Quota };
        if full {
            self.count(ask, Count::Full);
        }
        if !admitted {
            return (false, self.denied(ask, reason));
        }
        self.count(ask, Count::Admitted);
        if !full && near() {
            self.count(ask, Count::NearLimit);
        }
        (true, reason)
    }

    fn count(&self, ask: Ask, which: Count) {
        if ask == Ask::Hit {
            self.counters.add(which as usize);
        }
    }
}

fn ask_tables(
    tables: &[Arc<core::Table>],
    ask: Ask,
    key: &[u8],
    cost: u64,
    patience: Duration,
) -> Result<Option<Ruling>, core::Error> {
    let (pair, more): ([&core::Table; 2], Vec<&core::Table>);
    let tables: &[&core::Table] = match tables {
        [first, second] => {
            pair = [first, second];
            &pair
        }
        _ => {
            more = tables.iter().map(Arc::as_ref).collect();
            &more
        }
    };
    ask.of(tables, key, cost, None, patience)
}
