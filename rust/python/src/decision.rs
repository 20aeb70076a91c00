//! `Decision`: the twin of the class of that name in `rateproof.enforce.decision`.
//!
//! Most callers read one or two of its fields, so what each quota says is put into Python
//! objects only when `quotas` is read.

use pyo3::basic::CompareOp;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};
use rateproof_enforce::Answer;

/// Who decided, by the names that Python has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Quota,
    Cached,
    Local,
    Full,
    Error,
    Shadow,
    Exempt,
}

const REASONS: [(&str, Reason); 7] = [
    ("quota", Reason::Quota),
    ("cached", Reason::Cached),
    ("local", Reason::Local),
    ("full", Reason::Full),
    ("error", Reason::Error),
    ("shadow", Reason::Shadow),
    ("exempt", Reason::Exempt),
];

/// What there is to make the `QuotaState`s from.
enum Quotas {
    /// They were made already.
    Given(Py<PyTuple>),
    /// The policy's only quota, whose figures are those of the decision.
    Only(Py<PyTuple>),
    /// The policy's quotas, and the figures of each.
    Several(Py<PyTuple>, Vec<Answer>),
}

/// May this request pass? True when it may.
#[pyclass(frozen, module = "rateproof._native")]
pub struct Decision {
    #[pyo3(get)]
    admitted: bool,
    #[pyo3(get)]
    remaining: u64,
    #[pyo3(get)]
    retry_after_ns: u64,
    #[pyo3(get)]
    reset_after_ns: u64,
    reason: Reason,
    quotas: Quotas,
}

impl Decision {
    /// Sums up the answers of all quotas, at least one, given in the order of `quotas`.
    pub fn of(admitted: bool, reason: Reason, quotas: Py<PyTuple>, answers: &[Answer]) -> Self {
        let retry = |answer: &Answer| if admitted { 0 } else { answer.retry_after_ns };
        let most = |figure: &dyn Fn(&Answer) -> u64| answers.iter().map(figure).max().unwrap_or(0);
        Self {
            admitted: admitted || reason == Reason::Shadow,
            remaining: answers
                .iter()
                .map(|answer| answer.remaining)
                .min()
                .unwrap_or(0),
            retry_after_ns: most(&retry),
            reset_after_ns: most(&|answer| answer.reset_after_ns),
            reason,
            quotas: match answers {
                [_] => Quotas::Only(quotas),
                _ => {
                    let told = |answer: &Answer| Answer {
                        retry_after_ns: retry(answer),
                        ..*answer
                    };
                    Quotas::Several(quotas, answers.iter().map(told).collect())
                }
            },
        }
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
        let known = REASONS.iter().find(|(name, _)| *name == reason);
        let (_, reason) = known.ok_or_else(|| PyValueError::new_err("no such reason"))?;
        Ok(Self {
            admitted,
            remaining,
            retry_after_ns,
            reset_after_ns,
            reason: *reason,
            quotas: Quotas::Given(quotas),
        })
    }

    #[classattr]
    fn __match_args__() -> (
        &'static str,
        &'static str,
        &'static str,
        &'static str,
        &'static str,
        &'static str,
    ) {
        (
            "admitted",
            "remaining",
            "retry_after_ns",
            "reset_after_ns",
            "quotas",
            "reason",
        )
    }

    /// Who decided.
    #[getter]
    fn reason(&self) -> &'static str {
        let named = REASONS.iter().find(|(_, reason)| *reason == self.reason);
        named.map_or("quota", |(name, _)| name)
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
        self.admitted
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let said = |yes| if yes { "True" } else { "False" };
        Ok(format!(
            "Decision(admitted={}, remaining={}, retry_after_ns={}, reset_after_ns={}, quotas={}, \
             reason='{}')",
            said(self.admitted),
            self.remaining,
            self.retry_after_ns,
            self.reset_after_ns,
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
        self.admitted
    }

    /// Who decided.
    pub fn reason_code(&self) -> Reason {
        self.reason
    }

    /// Whole seconds to wait, or until all is free, and what remains, if an answer that admits, or
    /// one that denies, depends on nothing else: where the policy has one quota.
    pub fn seconds_and_remaining(&self) -> Option<(u64, u64)> {
        let alone = matches!(self.quotas, Quotas::Only(_))
            && matches!(self.reason, Reason::Quota | Reason::Cached);
        let wait_ns = match self.retry_after_ns {
            0 => self.reset_after_ns,
            wait_ns => wait_ns,
        };
        alone.then(|| (wait_ns.div_ceil(1_000_000_000), self.remaining))
    }

    /// What each quota says, in the order of the policy.
    pub fn figures(&self, py: Python<'_>) -> PyResult<Vec<Figures>> {
        match &self.quotas {
            Quotas::Only(_) => Ok(vec![(
                self.remaining,
                self.retry_after_ns,
                self.reset_after_ns,
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
            self.admitted,
            self.remaining,
            self.retry_after_ns,
            self.reset_after_ns,
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
