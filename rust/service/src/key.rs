//! The key of a request: the one that a specification finds, byte for byte that of `keys.py`, so that
//! one client is one key for the service and for the Python applications on a store.

use std::net::IpAddr;

use percent_encoding::percent_decode;
use rateproof_enforce::key::{cookie, value_of, write_part};

use crate::address::ClientAddress;
use crate::request::{Request, is_token};
use crate::visible::quoted;

const FORM: &str =
    "ip, path, path:2, method, query:NAME, header:NAME or cookie:NAME, joined by + or |";
/// The longest value of a place, in bytes.
pub const MOST_KEY: usize = 4096;

/// A place in a request.
#[derive(Debug, Clone)]
struct Part {
    kind: Kind,
    name: String,
    /// The name that its value is written under.
    label: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ip,
    Path,
    Method,
    Query,
    Header,
    Cookie,
}

/// Alternatives in order of preference; each is one or more parts joined.
#[derive(Debug, Clone)]
pub struct KeySpec(Vec<Vec<Part>>);

impl KeySpec {
    /// Reads the text form, such as `header:X-Api-Key|ip`.
    ///
    /// # Errors
    /// The part that could not be read, and what would be accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let alternative = |each: &str| {
            each.split('+')
                .map(|part| Part::parse(part.trim(), text))
                .collect()
        };
        text.split('|')
            .map(alternative)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// True if an address is one of its places.
    #[must_use]
    pub fn names_address(&self) -> bool {
        self.0.iter().flatten().any(|part| part.kind == Kind::Ip)
    }

    /// The key of the client: that of the first alternative whose parts are all there and not empty,
    /// else of its address.
    ///
    /// # Errors
    /// A value is too long.
    pub fn of(
        &self,
        request: &Request<'_>,
        route: &[u8],
        address: &ClientAddress,
        peer: Option<IpAddr>,
    ) -> Result<Vec<u8>, String> {
        'next: for parts in &self.0 {
            let mut key = Vec::new();
            for part in parts {
                let value = match part.kind {
                    Kind::Ip => address.of(request, peer),
                    Kind::Path => segment(&decoded(route, b'+'), &part.name).to_vec(),
                    Kind::Method => request.method.to_ascii_uppercase(),
                    Kind::Query => {
                        let is = |found: &[u8]| decoded(found, b' ') == part.name.as_bytes();
                        decoded(value_of(request.query, b'&', is), b' ')
                    }
                    Kind::Header => request.field(&part.name),
                    Kind::Cookie => cookie(&request.field("cookie"), part.name.as_bytes()).to_vec(),
                };
                if value.len() > MOST_KEY {
                    return Err(too_long(&part.label, &value));
                }
                if value.is_empty() {
                    continue 'next;
                }
                write_part(&mut key, &part.label, &value);
            }
            return Ok(key);
        }
        let mut key = Vec::new();
        write_part(&mut key, "ip", &address.of(request, peer));
        Ok(key)
    }
}

impl Part {
    fn parse(part: &str, text: &str) -> Result<Self, String> {
        let (kind, name) = part
            .split_once(':')
            .map_or((part, None), |(kind, name)| (kind, Some(name)));
        let number = |name: &str| {
            let digits = name.bytes().all(|byte| byte.is_ascii_digit());
            digits && (1..=2).contains(&name.len()) && !name.starts_with('0')
        };
        let kind = match (kind, name) {
            ("ip", None) => Kind::Ip,
            ("path", None) => Kind::Path,
            ("method", None) => Kind::Method,
            ("path", Some(name)) if number(name) => Kind::Path,
            ("query", Some(name)) if is_token(name.as_bytes()) => Kind::Query,
            ("header", Some(name)) if is_token(name.as_bytes()) => Kind::Header,
            ("cookie", Some(name)) if is_token(name.as_bytes()) => Kind::Cookie,
            _ => {
                let (part, text) = (quoted(part.as_bytes()), quoted(text.as_bytes()));
                return Err(format!(
                    "{part} in key {text} is not a place in a request ({FORM})"
                ));
            }
        };
        let label = match kind {
            Kind::Header => part.to_ascii_lowercase(),
            _ => part.to_owned(),
        };
        let name = name.unwrap_or_default().to_owned();
        Ok(Self { kind, name, label })
    }
}

/// Says that a value is too long to be a key.
pub fn too_long(place: &str, value: &[u8]) -> String {
    let (bytes, shown) = (value.len(), quoted(value));
    format!("{place} has {bytes} bytes (at most {MOST_KEY}): {shown}")
}

/// A segment of the path, counted from 1; all of it without a number.
fn segment<'a>(path: &'a [u8], number: &str) -> &'a [u8] {
    match number.parse() {
        Ok(number) => path
            .split(|byte| *byte == b'/')
            .nth(number)
            .unwrap_or_default(),
        Err(_) => path,
    }
}

/// Percent-decoded, and what "+" stands for; what is no escape stays as it is.
fn decoded(text: &[u8], plus: u8) -> Vec<u8> {
    let mut same = text.to_vec();
    for byte in same.iter_mut().filter(|byte| **byte == b'+') {
        *byte = plus;
    }
    match same.contains(&b'%') {
        true => percent_decode(&same).collect(),
        false => same,
    }
}
