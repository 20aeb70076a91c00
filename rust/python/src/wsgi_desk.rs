//! `RateLimitMiddleware` without a line of Python, for denials that were written before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFrozenSet, PyList, PyString};

use crate::ask::Ask;
use crate::decision::Decision;
use crate::limiter::HotLimiter;
use crate::wsgi_key::WsgiKey;

/// Number of denials that are remembered.
const MOST: usize = 4096;

/// Parts from which a denial is written again: (line, fields, body).
type Written = (Py<PyString>, Py<PyList>, Py<PyBytes>);

/// Denials remembered, by seconds to wait and requests remaining.
type Memory<T> = Mutex<HashMap<(u64, u64), T>>;

/// Answers WSGI requests; see `RateLimitMiddleware`.
#[pyclass(frozen, module = "rateproof._native")]
pub struct WsgiDesk {
    limiter: Py<HotLimiter>,
    key: Py<WsgiKey>,
    /// Paths that are never limited.
    exempt: Py<PyFrozenSet>,
    /// The `Room` of the limiter, the place of the quota that tells who is new, and its burst.
    room: Option<(Py<PyAny>, usize, u64)>,
    /// Denials by one quota, by seconds to wait and requests remaining, which is all there is
    /// in them, for those who accept anything.
    repeated: Memory<Written>,
    /// The fields of admissions by one quota, likewise.
    admitted: Memory<Py<PyList>>,
}

#[pymethods]
impl WsgiDesk {
    #[new]
    fn new(
        limiter: Py<HotLimiter>,
        key: Py<WsgiKey>,
        exempt: Py<PyFrozenSet>,
        room: Option<(Py<PyAny>, usize, u64)>,
    ) -> Self {
        Self {
            limiter,
            key,
            exempt,
            room,
            repeated: Mutex::default(),
            admitted: Mutex::default(),
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
            if let Some((_, place, burst)) = &self.room
                && decision.get().remaining_of(*place) == Some(burst - 1)
            {
                middleware.call_method1(intern!(py, "_took"), (environ,))?;
            }
            let starting = Starting {
                start_response: start_response.clone().unbind(),
                fields: self.fields(middleware, decision)?,
            };
            let app = middleware.getattr(intern!(py, "_app"))?;
            return app.call1((environ, starting));
        }
        let accept = environ.get_item(intern!(py, "HTTP_ACCEPT"))?;
        let (line, fields, body) = self.denial(middleware, decision, accept)?;
        // A server may change the list that it is given.
        let fields = fields.bind(py).get_slice(0, usize::MAX >> 1);
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

/// `start_response` of a request that may pass: adds the fields of its decision.
#[pyclass(frozen, module = "rateproof._native")]
struct Starting {
    start_response: Py<PyAny>,
    fields: Py<PyList>,
}

#[pymethods]
impl Starting {
    #[pyo3(signature = (status, headers, exc_info=None, /))]
    fn __call__<'py>(
        &self,
        status: &Bound<'py, PyAny>,
        headers: &Bound<'py, PyList>,
        exc_info: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = status.py();
        let fields = self.fields.bind(py).as_sequence();
        let all = headers.as_sequence().concat(fields)?;
        let start_response = self.start_response.bind(py);
        match exc_info {
            Some(exc_info) => start_response.call1((status, all, exc_info)),
            None => start_response.call1((status, all)),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.start_response)
    }
}

impl WsgiDesk {
    /// `None` if it is for the specification to decide.
    fn decide(&self, environ: &Bound<'_, PyDict>) -> PyResult<Option<Py<Decision>>> {
        let (py, limiter) = (environ.py(), self.limiter.get());
        let Some(key) = self.key.get().key_of(environ) else {
            return Ok(None);
        };
        if let Some((room, place, burst)) = &self.room
            && room.bind(py).getattr(intern!(py, "crowded"))?.is_truthy()?
        {
            let seen = limiter.decide(py, Ask::Peek, &key, 1)?;
            if seen.is_none_or(|seen| seen.get().remaining_of(*place) == Some(*burst)) {
                return Ok(None); // of somebody new, the address counts
            }
        }
        limiter.decide(py, Ask::Hit, &key, 1)
    }

    /// Fields that an admission adds to the answer: a list that is not to be changed.
    fn fields(
        &self,
        middleware: &Bound<'_, PyAny>,
        decision: Py<Decision>,
    ) -> PyResult<Py<PyList>> {
        let py = middleware.py();
        let seen = decision.get().seconds_and_remaining();
        let copy = |fields: &Py<PyList>| fields.clone_ref(py);
        remembered(&self.admitted, seen, copy, || {
            let fields = middleware.call_method1(intern!(py, "_fields"), (decision,))?;
            Ok(fields.extract()?)
        })
    }

    fn denial<'py>(
        &self,
        middleware: &Bound<'py, PyAny>,
        decision: Py<Decision>,
        accept: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Written> {
        let py = middleware.py();
        let seen = (accept.as_ref().is_none_or(accepts_anything))
            .then(|| decision.get().seconds_and_remaining())
            .flatten();
        let copy = |(line, fields, body): &Written| {
            (line.clone_ref(py), fields.clone_ref(py), body.clone_ref(py))
        };
        remembered(&self.repeated, seen, copy, || {
            compose(middleware, decision, accept)
        })
    }
}

/// The remembered one of its kind, or the one that `make` makes, which is remembered.
fn remembered<T>(
    memory: &Memory<T>,
    seen: Option<(u64, u64)>,
    copy: impl Fn(&T) -> T,
    make: impl FnOnce() -> PyResult<T>,
) -> PyResult<T> {
    let open = || memory.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(seen) = seen else { return make() };
    if let Some(kept) = open().get(&seen).map(&copy) {
        return Ok(kept);
    }
    let made = make()?;
    let mut memory = open();
    if memory.len() == MOST {
        memory.clear();
    }
    memory.insert(seen, copy(&made));
    Ok(made)
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
