//! `RateLimitMiddleware` without a line of Python, for denials that were written before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFrozenSet, PyList, PyString};

use crate::decider::Ask;
use crate::decision::Decision;
use crate::limiter::HotLimiter;
use crate::wsgi_key::WsgiKey;

/// How many denials are remembered.
const MOST: usize = 4096;

/// What it takes to write a denial again: (line, fields, body).
type Written = (Py<PyString>, Py<PyList>, Py<PyBytes>);

/// The same, to be sent.
type Denied<'py> = (
    Bound<'py, PyString>,
    Bound<'py, PyList>,
    Bound<'py, PyBytes>,
);

/// Answers WSGI requests; see `RateLimitMiddleware`.
#[pyclass(frozen, module = "rateproof._native")]
pub struct WsgiDesk {
    limiter: Py<HotLimiter>,
    key: Py<WsgiKey>,
    /// Paths that are never limited.
    exempt: Py<PyFrozenSet>,
    /// Denials by one quota, by seconds to wait and requests remaining, which is all there is
    /// in them, for those who accept anything.
    repeated: Mutex<HashMap<(u64, u64), Written>>,
}

#[pymethods]
impl WsgiDesk {
    #[new]
    fn new(limiter: Py<HotLimiter>, key: Py<WsgiKey>, exempt: Py<PyFrozenSet>) -> Self {
        Self {
            limiter,
            key,
            exempt,
            repeated: Mutex::default(),
        }
    }

    /// Answers one request (PEP 3333); what is not for us, the middleware does.
    fn serve<'py>(
        &self,
        middleware: &Bound<'py, PyAny>,
        environ: &Bound<'py, PyDict>,
        start_response: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = environ.py();
        let path = environ.get_item(intern!(py, "PATH_INFO"))?;
        let decided = match path {
            Some(path) if self.exempt.bind(py).contains(&path)? => Ok(None),
            _ => self.decide(environ),
        };
        let decision = match decided {
            Ok(Some(decision)) => decision,
            Ok(None) => {
                return middleware.call_method1(intern!(py, "_answer"), (environ, start_response));
            }
            Err(error) if is_store_error(py, &error)? => {
                let told = (error.into_value(py), environ, start_response);
                return middleware.call_method1(intern!(py, "_refuse"), told);
            }
            Err(error) => return Err(error),
        };
        if decision.get().passes() {
            let told = (decision, environ, start_response);
            return middleware.call_method1(intern!(py, "_admitted"), told);
        }
        let accept = environ.get_item(intern!(py, "HTTP_ACCEPT"))?;
        let (line, fields, body) = self.denial(middleware, decision, accept)?;
        start_response.call1((line, fields))?;
        let method = environ.get_item(intern!(py, "REQUEST_METHOD"))?;
        let head = method.is_some_and(|method| {
            method
                .cast::<PyString>()
                .is_ok_and(|method| method == "HEAD")
        });
        let chunks = PyList::empty(py);
        if !head {
            chunks.append(body)?;
        }
        Ok(chunks.into_any())
    }
}

impl WsgiDesk {
    /// `None` if it is for the specification to decide.
    fn decide(&self, environ: &Bound<'_, PyDict>) -> PyResult<Option<Py<Decision>>> {
        match self.key.get().key_of(environ) {
            Some(key) => self.limiter.get().decide(environ.py(), Ask::Hit, &key, 1),
            None => Ok(None),
        }
    }

    fn denial<'py>(
        &self,
        middleware: &Bound<'py, PyAny>,
        decision: Py<Decision>,
        accept: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Denied<'py>> {
        let py = middleware.py();
        let seen = (accept.as_ref().is_none_or(accepts_anything))
            .then(|| decision.get().seconds_and_remaining())
            .flatten();
        let copy = |(line, fields, body): &Written| {
            (line.clone_ref(py), fields.clone_ref(py), body.clone_ref(py))
        };
        let repeated = || self.repeated.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match seen.and_then(|seen| repeated().get(&seen).map(copy)) {
            Some(written) => written,
            None => {
                let written = compose(middleware, decision, accept)?;
                if let Some(seen) = seen {
                    let mut repeated = repeated();
                    if repeated.len() == MOST {
                        repeated.clear();
                    }
                    repeated.insert(seen, copy(&written));
                }
                written
            }
        };
        let (line, fields, body) = written;
        // A server may change the list that it is given.
        let fields = fields.bind(py).get_slice(0, usize::MAX >> 1);
        Ok((line.into_bound(py), fields, body.into_bound(py)))
    }
}

fn compose<'py>(
    middleware: &Bound<'py, PyAny>,
    decision: Py<Decision>,
    accept: Option<Bound<'py, PyAny>>,
) -> PyResult<Written> {
    let py = middleware.py();
    let composed = middleware.call_method1(intern!(py, "_denied"), (decision, accept))?;
    let (denial, fields): (Bound<'py, PyAny>, Bound<'py, PyAny>) = composed.extract()?;
    Ok((
        denial.getattr("line")?.extract()?,
        PyList::new(py, fields.try_iter()?.collect::<PyResult<Vec<_>>>()?)?.unbind(),
        denial.getattr("body")?.extract()?,
    ))
}

fn is_store_error(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    let class = py.import("rateproof.errors")?.getattr("StoreError")?;
    Ok(error.matches(py, class)?)
}

fn accepts_anything(accept: &Bound<'_, PyAny>) -> bool {
    accept.cast::<PyString>().is_ok_and(|text| text == "*/*")
}

/// Adds this file's class to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<WsgiDesk>()
}
