//! `Decision`: the twin of the class of that name in `rateproof.enforce.decision`.
//!
//! Most callers read one or two of its fields, so what each quota says is put into Python
//! objects only when `quotas` is read. And most let go of a decision before they ask for the next:
//! whoever keeps the last one for that ([`Decision::renew`]) need not make another.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pyo3::basic::CompareOp;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};
use rateproof_enforce::{Answer, Answers};

/// Whoever decided, by the names that Python has for it.
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

/// Sources of the `QuotaState`s.
enum Quotas {
    /// They were made already.
    Given(Py<PyTuple>),
    /// The policy's only quota, whose figures are those of the decision.
    Only(Py<PyTuple>),
    /// The policy's quotas, and what is said of each.
    Several(Py<PyTuple>, Answers),
}

/// May this request pass? True when it may.
#[pyclass(frozen, module = "rateproof._native")]
pub struct Decision {
    /// By the constants below; they change only while one thread can see them.
    said: [AtomicU64; 5],
    quotas: Quotas,
}

const ADMITTED: usize = 0;
const REASON: usize = 1;
const REMAINING: usize = 2;
const RETRY_NS: usize = 3;
const RESET_NS: usize = 4;

impl Decision {
    fn made(quotas: Quotas) -> Self {
        let said = Default::default();
        Self { said, quotas }
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
        self.say([passes.into(), reason as u64, remaining, retry_ns, reset_ns]);
    }

    #[inline]
    fn say(&self, values: [u64; 5]) {
        for (said, value) in self.said.iter().zip(values) {
            said.store(value, Relaxed);
        }
    }

    /// Sums up the answers of all quotas, at least one, given in the order of `quotas`.
    pub fn of(admitted: bool, reason: Reason, quotas: Py<PyTuple>, mut answers: Answers) -> Self {
        let mut whole = Answer {
            admitted,
            full: false,
            remaining: u64::MAX,
            retry_after_ns: 0,
            reset_after_ns: 0,
        };
        for answer in &mut answers {
            if admitted {
                answer.retry_after_ns = 0;
            }
            whole.remaining = answer.remaining.min(whole.remaining);
            whole.retry_after_ns = answer.retry_after_ns.max(whole.retry_after_ns);
            whole.reset_after_ns = answer.reset_after_ns.max(whole.reset_after_ns);
        }
        let decision = Self::made(match answers.len() {
            1 => Quotas::Only(quotas),
            _ => Quotas::Several(quotas, answers),
        });
        decision.renew(admitted, reason, &whole);
        decision
    }

    #[inline]
    fn figure(&self, place: usize) -> u64 {
        self.said[place].load(Relaxed)
    }

    /// True if the request may pass.
    pub fn passes(&self) -> bool {
        self.figure(ADMITTED) != 0
    }

    /// The rest of the quota at a place of the policy, if that decided.
    pub fn remaining_of(&self, place: usize) -> Option<u64> {
        match &self.quotas {
            _ if self.figure(REASON) != Reason::Quota as u64 => None,
            Quotas::Only(_) => Some(self.figure(REMAINING)),
            Quotas::Several(_, answers) => answers.get(place).map(|answer| answer.remaining),
            Quotas::Given(_) => None,
        }
    }

    /// Whole seconds to wait, or until all is free, and what remains, if an answer that admits, or
    /// one that denies, depends on nothing else: where the policy has one quota.
    pub fn seconds_and_remaining(&self) -> Option<(u64, u64)> {
        let by_quota = [Reason::Quota as u64, Reason::Cached as u64];
        let alone =
            matches!(self.quotas, Quotas::Only(_)) && by_quota.contains(&self.figure(REASON));
        let wait_ns = match self.figure(RETRY_NS) {
            0 => self.figure(RESET_NS),
            wait_ns => wait_ns,
        };
        alone.then(|| (wait_ns.div_ceil(1_000_000_000), self.figure(REMAINING)))
    }

    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let [remaining, retry_ns, reset_ns] =
            [REMAINING, RETRY_NS, RESET_NS].map(|place| self.figure(place));
        let (quotas, reason) = (self.quotas(py)?, self.reason());
        (self.passes(), remaining, retry_ns, reset_ns, quotas, reason).into_pyobject(py)
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
        let place = place as u64;
        decision.say([
            admitted.into(),
            place,
            remaining,
            retry_after_ns,
            reset_after_ns,
        ]);
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
        self.figure(REMAINING)
    }

    #[getter]
    fn retry_after_ns(&self) -> u64 {
        self.figure(RETRY_NS)
    }

    #[getter]
    fn reset_after_ns(&self) -> u64 {
        self.figure(RESET_NS)
    }

    /// The decider.
    #[getter]
    fn reason(&self) -> &'static str {
        REASONS[self.figure(REASON) as usize]
    }

    /// Each quota's own figures, in the order of the policy.
    #[getter]
    fn quotas<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let class = CLASS.import(py, "rateproof.enforce.decision", "QuotaState")?;
        let own = || [REMAINING, RETRY_NS, RESET_NS].map(|place| self.figure(place));
        let told = |said: &Answer| [said.remaining, said.retry_after_ns, said.reset_after_ns];
        let (quotas, figures) = match &self.quotas {
            Quotas::Given(states) => return Ok(states.bind(py).clone()),
            Quotas::Only(quotas) => (quotas, vec![own()]),
            Quotas::Several(quotas, answers) => (quotas, answers.iter().map(told).collect()),
        };
        let pairs = quotas.bind(py).iter().zip(figures);
        let states = pairs.map(|(quota, [remaining, retry_ns, reset_ns])| {
            class.call1((quota, remaining, retry_ns, reset_ns))
        });
        PyTuple::new(py, states.collect::<PyResult<Vec<_>>>()?)
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
