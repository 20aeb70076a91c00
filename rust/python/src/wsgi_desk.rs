//! `RateLimitMiddleware` without a line of Python, for the requests that need no more.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::decision::Decision;
use crate::gate::Gate;
use crate::limit_fields::LimitFields;
use crate::wsgi_key::WsgiKey;

/// How many answers a desk remembers.
const MOST_REPEATED: usize = 4096;

/// What it takes to write a denial again: (line, fields, body).
type Written = (Py<PyString>, Py<PyList>, Py<PyBytes>);

/// Decides about WSGI requests, and writes the answers; see `RateLimitMiddleware`.
#[pyclass(frozen, module = "rateproof._native")]
pub struct WsgiDesk {
    gate: Py<Gate>,
    key: Py<WsgiKey>,
    fields: Py<LimitFields>,
    /// Writes a denial from (decision, Accept): (denial, fields).
    compose: Py<PyAny>,
    /// Denials by one quota, by seconds to wait and requests remaining, which is all there is
    /// in them, for those who accept anything.
    repeated: Mutex<HashMap<(u64, u64), Written>>,
}

#[pymethods]
impl WsgiDesk {
    #[new]
    fn new(gate: Py<Gate>, key: Py<WsgiKey>, fields: Py<LimitFields>, compose: Py<PyAny>) -> Self {
        Self {
            gate,
            key,
            fields,
            compose,
            repeated: Mutex::default(),
        }
    }

    /// Fields to add if the request may pass, (line, fields, body) if it is denied, None if it is
    /// for the specification to decide.
    fn ask<'py>(&self, environ: &Bound<'py, PyDict>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = environ.py();
        let gate = self.gate.get();
        if gate.is_closed() {
            return Ok(None);
        }
        let Some(key) = self.key.get().key_of(environ)? else {
            return Ok(None);
        };
        let Some(decision) = gate.decide(py, &key, 1)? else {
            return Ok(None);
        };
        if decision.passes() {
            return Ok(Some(self.fields.get().fields_of(py, &decision)?.into_any()));
        }
        let accept = environ.get_item(pyo3::intern!(py, "HTTP_ACCEPT"))?;
        Ok(Some(self.denial(py, decision, accept)?.into_any()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.gate)?;
        visit.call(&self.compose)
    }
}

impl WsgiDesk {
    fn denial<'py>(
        &self,
        py: Python<'py>,
        decision: Decision,
        accept: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let seen = (accept.as_ref().is_none_or(accepts_anything))
            .then(|| decision.seconds_and_remaining())
            .flatten();
        let known = |seen| {
            let repeated = self.repeated.lock().unwrap_or_else(PoisonError::into_inner);
            let written: Option<&Written> = repeated.get(&seen);
            written.map(|(line, fields, body)| {
                (line.clone_ref(py), fields.clone_ref(py), body.clone_ref(py))
            })
        };
        let written = match seen.and_then(known) {
            Some(written) => written,
            None => self.compose(py, decision, accept, seen)?,
        };
        let (line, fields, body) = written;
        // A server may change the list that it is given.
        let fields = fields.bind(py).get_slice(0, usize::MAX >> 1);
        (line, fields, body).into_pyobject(py)
    }

    fn compose(
        &self,
        py: Python<'_>,
        decision: Decision,
        accept: Option<Bound<'_, PyAny>>,
        seen: Option<(u64, u64)>,
    ) -> PyResult<Written> {
        let composed = self.compose.call1(py, (decision, accept))?;
        let (denial, fields): (Bound<'_, PyAny>, Bound<'_, PyAny>) = composed.extract(py)?;
        let written: Written = (
            denial.getattr("line")?.extract()?,
            PyList::new(py, fields.try_iter()?.collect::<PyResult<Vec<_>>>()?)?.unbind(),
            denial.getattr("body")?.extract()?,
        );
        if let Some(seen) = seen {
            let mut repeated = self.repeated.lock().unwrap_or_else(PoisonError::into_inner);
            if repeated.len() == MOST_REPEATED {
                repeated.clear();
            }
            let (line, fields, body) = &written;
            let copy = (line.clone_ref(py), fields.clone_ref(py), body.clone_ref(py));
            repeated.insert(seen, copy);
        }
        Ok(written)
    }
}

fn accepts_anything(accept: &Bound<'_, PyAny>) -> bool {
    accept.cast::<PyString>().is_ok_and(|text| text == "*/*")
}

/// Adds this file's class to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<WsgiDesk>()
}
