//! The answer parser of the load engine, as tests hold it against `http.client`.

use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::prelude::*;
use rateproof_simulate::http::{Fault, Parser, fields};

type Parsed = (
    Option<&'static str>,
    Option<u16>,
    u64,
    Option<f64>,
    Option<i64>,
    Option<f64>,
    bool,
    bool,
    u32,
);

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(parse_response, module)?)?;
    module.add_function(wrap_pyfunction!(parse_retry_after, module)?)?;
    module.add_function(wrap_pyfunction!(parse_ratelimit, module)?)
}

/// What becomes of an answer that arrives in these pieces, and is then closed where `ended`.
///
/// The fault, the status, the body's length, Retry-After, `r` and `t` of RateLimit, whether it
/// is complete, whether the connection is reusable, and how many status lines have begun.
#[pyfunction]
fn parse_response(chunks: Vec<Vec<u8>>, head: bool, ended: bool) -> Parsed {
    let mut parser = Parser::new();
    parser.begin(head);
    let mut fed = Ok(false);
    for chunk in &chunks {
        fed = parser.feed(chunk);
    }
    if ended {
        fed = parser.end().map(|()| true);
    }
    let reply = parser.reply();
    let known = |seconds: f64| Some(seconds).filter(|seconds| !seconds.is_nan());
    (
        fed.err().map(|fault| match fault {
            Fault::Protocol => "protocol",
            Fault::Closed => "closed",
            Fault::Oversized => "oversized",
        }),
        reply.map(|reply| reply.status),
        reply.map_or(0, |reply| reply.bytes),
        reply.and_then(|reply| known(reply.retry_after_s)),
        reply
            .map(|reply| reply.ratelimit_remaining)
            .filter(|&remaining| remaining != i64::MIN),
        reply.and_then(|reply| known(reply.ratelimit_reset_s)),
        fed == Ok(true),
        parser.reusable(),
        parser.starts(),
    )
}

/// The twin of `rateproof.simulate.transports.headers.parse_retry_after`.
#[pyfunction]
#[pyo3(signature = (value, date=None))]
fn parse_retry_after(value: &[u8], date: Option<&[u8]>) -> Option<f64> {
    let now_s = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |now| now.as_secs_f64())
    };
    fields::parse_retry_after(value, date, now_s)
}

/// The twin of `rateproof.simulate.transports.headers.parse_ratelimit`.
#[pyfunction]
fn parse_ratelimit(value: &[u8]) -> (Option<i64>, Option<f64>) {
    fields::parse_ratelimit(value)
}
