//! `RateLimitMiddleware` without a line of Python, for the requests that need no more.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFrozenSet, PyList, PyString};

use crate::decider::Ask;
use crate::decision::Decision;
use crate::limit_fields::LimitFields;
use crate::limiter::HotLimiter;
use crate::repeated::Repeated;
use crate::wsgi_key::WsgiKey;

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
    fields: Py<LimitFields>,
    /// Paths that are never limited.
    exempt: Py<PyFrozenSet>,
    /// The application behind the limiter.
    app: Py<PyAny>,
    /// Writes a denial from (decision, Accept): (denial, fields).
    compose: Py<PyAny>,
    /// The specification, which answers what is not for us.
    otherwise: Py<PyAny>,
    /// Answers in the place of a store that failed: (error, environ, `start_response`).
    refuse: Py<PyAny>,
    /// Denials by one quota, by seconds to wait and requests remaining, which is all there is
    /// in them, for those who accept anything.
    repeated: Repeated<Written>,
}

#[pymethods]
impl WsgiDesk {
    #[new]
    #[pyo3(signature = (limiter, key, fields, exempt, app, *, compose, otherwise, refuse))]
    #[allow(
        clippy::too_many_arguments,
        reason = "one a field, named by the caller"
    )]
    fn new(
        limiter: Py<HotLimiter>,
        key: Py<WsgiKey>,
        fields: Py<LimitFields>,
        exempt: Py<PyFrozenSet>,
        app: Py<PyAny>,
        compose: Py<PyAny>,
        otherwise: Py<PyAny>,
        refuse: Py<PyAny>,
    ) -> Self {
        Self {
            limiter,
            key,
            fields,
            exempt,
            app,
            compose,
            otherwise,
            refuse,
            repeated: Repeated::new(),
        }
    }

    /// Answers one request (PEP 3333).
    fn serve<'py>(
        &self,
        environ: &Bound<'py, PyDict>,
        start_response: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = environ.py();
        if let Some(path) = environ.get_item(intern!(py, "PATH_INFO"))?
            && self.exempt.bind(py).contains(path)?
        {
            return self.app.bind(py).call1((environ, start_response));
        }
        let decision = match self.decide(environ) {
            Ok(Some(decision)) => decision,
            Ok(None) => return self.otherwise.bind(py).call1((environ, start_response)),
            Err(error) if is_store_error(py, &error)? => {
                let error = error.into_value(py);
                return self.refuse.bind(py).call1((error, environ, start_response));
            }
            Err(error) => return Err(error),
        };
        if decision.get().passes() {
            let starting = Starting {
                start_response: start_response.clone().unbind(),
                fields: self.fields.get().shared(py, decision.get())?,
            };
            return self.app.bind(py).call1((environ, starting));
        }
        let accept = environ.get_item(intern!(py, "HTTP_ACCEPT"))?;
        let (line, fields, body) = self.denial(py, decision, accept)?;
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

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.limiter)?;
        visit.call(&self.app)?;
        visit.call(&self.compose)?;
        visit.call(&self.otherwise)?;
        visit.call(&self.refuse)
    }
}

/// `start_response` of a request that may pass: adds the fields of its decision.
#[pyclass(frozen, module = "rateproof._native")]
struct Starting {
    start_response: Py<PyAny>,
    /// Those of other requests as well: not to be changed.
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
        let all = headers
            .as_sequence()
            .concat(self.fields.bind(py).as_sequence())?;
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
        match self.key.get().key_of(environ)? {
            Some(key) => self.limiter.get().decide(environ.py(), Ask::Hit, &key, 1),
            None => Ok(None),
        }
    }

    fn denial<'py>(
        &self,
        py: Python<'py>,
        decision: Py<Decision>,
        accept: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Denied<'py>> {
        let seen = (accept.as_ref().is_none_or(accepts_anything))
            .then(|| decision.get().seconds_and_remaining())
            .flatten();
        let copy = |(line, fields, body): &Written| {
            (line.clone_ref(py), fields.clone_ref(py), body.clone_ref(py))
        };
        let written = match seen.and_then(|seen| self.repeated.find(seen, copy)) {
            Some(written) => written,
            None => {
                let written = self.compose(py, decision, accept)?;
                if let Some(seen) = seen {
                    self.repeated.keep(seen, copy(&written));
                }
                written
            }
        };
        let (line, fields, body) = written;
        // A server may change the list that it is given.
        let fields = fields.bind(py).get_slice(0, usize::MAX >> 1);
        Ok((line.into_bound(py), fields, body.into_bound(py)))
    }

    fn compose(
        &self,
        py: Python<'_>,
        decision: Py<Decision>,
        accept: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Written> {
        let composed = self.compose.call1(py, (decision, accept))?;
        let (denial, fields): (Bound<'_, PyAny>, Bound<'_, PyAny>) = composed.extract(py)?;
        Ok((
            denial.getattr("line")?.extract()?,
            PyList::new(py, fields.try_iter()?.collect::<PyResult<Vec<_>>>()?)?.unbind(),
            denial.getattr("body")?.extract()?,
        ))
    }
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
