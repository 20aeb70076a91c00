//! Status line and fields, and what they say of the body and the connection.

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::time::{SystemTime, UNIX_EPOCH};

use httparse::{Error, Header, ParserConfig, Response, Status};

use super::fields::{parse_ratelimit, parse_retry_after};
use super::{Fault, Reply};

/// Of status line and fields together, in bytes.
pub const MAX_HEAD: usize = 1 << 16;
/// As many as Python's http.client takes.
const MAX_FIELDS: usize = 100;

/// The ways in which a body ends.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    Sized(u64),
    Chunked,
    UntilClose,
}

/// A final head.
#[derive(Debug)]
pub struct Head {
    pub reply: Reply,
    pub body: Body,
    /// Both sides keep the connection once the answer is complete.
    pub persistent: bool,
}

/// Reads the head that `seen` begins with, and how long it is; None for an interim one.
///
/// `head`: the request was HEAD. None where more bytes are needed.
pub fn read_head(seen: &[u8], head: bool) -> Result<Option<(Option<Head>, usize)>, Fault> {
    let mut fields = [const { MaybeUninit::<Header>::uninit() }; MAX_FIELDS];
    let mut response = Response::new(&mut []);
    let mut config = ParserConfig::default();
    // A user agent reads folded lines as spaces: RFC 9112, section 5.2.
    config.allow_obsolete_multiline_headers_in_responses(true);
    let length = match config.parse_response_with_uninit_headers(&mut response, seen, &mut fields) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(Error::TooManyHeaders) => return Err(Fault::Oversized),
        Err(_) => return Err(Fault::Protocol),
    };
    let status = response.code.filter(|&code| code >= 100);
    let status = status.ok_or(Fault::Protocol)?;
    if status < 200 && status != 101 {
        return Ok(Some((None, length)));
    }
    let mut known = Known::default();
    for field in response.headers.iter() {
        known.note(field.name, field.value)?;
    }
    Ok(Some((
        Some(known.head(status, response.version == Some(0), head)?),
        length,
    )))
}

/// The fields that matter, as far as they have been read.
#[derive(Default)]
struct Known<'a> {
    length: Option<Result<u64, Fault>>,
    coded: bool,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    date: Option<Cow<'a, [u8]>>,
    retry_after: Option<Cow<'a, [u8]>>,
    ratelimit: Option<Cow<'a, [u8]>>,
}

impl<'a> Known<'a> {
    fn note(&mut self, name: &str, value: &'a [u8]) -> Result<(), Fault> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.len() {
            4 if is("Date") => join(&mut self.date, value),
            9 if is("RateLimit") => join(&mut self.ratelimit, value),
            10 if is("Connection") => {
                for option in elements(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            11 if is("Retry-After") => join(&mut self.retry_after, value),
            14 if is("Content-Length") => {
                for length in elements(value).map(whole) {
                    self.length = Some(match (&self.length, length) {
                        (None, Some(length)) => Ok(length),
                        (Some(Ok(before)), Some(length)) if *before == length => Ok(length),
                        _ => Err(Fault::Protocol),
                    });
                }
            }
            17 if is("Transfer-Encoding") => return self.note_codings(value),
            _ => {}
        }
        Ok(())
    }

    fn note_codings(&mut self, value: &[u8]) -> Result<(), Fault> {
        for coding in elements(value) {
            // Of RFC 2616, and still sent: it says nothing.
            if coding.is_empty() || coding.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            let chunked = coding.eq_ignore_ascii_case(b"chunked");
            if chunked && self.chunked {
                return Err(Fault::Protocol);
            }
            self.coded = true;
            self.chunked = chunked;
        }
        Ok(())
    }

    fn head(self, status: u16, old: bool, head: bool) -> Result<Head, Fault> {
        let body = if head || matches!(status, 101 | 204 | 304) {
            Body::Sized(0)
        } else if self.chunked {
            Body::Chunked
        } else if self.coded {
            Body::UntilClose
        } else {
            self.length
                .transpose()?
                .map_or(Body::UntilClose, Body::Sized)
        };
        let doubtful = self.coded && (old || self.length.is_some());
        let kept = !self.close && (self.keep_alive || !old);
        let persistent = kept && !doubtful && status != 101 && body != Body::UntilClose;
        let now_s = || {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0.0, |d| d.as_secs_f64())
        };
        let retry_after_s = (self.retry_after)
            .and_then(|value| parse_retry_after(&value, self.date.as_deref(), now_s));
        let (remaining, reset_s) = self
            .ratelimit
            .map_or((None, None), |value| parse_ratelimit(&value));
        let reply = Reply {
            status,
            bytes: 0,
            retry_after_s: retry_after_s.unwrap_or(f64::NAN),
            ratelimit_remaining: remaining.unwrap_or(i64::MIN),
            ratelimit_reset_s: reset_s.unwrap_or(f64::NAN),
        };
        Ok(Head {
            reply,
            body,
            persistent,
        })
    }
}

/// Several fields of one name are one: RFC 9110, section 5.3.
fn join<'a>(field: &mut Option<Cow<'a, [u8]>>, value: &'a [u8]) {
    match field {
        None => *field = Some(Cow::Borrowed(value)),
        Some(before) => {
            let whole = before.to_mut();
            whole.extend_from_slice(b", ");
            whole.extend_from_slice(value);
        }
    }
}

fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// Digits and nothing else; what is too large for 64 bits is larger than any bound.
fn whole(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        byte.is_ascii_digit().then(|| {
            number
                .saturating_mul(10)
                .saturating_add(u64::from(byte - b'0'))
        })
    })
}
