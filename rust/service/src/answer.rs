//! Answers: heads and bodies, as `answers.py` has them.
//!
//! Sources: draft-ietf-httpapi-ratelimit-headers-11, RFC 9110 (Retry-After), RFC 9457 (problem+json).

use std::sync::atomic::Ordering;

use http::StatusCode;
use rateproof_enforce::Ruling;

use crate::limits::{Limits, Served};
use crate::metrics::REFUSED;
use crate::pieces::put;
use crate::tables::{Fault, seconds_of};
use crate::visible::json;

/// Kinds of problems, and their titles; one that is not among these says no more than the status.
const QUOTA_EXCEEDED: (&str, &str) = (
    "https://iana.org/assignments/http-problem-types#quota-exceeded",
    "Quota Exceeded",
);
const REDUCED_CAPACITY: (&str, &str) = (
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
    "Temporary Reduced Capacity",
);

/// The rest of a connection: what a head says of it.
#[derive(Clone, Copy)]
pub struct Ending {
    pub keeps_alive: bool,
    /// The answer to HEAD has no body.
    pub bodiless: bool,
}

/// Writes the answer to a request about a limit.
pub fn decided(
    out: &mut Vec<u8>,
    limits: &Limits,
    served: &Served,
    decision: Result<Ruling, Fault>,
    ending: Ending,
) {
    match decision {
        Ok((true, answers)) => {
            status_line(out, 200, ending);
            served.write_fields(out, &answers);
            put!(out, "Content-Length: 0\r\n\r\n");
        }
        Ok((false, answers)) => {
            let longest = answers.iter().map(|answer| answer.retry_after_ns).max();
            let seconds = seconds_of(longest.unwrap_or(0));
            status_line(out, limits.status, ending);
            served.write_fields(out, &answers);
            let mut body = problem(QUOTA_EXCEEDED, limits.status);
            let denying = || served.denying(&answers);
            if denying().next().is_none() {
                put!(&mut body, "a former limit is still in force");
            }
            for (number, (_, text)) in denying().enumerate() {
                let before = if number == 0 { "at most " } else { " and " };
                put!(&mut body, before, text);
            }
            put!(&mut body, "; try again in ", seconds, " s");
            violated(&mut body, denying().map(|(name, _)| name));
            refusal(out, body, Some(seconds), ending);
        }
        Err(Fault::Full(seconds)) => {
            let detail = "the limiter has no room for another client";
            reduced(out, detail, seconds, ending);
        }
        Err(Fault::Failed) => reduced(out, "the limiter's storage failed", 1, ending),
        Err(Fault::Asked(reason)) => refused(out, 400, &reason, ending),
    }
}

/// Writes that nobody could decide, which is not the client's fault.
pub fn reduced(out: &mut Vec<u8>, reason: &str, seconds: u64, ending: Ending) {
    status_line(out, 503, ending);
    let mut body = problem(REDUCED_CAPACITY, 503);
    put!(&mut body, reason, "; try again in ", seconds, " s");
    violated(&mut body, []);
    refusal(out, body, Some(seconds), ending);
}

/// Writes that a request cannot be answered as asked.
pub fn refused(out: &mut Vec<u8>, status: u16, detail: &str, ending: Ending) {
    REFUSED.fetch_add(1, Ordering::Relaxed);
    status_line(out, status, ending);
    if status == 401 {
        put!(out, "WWW-Authenticate: Bearer\r\n");
    }
    let mut body = problem(("about:blank", phrase(status)), status);
    put!(&mut body, &json(detail)[..], "\"");
    refusal(out, body, None, ending);
}

/// Writes a text for those who run the service.
pub fn text(out: &mut Vec<u8>, status: u16, text: &str, ending: Ending) {
    status_line(out, status, ending);
    let kind = "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: ";
    put!(out, kind, text.len() as u64, "\r\n\r\n");
    if !ending.bodiless {
        put!(out, text);
    }
}

fn status_line(out: &mut Vec<u8>, status: u16, ending: Ending) {
    let phrase = phrase(status);
    put!(out, "HTTP/1.1 ", u64::from(status), " ", phrase, "\r\n");
    if !ending.keeps_alive {
        put!(out, "Connection: close\r\n");
    }
}

/// Ends the body, and writes the rest of the answer.
fn refusal(out: &mut Vec<u8>, mut body: Vec<u8>, seconds: Option<u64>, ending: Ending) {
    put!(&mut body, "}\n");
    let kind = "Content-Type: application/problem+json\r\nContent-Length: ";
    let cache = "\r\nCache-Control: no-store\r\n";
    put!(out, kind, body.len() as u64, cache);
    if let Some(seconds) = seconds {
        put!(out, "Retry-After: ", seconds, "\r\n");
    }
    put!(out, "\r\n");
    if !ending.bodiless {
        out.extend_from_slice(&body);
    }
}

/// The body up to its detail; what stands there as it is, names of limits and policies, needs no escapes.
fn problem((kind, title): (&str, &str), status: u16) -> Vec<u8> {
    let mut body = Vec::with_capacity(512);
    put!(&mut body, "{\"type\": \"", kind, "\", \"title\": \"", title);
    let status = u64::from(status);
    put!(&mut body, "\", \"status\": ", status, ", \"detail\": \"");
    body
}

/// Ends the detail, and names the policies that denied.
fn violated<'a>(body: &mut Vec<u8>, names: impl IntoIterator<Item = &'a str>) {
    put!(body, "\", \"violated-policies\": [");
    for (number, name) in names.into_iter().enumerate() {
        let before = if number == 0 { "\"" } else { ", \"" };
        put!(body, before, name, "\"");
    }
    put!(body, "]");
}

fn phrase(status: u16) -> &'static str {
    let known = StatusCode::from_u16(status).ok();
    let phrase = known.and_then(|status| status.canonical_reason());
    phrase.unwrap_or("Limited")
}
