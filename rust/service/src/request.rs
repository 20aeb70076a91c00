//! A request as far as a key may ask for it, and its bytes on the wire.

use std::mem::MaybeUninit;

use httparse::Status;

use crate::visible::quoted;

/// The longest head, in bytes, and the most header fields.
pub const MOST_HEAD: usize = 32 * 1024;
const MOST_FIELDS: usize = 128;
/// The longest body that is read past, in bytes.
const MOST_BODY: u64 = 1024 * 1024;

/// A head, borrowed from what came.
pub struct Request<'a> {
    pub method: &'a [u8],
    /// Percent-encoded, as it came.
    pub path: &'a [u8],
    pub query: &'a [u8],
    fields: Vec<(&'a [u8], &'a [u8])>,
    /// The connection may serve another request.
    pub keeps_alive: bool,
    /// Bytes of head and body.
    pub length: u64,
}

/// The reason why a request cannot be answered as asked: the status, and what was wrong. The connection ends.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused(pub u16, pub String);

fn refused(status: u16, detail: &str) -> Refused {
    Refused(status, detail.to_owned())
}

/// A target without the scheme and the authority that RFC 9112, 3.2.2 lets it have.
fn origin_form(target: &[u8]) -> &[u8] {
    let schemes = [&b"http://"[..], b"https://"];
    let begins = |scheme: &&[u8]| {
        let told = target.get(..scheme.len());
        told.is_some_and(|told| told.eq_ignore_ascii_case(scheme))
    };
    let Some(scheme) = schemes.into_iter().find(begins) else {
        return target;
    };
    let rest = &target[scheme.len()..];
    let end = rest.iter().position(|byte| b"/?".contains(byte));
    &rest[end.unwrap_or(rest.len())..]
}

impl<'a> Request<'a> {
    /// Reads a head; `None` where more of it has to come.
    ///
    /// # Errors
    /// It is no request of HTTP/1, or larger than what is accepted.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Self>, Refused> {
        let mut room = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        let head = match parsed.parse_with_uninit_headers(bytes, &mut room) {
            Ok(Status::Complete(head)) if head <= MOST_HEAD => head,
            Ok(Status::Partial) if bytes.len() < MOST_HEAD => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => {
                return Err(refused(431, "the head is longer than 32 KiB or 128 fields"));
            }
            Err(error) => {
                return Err(Refused(400, format!("not a request of HTTP/1: {error}")));
            }
        };
        let target = origin_form(parsed.path.unwrap_or_default().as_bytes());
        let (path, query) = match target.iter().position(|byte| *byte == b'?') {
            Some(at) => (&target[..at], &target[at + 1..]),
            None => (target, &b""[..]),
        };
        let fields = parsed
            .headers
            .iter()
            .map(|field| (field.name.as_bytes(), field.value));
        let mut request = Self {
            method: parsed.method.unwrap_or_default().as_bytes(),
            path,
            query,
            fields: fields.collect(),
            keeps_alive: parsed.version == Some(1),
            length: head as u64,
        };
        let says = |word: &str| {
            let mut options = request
                .lines("connection")
                .flat_map(|line| line.split(|byte| *byte == b','));
            options.any(|each| each.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        };
        let keeps_alive = !says("close") && (request.keeps_alive || says("keep-alive"));
        request.keeps_alive = keeps_alive;
        request.length += request.body()?;
        Ok(Some(request))
    }

    /// Bytes of the body.
    fn body(&self) -> Result<u64, Refused> {
        if self.lines("transfer-encoding").any(|line| !line.is_empty()) {
            return Err(refused(411, "a body needs a Content-Length"));
        }
        let mut lengths = self.lines("content-length");
        let length = match (lengths.next(), lengths.next()) {
            (None, _) => return Ok(0),
            (Some(length), None) => length,
            _ => return Err(refused(400, "more than one Content-Length")),
        };
        let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(length).ok().filter(|_| digits);
        match number.map(|number| number.parse().unwrap_or(u64::MAX)) {
            None => Err(Refused(
                400,
                format!("Content-Length is {}, no number", quoted(length)),
            )),
            Some(bytes) if bytes > MOST_BODY => Err(Refused(
                413,
                format!("Content-Length is {}, more than 1 MiB", quoted(length)),
            )),
            Some(bytes) => Ok(bytes),
        }
    }

    fn lines(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let wanted = |(found, _): &&(&[u8], &[u8])| found.eq_ignore_ascii_case(name.as_bytes());
        self.fields
            .iter()
            .filter(wanted)
            .map(|(_, value)| value.trim_ascii())
    }

    /// The value of a field, its lines joined by commas; empty without one.
    #[must_use]
    pub fn field(&self, name: &str) -> Vec<u8> {
        let mut lines = self.lines(name);
        let mut value = lines.next().unwrap_or_default().to_vec();
        for line in lines {
            value.push(b',');
            value.extend_from_slice(line);
        }
        value
    }
}
