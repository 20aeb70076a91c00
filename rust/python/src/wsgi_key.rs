//! The twin of `rateproof.enforce.http.keys.key_of` over an environ.
//!
//! `None` means: ask the specification, in Python. It is for requests that are not plain, such
//! as those with text that no server should put into an environ.

use std::borrow::Cow;
use std::io::Write;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

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
    pub fn key_of(&self, environ: &Bound<'_, PyDict>) -> PyResult<Option<Vec<u8>>> {
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

fn plain(address: &[u8]) -> bool {
    !address.is_empty() && address.is_ascii() && !address.contains(&b':')
}

/// Adds this file's class to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<WsgiKey>()
}
