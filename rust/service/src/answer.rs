//! Answers: heads and bodies, as `answers.py` has them.
//!
//! Sources: draft-ietf-httpapi-ratelimit-headers-11, RFC 9110 (Retry-After), RFC 9457 (problem+json).

use std::fmt;
use std::io::Write;
use std::sync::atomic::Ordering;

use crate::limits::{Decision, Limits, seconds_of};
use crate::metrics::REFUSED;

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
            let seconds = seconds_of(longest.unwrap_or(0));
            let (names, texts) = served.denying(answers);
            status_line(out, limits.status, ending);
            served.write_fields(out, answers);
            let detail = match texts.is_empty() {
                true => format_args!("a former limit is still in force"),
                false => format_args!("at most {texts}"),
            };
            let detail = format_args!("{detail}; try again in {seconds} s");
            let body = problem(&QUOTA_EXCEEDED, limits.status, detail, &names);
            refusal(out, &body, Some(seconds), ending);
        }
        Decision::Full(seconds) => {
            let detail = "the limiter has no room for another client";
            reduced(out, detail, *seconds, ending);
        }
        Decision::Failed => reduced(out, "the limiter's storage failed", 1, ending),
        Decision::TooLong => refused(out, 400, "the key is longer than 4 KiB", ending),
    }
}

/// Writes that nobody could decide, which is not the client's fault.
pub fn reduced(out: &mut Vec<u8>, reason: &str, seconds: u64, ending: Ending) {
    let detail = format_args!("{reason}; try again in {seconds} s");
    status_line(out, 503, ending);
    let body = problem(&REDUCED_CAPACITY, 503, detail, &[]);
    refusal(out, &body, Some(seconds), ending);
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
    let body = problem(&kind, status, format_args!("{detail}"), &[]);
    refusal(out, &body, None, ending);
}

/// Writes a text for those who run the service.
pub fn text(out: &mut Vec<u8>, status: u16, text: &str, ending: Ending) {
    status_line(out, status, ending);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    let length = text.len();
    put(
        out,
        format_args!("Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"),
    );
    if !ending.bodiless {
        out.extend_from_slice(text.as_bytes());
    }
}

fn status_line(out: &mut Vec<u8>, status: u16, ending: Ending) {
    put(
        out,
        format_args!("HTTP/1.1 {status} {}\r\n", phrase(status)),
    );
    if !ending.keeps_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    }
}

fn refusal(out: &mut Vec<u8>, body: &[u8], seconds: Option<u64>, ending: Ending) {
    let length = body.len();
    put(
        out,
        format_args!(
            "Content-Type: application/problem+json\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n"
        ),
    );
    if let Some(seconds) = seconds {
        put(out, format_args!("Retry-After: {seconds}\r\n"));
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

fn problem(kind: &Kind, status: u16, detail: fmt::Arguments<'_>, violated: &[&str]) -> Vec<u8> {
    let mut body = Vec::with_capacity(256);
    match kind.slug {
        Some(slug) => put(&mut body, format_args!("{{\"type\": \"{PROBLEMS}{slug}\"")),
        None => body.extend_from_slice(b"{\"type\": \"about:blank\""),
    }
    let title = kind.title;
    let rest =
        format_args!(", \"title\": \"{title}\", \"status\": {status}, \"detail\": \"{detail}\"");
    put(&mut body, rest);
    if kind.slug.is_some() {
        body.extend_from_slice(b", \"violated-policies\": [");
        for (number, name) in violated.iter().enumerate() {
            let before = if number == 0 { "" } else { ", " };
            put(&mut body, format_args!("{before}\"{name}\""));
        }
        body.push(b']');
    }
    body.extend_from_slice(b"}\n");
    body
}

fn put(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    // Writing to a vector cannot fail.
    let _ = out.write_fmt(text);
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
        503 => "Service Unavailable",
        _ => "Limited",
    }
}
