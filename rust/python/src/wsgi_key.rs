//! `rateproof.enforce.http.keys.key_of` over the environ of a plain request.
//!
//! `None` means: ask the specification, in Python. It is for requests with anything but ASCII, with
//! an escape in the query, an empty field or an IPv6 address, of which there is more to know, and
//! for an environ that no server should make.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use rateproof_enforce::key::{cookie, trimmed, value_of, write_part};

/// Place in a WSGI environ of one part of a key.
enum Place {
    Query(String),
    Header(Py<PyString>),
    Cookie(String),
    Path,
    Method,
    Address,
}

/// One part: how it is written, and where it is read.
struct Part {
    label: String,
    place: Place,
}

/// Reads keys by a specification; see `rateproof.enforce.http.keys.key_of`.
#[pyclass(frozen, module = "rateproof._native")]
pub struct WsgiKey {
    /// In the order of preference; the last one is the address.
    alternatives: Vec<Vec<Part>>,
}

#[pymethods]
impl WsgiKey {
    /// From (label, kind, name) of each part; the name of a header is its variable in an environ.
    #[new]
    fn new(py: Python<'_>, mut alternatives: Vec<Vec<(String, String, String)>>) -> Self {
        let part = |(label, kind, name): (String, String, String)| Part {
            label,
            place: match kind.as_str() {
                "query" => Place::Query(name),
                "header" => Place::Header(PyString::intern(py, &name).unbind()),
                "cookie" => Place::Cookie(name),
                "path" => Place::Path,
                "method" => Place::Method,
                _ => Place::Address,
            },
        };
        alternatives.push(vec![("ip".to_owned(), "ip".to_owned(), String::new())]);
        let all = |parts: Vec<_>| parts.into_iter().map(part).collect();
        Self {
            alternatives: alternatives.into_iter().map(all).collect(),
        }
    }

    /// The key of a request, or None if it is not plain.
    fn read<'py>(&self, environ: &Bound<'py, PyDict>) -> Option<Bound<'py, PyBytes>> {
        let key = self.key_of(environ)?;
        Some(PyBytes::new(environ.py(), &key))
    }
}

impl WsgiKey {
    pub fn key_of(&self, environ: &Bound<'_, PyDict>) -> Option<Vec<u8>> {
        let mut key = Vec::with_capacity(64);
        for parts in &self.alternatives {
            key.clear();
            let mut found = true;
            for part in parts {
                found = found && part.write(environ, &mut key)?;
            }
            if found {
                return Some(key);
            }
        }
        None
    }
}

impl Part {
    /// Writes the part to `key`, and says whether it is there.
    fn write(&self, environ: &Bound<'_, PyDict>, key: &mut Vec<u8>) -> Option<bool> {
        let py = environ.py();
        match &self.place {
            Place::Query(name) => ascii(environ, intern!(py, "QUERY_STRING"), |query| {
                let value = || value_of(query.as_bytes(), b'&', |found| found == name.as_bytes());
                let plain = !query.contains(['%', '+']);
                plain.then(|| self.append(value(), key))
            }),
            Place::Header(variable) => field(environ, variable.bind(py), |value| {
                Some(self.append(trimmed(value.as_bytes()), key))
            }),
            Place::Cookie(name) => field(environ, intern!(py, "HTTP_COOKIE"), |cookies| {
                Some(self.append(cookie(cookies.as_bytes(), name.as_bytes()), key))
            }),
            Place::Path => ascii(environ, intern!(py, "SCRIPT_NAME"), |mount| {
                ascii(environ, intern!(py, "PATH_INFO"), |path| {
                    let whole = [mount, path].concat();
                    let whole = if whole.is_empty() { "/" } else { &whole };
                    Some(self.append(whole.as_bytes(), key))
                })
            }),
            Place::Method => ascii(environ, intern!(py, "REQUEST_METHOD"), |method| {
                Some(self.append(method.to_ascii_uppercase().as_bytes(), key))
            }),
            // Of an address with a colon the specification writes one form only.
            Place::Address => ascii(environ, intern!(py, "REMOTE_ADDR"), |address| {
                let plain = !address.is_empty() && !address.contains(':');
                plain.then(|| self.append(address.as_bytes(), key))
            }),
        }
    }

    fn append(&self, value: &[u8], key: &mut Vec<u8>) -> bool {
        let there = !value.is_empty();
        if there {
            write_part(key, &self.label, value);
        }
        there
    }
}

/// The result of `read` for a text in the environ, empty where there is none.
fn ascii<T>(
    environ: &Bound<'_, PyDict>,
    name: &Bound<'_, PyString>,
    read: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let Some(found) = environ.get_item(name).ok()? else {
        return read("");
    };
    let text = found.cast::<PyString>().ok()?.to_str().ok()?;
    text.is_ascii().then(|| read(text)).flatten()
}

/// The same of a field of the request: one that is there and empty is for Python.
fn field<T>(
    environ: &Bound<'_, PyDict>,
    name: &Bound<'_, PyString>,
    read: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    ascii(environ, name, |text| {
        let hidden = text.is_empty() && environ.contains(name).ok()?;
        (!hidden).then(|| read(text)).flatten()
    })
}
