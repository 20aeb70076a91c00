//! The twin of `rateproof.enforce.http.answers.limit_fields` for one policy.

use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::decision::{Decision, Reason};
use crate::repeated::Repeated;

const SECOND_NS: u64 = 1_000_000_000;

/// The fields of answers; see `rateproof.enforce.http.answers.limit_fields`.
#[pyclass(frozen, module = "rateproof._native")]
pub struct LimitFields {
    names: Vec<String>,
    policy: Py<PyTuple>,
    /// The fields of admissions by one quota.
    repeated: Repeated<Py<PyList>>,
}

#[pymethods]
impl LimitFields {
    #[new]
    fn new(py: Python<'_>, names: Vec<String>, policy: &str) -> PyResult<Self> {
        let policy = ("RateLimit-Policy", policy).into_pyobject(py)?.unbind();
        Ok(Self {
            names,
            policy,
            repeated: Repeated::new(),
        })
    }

    /// RateLimit-Policy and RateLimit of a decision.
    fn of<'py>(&self, py: Python<'py>, decision: &Decision) -> PyResult<Bound<'py, PyList>> {
        self.write(py, decision)
    }
}

impl LimitFields {
    /// The same, in a list that is not to be changed.
    pub fn shared(&self, py: Python<'_>, decision: &Decision) -> PyResult<Py<PyList>> {
        let Some(seen) = decision.seconds_and_remaining() else {
            return Ok(self.write(py, decision)?.unbind());
        };
        if let Some(fields) = self.repeated.find(seen, |fields| fields.clone_ref(py)) {
            return Ok(fields);
        }
        let fields = self.write(py, decision)?.unbind();
        self.repeated.keep(seen, fields.clone_ref(py));
        Ok(fields)
    }

    fn write<'py>(&self, py: Python<'py>, decision: &Decision) -> PyResult<Bound<'py, PyList>> {
        let fields = PyList::empty(py);
        let reason = decision.reason_code();
        if reason == Reason::Exempt {
            return Ok(fields);
        }
        fields.append(&self.policy)?;
        if reason == Reason::Error {
            return Ok(fields);
        }
        let mut text = String::with_capacity(32);
        for (name, (remaining, retry_after_ns, reset_after_ns)) in
            self.names.iter().zip(decision.figures(py)?)
        {
            let wait_ns = match retry_after_ns {
                0 => reset_after_ns,
                wait_ns => wait_ns,
            };
            let seconds = wait_ns.div_ceil(SECOND_NS).max(u64::from(remaining == 0));
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push('"');
            text.push_str(name);
            text.push_str("\";r=");
            text.push_str(&remaining.to_string());
            text.push_str(";t=");
            text.push_str(&seconds.to_string());
        }
        fields.append((pyo3::intern!(py, "RateLimit"), text))?;
        Ok(fields)
    }
}

/// Adds this file's class to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<LimitFields>()
}
