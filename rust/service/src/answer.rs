//! What is answered: heads and bodies, as `answers.py` has them.
//!
//! Sources: draft-ietf-httpapi-ratelimit-headers-11, RFC 9110 (Retry-After), RFC 9457 (problem+json).

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
            let reason = match texts.is_empty() {
                true => "a former limit is still in force".to_owned(),
                false => format!("at most {texts}"),
            };
            status_line(out, limits.status, ending);
            served.write_fields(out, answers);
            let detail = format!("{reason}; try again in {seconds} s");
            let violated = format!("[\"{}\"]", names.join("\", \""));
            let violated = if names.is_empty() { "[]" } else { &violated };
            let body = problem("Quota Exceeded", limits.status, &detail, Some(violated));
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
fn reduced(out: &mut Vec<u8>, reason: &str, seconds: u64, ending: Ending) {
    let detail = format!("{reason}; try again in {seconds} s");
    status_line(out, 503, ending);
    let body = problem("Temporary Reduced Capacity", 503, &detail, Some("[]"));
    refusal(out, &body, Some(seconds), ending);
}

/// Writes that a request cannot be answered as asked.
pub fn refused(out: &mut Vec<u8>, status: u16, detail: &str, ending: Ending) {
    REFUSED.fetch_add(1, Ordering::Relaxed);
    status_line(out, status, ending);
    if status == 401 {
        out.extend_from_slice(b"WWW-Authenticate: Bearer\r\n");
    }
    refusal(
        out,
        &problem(phrase(status), status, detail, None),
        None,
        ending,
    );
}

/// Writes a text for those who run the service.
pub fn text(out: &mut Vec<u8>, status: u16, text: &str, ending: Ending) {
    status_line(out, status, ending);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    let length = text.len();
    let head = format!("Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    out.extend_from_slice(head.as_bytes());
    if !ending.bodiless {
        out.extend_from_slice(text.as_bytes());
    }
}

fn status_line(out: &mut Vec<u8>, status: u16, ending: Ending) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(phrase(status).as_bytes());
    out.extend_from_slice(b"\r\n");
    if !ending.keeps_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    }
}

fn refusal(out: &mut Vec<u8>, body: &str, seconds: Option<u64>, ending: Ending) {
    let length = body.len();
    let head = format!(
        "Content-Type: application/problem+json\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n"
    );
    out.extend_from_slice(head.as_bytes());
    if let Some(seconds) = seconds {
        out.extend_from_slice(format!("Retry-After: {seconds}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    if !ending.bodiless {
        out.extend_from_slice(body.as_bytes());
    }
}

fn problem(title: &str, status: u16, detail: &str, violated: Option<&str>) -> String {
    let kind = match violated {
        Some(_) => format!("{PROBLEMS}{}", title.to_ascii_lowercase().replace(' ', "-")),
        None => "about:blank".to_owned(),
    };
    let policies = violated.map(|names| format!(", \"violated-policies\": {names}"));
    format!(
        "{{\"type\": \"{kind}\", \"title\": \"{title}\", \"status\": {status}, \"detail\": \"{detail}\"{}}}\n",
        policies.unwrap_or_default()
    )
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
