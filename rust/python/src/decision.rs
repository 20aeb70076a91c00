//! `Decision`: the twin of the class of that name in `rateproof.enforce.decision`.
//!
//! Most callers read one or two of its fields, so what each quota says is put into Python
//! objects only when `quotas` is read. And most let go of a decision before they ask for the next:
//! whoever keeps the last one for that ([`Decision::renew`]) need not make another.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use pyo3::basic::CompareOp;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};
use rateproof_enforce::{Answer, Answers};

/// Who decided, by the names that Python has for it.
const REASONS: [&str; 7] = [
    "quota", "cached", "local", "full", "error", "shadow", "exempt",
];

const FIELDS: [&str; 6] = [
    "admitted",
    "remaining",
    "retry_after_ns",
    "reset_after_ns",
    "quotas",
    "reason",
];

/// The reasons that are given here, by their place in `REASONS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Quota = 0,
    Cached = 1,
    Full = 3,
    Shadow = 5,
}

/// What there is to make the `QuotaState`s from.
enum Quotas {
    /// They were made already.
    Given(Py<PyTuple>),
    /// The policy's only quota, whose figures are those of the decision.
    Only(Py<PyTuple>),
    /// The policy's quotas, and the figures of each.
    Several(Py<PyTuple>, Answers),
}

/// A whole number that is changed while only one thread can see it.
#[derive(Default)]
struct Figure(AtomicU64);

impl Figure {
    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
}

/// May this request pass? True when it may.
#[pyclass(frozen, module = "rateproof._native")]
pub struct Decision {
    admitted: AtomicBool,
    remaining: Figure,
    retry_after_ns: Figure,
    reset_after_ns: Figure,
    reason: AtomicUsize,
    quotas: Quotas,
}

impl Decision {
    fn made(quotas: Quotas) -> Self {
        Self {
            admitted: AtomicBool::new(false),
            remaining: Figure::default(),
            retry_after_ns: Figure::default(),
            reset_after_ns: Figure::default(),
            reason: AtomicUsize::new(0),
            quotas,
        }
    }

    /// Of a policy with one quota; `renew` says what.
    pub fn only(quotas: Py<PyTuple>) -> Self {
        Self::made(Quotas::Only(quotas))
    }

    /// Says something else of the same quotas, while nobody but the caller can have it.
    #[inline]
    pub fn renew(&self, admitted: bool, reason: Reason, answer: &Answer) {
        let passes = admitted || reason == Reason::Shadow;
        let retry_ns = if admitted { 0 } else { answer.retry_after_ns };
        let (remaining, reset_ns) = (answer.remaining, answer.reset_after_ns);
        self.say(passes, reason as usize, remaining, retry_ns, reset_ns);
    }

    #[inline]
    fn say(&self, admitted: bool, reason: usize, remaining: u64, retry_ns: u64, reset_ns: u64) {
        self.admitted.store(admitted, Relaxed);
        self.reason.store(reason, Relaxed);
        self.remaining.set(remaining);
        self.retry_after_ns.set(retry_ns);
        self.reset_after_ns.set(reset_ns);
    }

    /// Sums up the answers of all quotas, at least one, given in the order of `quotas`.
    pub fn of(admitted: bool, reason: Reason, quotas: Py<PyTuple>, mut answers: Answers) -> Self {
        let (mut remaining, mut retry_ns, mut reset_ns) = (u64::MAX, 0, 0);
        for answer in &mut answers {
            if admitted {
                answer.retry_after_ns = 0;
            }
            remaining = answer.remaining.min(remaining);
            retry_ns = answer.retry_after_ns.max(retry_ns);
            reset_ns = answer.reset_after_ns.max(reset_ns);
        }
        let decision = Self::made(match answers.len() {
            1 => Quotas::Only(quotas),
            _ => Quotas::Several(quotas, answers),
        });
        let passes = admitted || reason == Reason::Shadow;
        decision.say(passes, reason as usize, remaining, retry_ns, reset_ns);
        decision
    }
}

#[pymethods]
impl Decision {
    #[new]
    #[pyo3(signature = (admitted, remaining, retry_after_ns, reset_after_ns, quotas, reason="quota"))]
    fn new(
        admitted: bool,
        remaining: u64,
        retry_after_ns: u64,
        reset_after_ns: u64,
        quotas: Py<PyTuple>,
        reason: &str,
    ) -> PyResult<Self> {
        let place = REASONS.iter().position(|name| *name == reason);
        let place = place.ok_or_else(|| PyValueError::new_err("no such reason"))?;
        let decision = Self::made(Quotas::Given(quotas));
        decision.say(admitted, place, remaining, retry_after_ns, reset_after_ns);
        Ok(decision)
    }

    #[classattr]
    fn __match_args__(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        PyTuple::new(py, FIELDS)
    }

    #[getter]
    fn admitted(&self) -> bool {
        self.passes()
    }

    #[getter]
    fn remaining(&self) -> u64 {
        self.remaining.get()
    }

    #[getter]
    fn retry_after_ns(&self) -> u64 {
        self.retry_after_ns.get()
    }

    #[getter]
    fn reset_after_ns(&self) -> u64 {
        self.reset_after_ns.get()
    }

    /// Who decided.
    #[getter]
    fn reason(&self) -> &'static str {
        REASONS[self.reason.load(Relaxed)]
    }

    /// Each quota's own figures, in the order of the policy.
    #[getter]
    fn quotas<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let quotas = match &self.quotas {
            Quotas::Given(states) => return Ok(states.bind(py).clone()),
            Quotas::Only(quotas) | Quotas::Several(quotas, _) => quotas.bind(py),
        };
        let pairs = quotas.iter().zip(self.figures(py)?);
        let states: PyResult<Vec<_>> = pairs.map(|(quota, said)| state(py, &quota, said)).collect();
        PyTuple::new(py, states?)
    }

    fn __bool__(&self) -> bool {
        self.passes()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let said = |yes| if yes { "True" } else { "False" };
        Ok(format!(
            "Decision(admitted={}, remaining={}, retry_after_ns={}, reset_after_ns={}, quotas={}, \
             reason='{}')",
            said(self.passes()),
            self.remaining(),
            self.retry_after_ns(),
            self.reset_after_ns(),
            self.quotas(py)?.repr()?,
            self.reason()
        ))
    }

    fn __richcmp__(
        &self,
        py: Python<'_>,
        other: &Bound<'_, PyAny>,
        how: CompareOp,
    ) -> PyResult<Py<PyAny>> {
        let other = match other.cast::<Self>() {
            Ok(other) if matches!(how, CompareOp::Eq | CompareOp::Ne) => other,
            _ => return Ok(py.NotImplemented()),
        };
        self.fields(py)?
            .rich_compare(other.get().fields(py)?, how)
            .map(Bound::unbind)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.fields(py)?.hash()
    }

    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyType>, Bound<'py, PyTuple>)> {
        Ok((py.get_type::<Self>(), self.fields(py)?))
    }
}

/// What a quota says: remaining, retry_after_ns and reset_after_ns.
pub type Figures = (u64, u64, u64);

impl Decision {
    /// Whether the request may pass.
    pub fn passes(&self) -> bool {
        self.admitted.load(Relaxed)
    }

    /// Whole seconds to wait, or until all is free, and what remains, if an answer that admits, or
    /// one that denies, depends on nothing else: where the policy has one quota.
    pub fn seconds_and_remaining(&self) -> Option<(u64, u64)> {
        let by_quota = [Reason::Quota as usize, Reason::Cached as usize];
        let alone =
            matches!(self.quotas, Quotas::Only(_)) && by_quota.contains(&self.reason.load(Relaxed));
        let wait_ns = match self.retry_after_ns() {
            0 => self.reset_after_ns(),
            wait_ns => wait_ns,
        };
        alone.then(|| (wait_ns.div_ceil(1_000_000_000), self.remaining()))
    }

    /// What each quota says, in the order of the policy.
    pub fn figures(&self, py: Python<'_>) -> PyResult<Vec<Figures>> {
        match &self.quotas {
            Quotas::Only(_) => Ok(vec![(
                self.remaining(),
                self.retry_after_ns(),
                self.reset_after_ns(),
            )]),
            Quotas::Several(_, answers) => Ok(answers
                .iter()
                .map(|answer| {
                    (
                        answer.remaining,
                        answer.retry_after_ns,
                        answer.reset_after_ns,
                    )
                })
                .collect()),
            Quotas::Given(states) => {
                let read = |state: Bound<'_, PyAny>| {
                    let figure = |name: &str| state.getattr(name)?.extract();
                    Ok((
                        figure("remaining")?,
                        figure("retry_after_ns")?,
                        figure("reset_after_ns")?,
                    ))
                };
                states.bind(py).iter().map(read).collect()
            }
        }
    }

    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        (
            self.passes(),
            self.remaining(),
            self.retry_after_ns(),
            self.reset_after_ns(),
            self.quotas(py)?,
            self.reason(),
        )
            .into_pyobject(py)
    }
}

/// A `QuotaState` of (remaining, retry_after_ns, reset_after_ns).
fn state<'py>(
    py: Python<'py>,
    quota: &Bound<'py, PyAny>,
    (remaining, retry_after_ns, reset_after_ns): Figures,
) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS
        .import(py, "rateproof.enforce.decision", "QuotaState")?
        .call1((quota, remaining, retry_after_ns, reset_after_ns))
}

/// Adds this file's class to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Decision>()
}
