//! Answers: heads and bodies, as `answers.py` has them.
//!
//! Sources: draft-ietf-httpapi-ratelimit-headers-11, RFC 9110 (Retry-After), RFC 9457 (problem+json).

use std::sync::atomic::Ordering;

use crate::decimal::{Decimal, put};
use crate::limits::{Decision, Limits, seconds_of};
use crate::metrics::REFUSED;
use crate::visible::json;

const PROBLEMS: &str = "https://iana.org/assignments/http-problem-types#";

/// The rest of a connection: what a head says of it.
#[derive(Clone, Copy)]
pub struct Ending {
    pub keeps_alive: bool,
    /// The answer to HEAD has no body.
    pub bodiless: bool,
}

/// Writes the answer to a decision.
pub fn decided(out: &mut Vec<u8>, limits: &Limits, decision: &Decision<'_>, ending: Ending) {
    match decision {
        Decision::Admitted(served, answers) => {
            status_line(out, 200, ending);
            served.write_fields(out, answers);
            out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        }
        Decision::Denied(served, answers) => {
            let longest = answers.iter().map(|answer| answer.retry_after_ns).max();
            let seconds = Decimal::of(seconds_of(longest.unwrap_or(0)));
            status_line(out, limits.status, ending);
            served.write_fields(out, answers);
            let denying = || served.denying(answers);
            let before = if denying().next().is_some() {
                "at most "
            } else {
                "a former limit is still in force"
            };
            let texts = denying().enumerate().flat_map(|(number, (_, text))| {
                let before = if number == 0 { "" } else { " and " };
                [before, text]
            });
            let after = ["; try again in ", seconds.text(), " s"];
            let detail = [before].into_iter().chain(texts).chain(after);
            let names = denying().map(|(name, _)| name);
            let body = problem(&QUOTA_EXCEEDED, limits.status, detail, names);
            refusal(out, &body, Some(seconds.text()), ending);
        }
        Decision::Full(seconds) => {
            let detail = "the limiter has no room for another client";
            reduced(out, detail, *seconds, ending);
        }
        Decision::Failed => reduced(out, "the limiter's storage failed", 1, ending),
        Decision::TooLong(reason) => refused(out, 400, reason, ending),
    }
}

/// Writes that nobody could decide, which is not the client's fault.
pub fn reduced(out: &mut Vec<u8>, reason: &str, seconds: u64, ending: Ending) {
    let seconds = Decimal::of(seconds);
    let detail = [reason, "; try again in ", seconds.text(), " s"];
    status_line(out, 503, ending);
    let body = problem(&REDUCED_CAPACITY, 503, detail, []);
    refusal(out, &body, Some(seconds.text()), ending);
}

/// Writes that a request cannot be answered as asked.
pub fn refused(out: &mut Vec<u8>, status: u16, detail: &str, ending: Ending) {
    REFUSED.fetch_add(1, Ordering::Relaxed);
    status_line(out, status, ending);
    if status == 401 {
        out.extend_from_slice(b"WWW-Authenticate: Bearer\r\n");
    }
    let kind = Kind {
        slug: None,
        title: phrase(status),
    };
    let body = problem(&kind, status, [&json(detail)[..]], []);
    refusal(out, &body, None, ending);
}

/// Writes a text for those who run the service.
pub fn text(out: &mut Vec<u8>, status: u16, text: &str, ending: Ending) {
    status_line(out, status, ending);
    let kind = "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: ";
    put(
        out,
        &[kind, Decimal::of(text.len() as u64).text(), "\r\n\r\n"],
    );
    if !ending.bodiless {
        out.extend_from_slice(text.as_bytes());
    }
}

fn status_line(out: &mut Vec<u8>, status: u16, ending: Ending) {
    let number = Decimal::of(status.into());
    put(
        out,
        &["HTTP/1.1 ", number.text(), " ", phrase(status), "\r\n"],
    );
    if !ending.keeps_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    }
}

fn refusal(out: &mut Vec<u8>, body: &[u8], seconds: Option<&str>, ending: Ending) {
    let length = Decimal::of(body.len() as u64);
    let kind = "Content-Type: application/problem+json\r\nContent-Length: ";
    put(
        out,
        &[kind, length.text(), "\r\nCache-Control: no-store\r\n"],
    );
    if let Some(seconds) = seconds {
        put(out, &["Retry-After: ", seconds, "\r\n"]);
    }
    out.extend_from_slice(b"\r\n");
    if !ending.bodiless {
        out.extend_from_slice(body);
    }
}

/// A kind of problem; without a slug it says no more than the status.
struct Kind {
    slug: Option<&'static str>,
    title: &'static str,
}

const QUOTA_EXCEEDED: Kind = Kind {
    slug: Some("quota-exceeded"),
    title: "Quota Exceeded",
};
const REDUCED_CAPACITY: Kind = Kind {
    slug: Some("temporary-reduced-capacity"),
    title: "Temporary Reduced Capacity",
};

/// The body; what it is given stands in it as it is: names of limits and policies need no escapes.
fn problem<'a>(
    kind: &Kind,
    status: u16,
    detail: impl IntoIterator<Item = &'a str>,
    violated: impl IntoIterator<Item = &'a str>,
) -> Vec<u8> {
    let mut body = Vec::with_capacity(512);
    let status = Decimal::of(status.into());
    match kind.slug {
        Some(slug) => put(&mut body, &["{\"type\": \"", PROBLEMS, slug]),
        None => body.extend_from_slice(b"{\"type\": \"about:blank"),
    }
    let title = [
        "\", \"title\": \"",
        kind.title,
        "\", \"status\": ",
        status.text(),
    ];
    put(&mut body, &title);
    body.extend_from_slice(b", \"detail\": \"");
    for piece in detail {
        body.extend_from_slice(piece.as_bytes());
    }
    body.push(b'"');
    if kind.slug.is_some() {
        body.extend_from_slice(b", \"violated-policies\": [");
        for (number, name) in violated.into_iter().enumerate() {
            let before = if number == 0 { "\"" } else { ", \"" };
            put(&mut body, &[before, name, "\""]);
        }
        body.push(b']');
    }
    body.extend_from_slice(b"}\n");
    body
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        411 => "Length Required",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Limited",
    }
}
