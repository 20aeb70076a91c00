//! A request as far as a key may ask for it, and its bytes on the wire.

use std::mem::MaybeUninit;
use std::net::Ipv6Addr;

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

impl Refused {
    /// The answer to a part of a head that has not the form that it should have.
    fn malformed(part: &str, value: &[u8], form: &str) -> Self {
        Self(400, format!("{part} is {} ({form})", quoted(value)))
    }
}

/// The part of a head in which the parser found a mistake.
#[cold]
fn mistake(head: &[u8], error: httparse::Error) -> Refused {
    let lines = head.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut lines = lines.skip_while(|line| line.is_empty());
    let first = lines.next().unwrap_or_default();
    let mut words = first.splitn(3, |byte| *byte == b' ');
    let [method, target, version] = [(); 3].map(|()| words.next().unwrap_or_default());
    let mut fields = lines.clone().map(|line| {
        let colon = line.iter().position(|byte| *byte == b':');
        line.split_at(colon.unwrap_or(line.len()))
    });
    let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    match error {
        httparse::Error::Version => {
            Refused::malformed("the version", version, "HTTP/1.1 or HTTP/1.0")
        }
        httparse::Error::HeaderName => {
            let (name, _) = fields
                .find(|(name, value)| !is_token(name) || value.is_empty())
                .unwrap_or_default();
            Refused::malformed(
                "the name of a field",
                name,
                "a token, and a colon behind it",
            )
        }
        httparse::Error::HeaderValue => {
            let (name, value) = fields
                .find(|(_, value)| value.iter().any(is_control))
                .unwrap_or_default();
            let value = value.get(1..).unwrap_or_default().trim_ascii_start();
            Refused::malformed(&quoted(name), value, "without control bytes")
        }
        httparse::Error::Token if !is_token(method) => {
            Refused::malformed("the method", method, "a token such as GET")
        }
        httparse::Error::Token => Refused::malformed(
            "the target",
            target,
            "a path such as /check/NAME, and behind it a version",
        ),
        _ => match lines.find(|line| line.starts_with(b"\r")) {
            Some(line) => Refused::malformed("a line", line, "a field, or CRLF alone"),
            None => Refused::malformed("the first line", first, "METHOD TARGET HTTP/1.1"),
        },
    }
}

/// A head of a later minor version of HTTP/1 as one of HTTP/1.1: so it is to be read (RFC 9110, 2.5).
#[cold]
pub fn as_http_1_1(bytes: &[u8]) -> Option<Vec<u8>> {
    let blank = bytes.iter().take_while(|byte| b"\r\n".contains(byte));
    let begin = blank.count();
    let line = bytes[begin..].split(|byte| *byte == b'\n').next()?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let [before @ .., b'2'..=b'9'] = line else {
        return None;
    };
    let words = before.strip_suffix(b" HTTP/1.")?;
    if words.iter().filter(|byte| **byte == b' ').count() != 1 {
        return None;
    }
    let mut same = bytes[..bytes.len().min(MOST_HEAD + 1)].to_vec();
    *same.get_mut(begin + before.len())? = b'1';
    Some(same)
}

/// True if it is a token (RFC 9110, 5.6.2).
pub fn is_token(word: &[u8]) -> bool {
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !word.is_empty() && word.iter().all(known)
}

/// True if it is the name or the address of a host, or empty, perhaps with a port (RFC 9112, 3.2; RFC 3986, 3.2.2).
fn is_host(value: &[u8]) -> bool {
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
    let (host, rest) = match value {
        [b'[', inner @ ..] => {
            let end = inner.iter().position(|byte| *byte == b']');
            let (inner, rest) = inner.split_at(end.unwrap_or_default());
            let address = inner.split(|byte| *byte == b'%').next().unwrap_or_default();
            if !is_ipv6(address) && !address.starts_with(b"v") {
                return false;
            }
            (inner, &rest[1..])
        }
        _ => {
            let end = value.iter().position(|byte| *byte == b':');
            value.split_at(end.unwrap_or(value.len()))
        }
    };
    let port = rest.strip_prefix(b":").unwrap_or(rest);
    let ends = port.len() < rest.len() || rest.is_empty();
    let in_brackets = |byte: &u8| *byte == b':' && value.starts_with(b"[");
    let escapes = |rest: &[u8]| rest.len() > 1 && rest[..2].iter().all(u8::is_ascii_hexdigit);
    ends && host.iter().all(|byte| known(byte) || in_brackets(byte))
        && host.split(|byte| *byte == b'%').skip(1).all(escapes)
        && is_port(port)
}

fn is_ipv6(text: &[u8]) -> bool {
    let text = std::str::from_utf8(text).unwrap_or_default();
    text.parse::<Ipv6Addr>().is_ok()
}

/// True if it is the number of a port, or empty.
fn is_port(digits: &[u8]) -> bool {
    let more = |number: u32, byte: &u8| {
        let digit = char::from(*byte).to_digit(10)?;
        Some(10 * number + digit).filter(|number| *number <= 65_535)
    };
    digits.iter().try_fold(0, more).is_some()
}

/// Takes the value of a field that stands in a head once.
fn once<'a>(known: &mut Option<&'a [u8]>, name: &str, value: &'a [u8]) -> Result<(), Refused> {
    match known.replace(value) {
        None => Ok(()),
        Some(first) => {
            let (first, second) = (quoted(first), quoted(value));
            let detail = format!("{name} is {first} and {second}: more than one");
            Err(Refused(400, detail))
        }
    }
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
            Ok(_) => return Err(Refused(431, "the head is longer than 32 KiB".to_owned())),
            Err(httparse::Error::TooManyHeaders) => {
                let detail = format!("the head has more than {MOST_FIELDS} fields");
                return Err(Refused(431, detail));
            }
            Err(error) => return Err(mistake(bytes, error)),
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
        request.length += request.frame()?;
        Ok(Some(request))
    }

    /// Reads the fields that say whom it is for and where it ends; the bytes of the body.
    fn frame(&mut self) -> Result<u64, Refused> {
        if self.method == b"CONNECT" {
            let detail = "CONNECT asks for a tunnel, and there is none".to_owned();
            return Err(Refused(501, detail));
        }
        let (mut host, mut length) = (None, None);
        let (mut closes, mut keeps, mut waits) = (false, false, false);
        for &(name, value) in &self.fields {
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
            if is("host") {
                once(&mut host, "Host", value)?;
            } else if is("content-length") {
                once(&mut length, "Content-Length", value)?;
            } else if is("transfer-encoding") {
                let coding = quoted(value);
                let detail =
                    format!("Transfer-Encoding is {coding}: a body needs a Content-Length");
                return Err(Refused(411, detail));
            } else if is("expect") {
                // Whoever waits for a 100 may keep the body: none can be told from the next request.
                waits |= listed(value).any(|each| each.eq_ignore_ascii_case(b"100-continue"));
            } else if is("connection") {
                for option in listed(value) {
                    closes |= option.eq_ignore_ascii_case(b"close");
                    keeps |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
        }
        match host {
            None if self.keeps_alive => {
                return Err(Refused(400, "no Host, which HTTP/1.1 asks for".to_owned()));
            }
            Some(host) if !is_host(host) => {
                let form = "a name or an address, perhaps with a port";
                return Err(Refused::malformed("Host", host, form));
            }
            _ => {}
        }
        self.keeps_alive = !closes && (self.keeps_alive || keeps);
        let Some(length) = length else {
            return Ok(0);
        };
        self.keeps_alive &= !waits;
        let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(length).ok().filter(|_| digits);
        match number.map(|number| number.parse().unwrap_or(u64::MAX)) {
            None => Err(Refused::malformed(
                "Content-Length",
                length,
                "a whole number",
            )),
            Some(bytes) if bytes > MOST_BODY => Err(Refused(
                413,
                format!(
                    "Content-Length is {}, more than {MOST_BODY}",
                    quoted(length)
                ),
            )),
            Some(bytes) => Ok(bytes),
        }
    }

    /// The value of a field, its lines joined by commas, those of Cookie by semicolons (RFC 9113 8.2.3);
    /// empty without one.
    #[must_use]
    pub fn field(&self, name: &str) -> Vec<u8> {
        let between: &[u8] = match name.eq_ignore_ascii_case("cookie") {
            true => b"; ",
            false => b",",
        };
        let named = |(found, _): &&(&[u8], &[u8])| found.eq_ignore_ascii_case(name.as_bytes());
        let lines = self.fields.iter().filter(named);
        let values: Vec<&[u8]> = lines.map(|(_, value)| value.trim_ascii()).collect();
        values.join(between)
    }
}

/// The elements of a list.
fn listed(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The refusal of a request line and of fields behind it.
    fn refusal(lines: &[u8]) -> String {
        let head = [lines, b"\r\n\r\n"].concat();
        match Request::parse(&head) {
            Err(Refused(status, why)) => format!("{status} {why}"),
            Ok(_) => panic!("{} is a request", head.escape_ascii()),
        }
    }

    #[test]
    fn a_malformed_part_is_named_with_its_value_and_its_form() {
        for (lines, expected) in [
            (
                &b"\x16\x03\x01 / HTTP/1.1"[..],
                "400 the method is '\\x16\\x03\\x01' (a token",
            ),
            (
                b"G(T / HTTP/1.1",
                "400 the method is 'G(T' (a token such as GET)",
            ),
            (b"GET", "400 the target is '' (a path"),
            (
                b"GET /",
                "400 the target is '/' (a path such as /check/NAME, and behind it",
            ),
            (
                b"GET /a\x01b HTTP/1.1",
                "400 the target is '/a\\x01b' (a path",
            ),
            (b"GET /\xff HTTP/1.1", "400 the target is '/\\xff' (a path"),
            (b"GET  / HTTP/1.1", "400 the target is '' (a path"),
            (
                b"GET / HTTP/2.0",
                "400 the version is 'HTTP/2.0' (HTTP/1.1 or HTTP/1.0)",
            ),
            (b"GET / x HTTP/1.1", "400 the version is 'x HTTP/1.1'"),
            (
                b"GET / HTTP/1.1 ",
                "400 the first line is 'GET / HTTP/1.1 ' (METHOD",
            ),
            (
                b"GET / HTTP/1.1\r\nHost: x\r\n\rX: y",
                "400 a line is '\\rX: y' (a field, or CRLF alone)",
            ),
            (b"GET / HTTP/1.2", "400 the version is 'HTTP/1.2'"),
            (
                b"GET / HTTP/1.1\r\nHost: x\r\n Folded: y",
                "400 the name of a field is ' Folded'",
            ),
            (
                b"GET / HTTP/1.1\r\nHost : x",
                "400 the name of a field is 'Host ' (a token, and",
            ),
            (
                b"GET / HTTP/1.1\r\nHost\r\n",
                "400 the name of a field is 'Host' (a token, and",
            ),
            (b"GET / HTTP/1.1\r\n: x", "400 the name of a field is ''"),
            (
                b"GET / HTTP/1.1\r\nX: \ta\0b",
                "400 'X' is 'a\\x00b' (without control bytes)",
            ),
            (
                b"GET / HTTP/1.1\r\nX: a\rHost: b",
                "400 'X' is 'a\\rHost: b' (without control",
            ),
        ] {
            let found = refusal(lines);
            assert!(found.starts_with(expected), "{found}");
        }
        let long = [b"GET / HTTP/1.1\r\nX: \x01", &[b'y'; 9_000][..]].concat();
        assert!(refusal(&long).len() < 150);
    }

    #[test]
    fn a_request_of_http_1_1_names_one_host() {
        for host in [
            "x",
            "",
            "a.example:80",
            "127.0.0.1",
            "[::1]:8090",
            "[fe80::1%25eth0]",
            "a_b-c",
            "x:",
            "x:65535",
            "[v1.a:b]:0",
            "%41",
        ] {
            for head in [
                format!("GET / HTTP/1.1\r\nhOsT: {host}\r\n\r\n"),
                format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n"),
            ] {
                assert!(
                    matches!(Request::parse(head.as_bytes()), Ok(Some(_))),
                    "{head}"
                );
            }
        }
        assert!(matches!(
            Request::parse(b"GET / HTTP/1.0\r\n\r\n"),
            Ok(Some(_))
        ));
        assert_eq!(
            refusal(b"GET / HTTP/1.1"),
            "400 no Host, which HTTP/1.1 asks for"
        );
        assert_eq!(
            refusal(b"GET http://x/ HTTP/1.1"),
            "400 no Host, which HTTP/1.1 asks for"
        );
        for version in ["1.0", "1.1"] {
            let twice = format!("GET / HTTP/{version}\r\nHost: a\r\nX: y\r\nHOST: b");
            assert_eq!(
                refusal(twice.as_bytes()),
                "400 Host is 'a' and 'b': more than one"
            );
        }
        let hosts = "a b,a/b,a@b,a:b,::1,[::1,[],[::1]x,[::1]:x,a:80:80,\u{e9},a\"b,[%],[x],[::1%zz],\
                     [v1/a],%zz,a%4,x:65536,x:99999999999999999999";
        for host in hosts.split(',') {
            let head = format!("GET / HTTP/1.1\r\nHost: {host}");
            let expected = format!("400 Host is {} (a name", quoted(host.as_bytes()));
            assert!(refusal(head.as_bytes()).starts_with(&expected), "{host}");
        }
    }

    #[test]
    fn a_body_has_one_length_and_no_coding() {
        let length =
            |fields: &str| refusal(format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}").as_bytes());
        let twice = "400 Content-Length is '3' and '3': more than one";
        assert_eq!(length("Content-Length: 3\r\ncontent-length: 3"), twice);
        for told in ["+3", "-3", "0x3", "3, 3", "3 3", "", "\u{663}"] {
            let expected = format!("400 Content-Length is {} (a whole", quoted(told.as_bytes()));
            assert!(
                length(&format!("Content-Length: {told}")).starts_with(&expected),
                "{told}"
            );
        }
        assert!(length("Content-Length: 99999999999999999999").starts_with("413 "));
        for told in ["chunked", "identity", "", "\u{b}chunked"] {
            let found = length(&format!("Content-Length: 3\r\nTransfer-Encoding: {told}"));
            assert!(found.starts_with("4"), "{found}");
        }
    }
}
