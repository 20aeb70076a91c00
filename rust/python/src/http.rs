//! The twins of what `rateproof.enforce.http` does for every request: its key, and its fields.
//!
//! `None` means: ask the specification, in Python. It is for requests that are not plain, such
//! as those with text that no server should put into an environ.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::decision::{Decision, Reason};
use crate::gate::Gate;

const SECOND_NS: u64 = 1_000_000_000;

/// Where to look in a WSGI environ for one part of a key.
enum Place {
    Query(Vec<u8>),
    Header(Py<PyString>),
    Cookie(Vec<u8>),
    Path,
    Method,
    Address,
}

/// One part: how it is written, and where it is read.
struct Part {
    label: Vec<u8>,
    place: Place,
}

/// Reads keys by a specification; see `rateproof.enforce.http.keys.key_of`.
#[pyclass(frozen, module = "rateproof._native")]
pub struct WsgiKey {
    alternatives: Vec<Vec<Part>>,
    address: Part,
}

#[pymethods]
impl WsgiKey {
    /// From (label, kind, name) of each part; the name of a header is its variable in an environ.
    #[new]
    fn new(py: Python<'_>, alternatives: Vec<Vec<(String, String, String)>>) -> Self {
        let part = |(label, kind, name): (String, String, String)| Part {
            label: label.into_bytes(),
            place: match kind.as_str() {
                "query" => Place::Query(name.into_bytes()),
                "header" => Place::Header(PyString::intern(py, &name).unbind()),
                "cookie" => Place::Cookie(name.into_bytes()),
                "path" => Place::Path,
                "method" => Place::Method,
                _ => Place::Address,
            },
        };
        Self {
            alternatives: alternatives
                .into_iter()
                .map(|parts| parts.into_iter().map(part).collect())
                .collect(),
            address: Part {
                label: b"ip".to_vec(),
                place: Place::Address,
            },
        }
    }

    /// The key of a request, or None if it is not plain.
    fn read<'py>(&self, environ: &Bound<'py, PyDict>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let key = self.key_of(environ)?;
        Ok(key.map(|key| PyBytes::new(environ.py(), &key)))
    }
}

impl WsgiKey {
    fn key_of(&self, environ: &Bound<'_, PyDict>) -> PyResult<Option<Vec<u8>>> {
        let mut key = Vec::with_capacity(64);
        for parts in &self.alternatives {
            match write_all(parts, environ, &mut key)? {
                Found::All => return Ok(Some(key)),
                Found::NotPlain => return Ok(None),
                Found::Missing => key.clear(),
            }
        }
        let address = std::slice::from_ref(&self.address);
        Ok(match write_all(address, environ, &mut key)? {
            Found::All => Some(key),
            _ => None,
        })
    }
}

enum Found {
    All,
    Missing,
    NotPlain,
}

fn write_all(parts: &[Part], environ: &Bound<'_, PyDict>, key: &mut Vec<u8>) -> PyResult<Found> {
    for part in parts {
        match part.write(environ, key)? {
            Found::All => {}
            other => return Ok(other),
        }
    }
    Ok(Found::All)
}

impl Part {
    /// Writes the part to `key`, if it is there and plain.
    fn write(&self, environ: &Bound<'_, PyDict>, key: &mut Vec<u8>) -> PyResult<Found> {
        let py = environ.py();
        match &self.place {
            Place::Query(name) => {
                let query = text(environ, pyo3::intern!(py, "QUERY_STRING"))?;
                self.found(query.as_ref(), key, |query| parameter(query, name))
            }
            Place::Header(variable) => {
                let value = text(environ, variable.bind(py))?;
                self.found(value.as_ref(), key, |value| {
                    Some(Cow::Borrowed(trimmed(value)))
                })
            }
            Place::Cookie(name) => {
                let cookies = text(environ, pyo3::intern!(py, "HTTP_COOKIE"))?;
                self.found(cookies.as_ref(), key, |cookies| cookie(cookies, name))
            }
            Place::Path => {
                let mount = text(environ, pyo3::intern!(py, "SCRIPT_NAME"))?;
                let path = text(environ, pyo3::intern!(py, "PATH_INFO"))?;
                let whole = match (mount.as_ref().map(latin_1), path.as_ref().map(latin_1)) {
                    (Some(None), _) | (_, Some(None)) => return Ok(Found::NotPlain),
                    (mount, path) => [mount.flatten(), path.flatten()]
                        .into_iter()
                        .flatten()
                        .flat_map(Cow::into_owned)
                        .collect::<Vec<u8>>(),
                };
                self.append(if whole.is_empty() { b"/" } else { &whole }, key)
            }
            Place::Method => {
                let method = text(environ, pyo3::intern!(py, "REQUEST_METHOD"))?;
                self.found(method.as_ref(), key, |method| {
                    Some(Cow::Owned(method.to_ascii_uppercase()))
                })
            }
            // Of an address with a colon the specification writes one form only.
            Place::Address => {
                let address = text(environ, pyo3::intern!(py, "REMOTE_ADDR"))?;
                match address.as_ref().and_then(latin_1) {
                    Some(address) if plain(&address) => self.append(&address, key),
                    _ => Ok(Found::NotPlain),
                }
            }
        }
    }

    /// Writes what `pick` takes from the bytes behind a WSGI string.
    fn found(
        &self,
        text: Option<&Bound<'_, PyString>>,
        key: &mut Vec<u8>,
        pick: impl FnOnce(&[u8]) -> Option<Cow<'_, [u8]>>,
    ) -> PyResult<Found> {
        let Some(text) = text else {
            return Ok(Found::Missing);
        };
        let Some(bytes) = latin_1(text) else {
            return Ok(Found::NotPlain);
        };
        match pick(&bytes) {
            Some(value) => self.append(&value, key),
            None => Ok(Found::Missing),
        }
    }

    fn append(&self, value: &[u8], key: &mut Vec<u8>) -> PyResult<Found> {
        if value.is_empty() {
            return Ok(Found::Missing);
        }
        key.extend_from_slice(&self.label);
        write!(key, "={}:", value.len())?;
        key.extend_from_slice(value);
        Ok(Found::All)
    }
}

/// A text in the environ; `None` where there is none, or no text.
fn text<'py>(
    environ: &Bound<'py, PyDict>,
    name: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyString>>> {
    let found = environ.get_item(name)?;
    Ok(found.and_then(|found| found.cast_into::<PyString>().ok()))
}

/// The bytes behind a WSGI string, one a character; `None` if it has others.
fn latin_1<'a>(text: &'a Bound<'_, PyString>) -> Option<Cow<'a, [u8]>> {
    let text = text.to_str().ok()?;
    if text.is_ascii() {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let byte = |character| u8::try_from(u32::from(character)).ok();
    text.chars()
        .map(byte)
        .collect::<Option<_>>()
        .map(Cow::Owned)
}

fn parameter<'a>(query: &'a [u8], name: &[u8]) -> Option<Cow<'a, [u8]>> {
    let mut pairs = query.split(|byte| *byte == b'&').map(partition);
    pairs
        .find(|(found, _)| *decoded(found) == *name)
        .map(|(_, value)| decoded(value))
}

fn cookie<'a>(cookies: &'a [u8], name: &[u8]) -> Option<Cow<'a, [u8]>> {
    let mut pairs = cookies.split(|byte| *byte == b';').map(partition);
    pairs
        .find(|(found, _)| trimmed(found) == name)
        .map(|(_, value)| Cow::Borrowed(trimmed(value)))
}

/// What stands before and after the first equals sign.
fn partition(pair: &[u8]) -> (&[u8], &[u8]) {
    match pair.iter().position(|byte| *byte == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, b""),
    }
}

fn trimmed(value: &[u8]) -> &[u8] {
    let solid = |byte: &u8| *byte != b' ' && *byte != b'\t';
    match (value.iter().position(solid), value.iter().rposition(solid)) {
        (Some(first), Some(last)) => &value[first..=last],
        _ => b"",
    }
}

/// Percent-decoded, with "+" for a space; what is no escape stays as it is.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += 1;
        match (*byte, digit(at), digit(at + 1)) {
            (b'+', _, _) => bytes.push(b' '),
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                at += 2;
            }
            (other, _, _) => bytes.push(other),
        }
    }
    Cow::Owned(bytes)
}

/// The fields of answers; see `rateproof.enforce.http.answers.limit_fields`.
#[pyclass(frozen, module = "rateproof._native")]
pub struct LimitFields {
    names: Vec<String>,
    policy: Py<PyTuple>,
}

#[pymethods]
impl LimitFields {
    #[new]
    fn new(py: Python<'_>, names: Vec<String>, policy: &str) -> PyResult<Self> {
        let policy = ("RateLimit-Policy", policy).into_pyobject(py)?.unbind();
        Ok(Self { names, policy })
    }

    /// RateLimit-Policy and RateLimit of a decision.
    fn of<'py>(&self, py: Python<'py>, decision: &Decision) -> PyResult<Bound<'py, PyList>> {
        self.fields_of(py, decision)
    }
}

impl LimitFields {
    fn fields_of<'py>(&self, py: Python<'py>, decision: &Decision) -> PyResult<Bound<'py, PyList>> {
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

fn plain(address: &[u8]) -> bool {
    !address.is_empty() && address.is_ascii() && !address.contains(&b':')
}

fn accepts_anything(accept: &Bound<'_, PyAny>) -> bool {
    accept.cast::<PyString>().is_ok_and(|text| text == "*/*")
}

/// Adds this file's classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<WsgiKey>()?;
    module.add_class::<LimitFields>()?;
    module.add_class::<WsgiDesk>()
}
