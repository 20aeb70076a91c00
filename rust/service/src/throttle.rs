//! Commands that decide.
//!
//! `CL.THROTTLE` is that of redis-cell (github.com/brandur/redis-cell): arguments and answer. Each
//! burst, count and period is a table of its own, exact to the nanosecond.

use rateproof_enforce::{Algorithm, Answer, Answers, Error, ErrorKind, Quota, Ruling};

use crate::command::{Desk, Done};
use crate::frame::{Words, integer};
use crate::key::{MOST_KEY, too_long};
use crate::limits::seconds_of;
use crate::policy::Policy;
use crate::reply::Reply;
use crate::session::Session;
use crate::tables::Tables;
use crate::visible::quoted;

const SECOND_NS: u64 = 1_000_000_000;

pub fn throttle(
    _: &mut Session,
    desk: &mut Desk,
    words: &Words<'_>,
    reply: &mut Reply<'_>,
) -> Done {
    let quantity = words.get(5);
    let quantity = quantity.map_or(Ok(1), |word| whole("quantity", word))?;
    let key = key_of(words)?;
    // No text of a policy: those are UTF-8.
    let figures: [&[u8]; 6] = [b"\xff", &words[2], b" ", &words[3], b" ", &words[4]];
    let tables = desk.known.tables(&figures, || {
        let burst = whole("max_burst", &words[2])?;
        let count = whole("count", &words[3])?;
        let period = whole("period", &words[4])?;
        if count == 0 || period == 0 {
            let error = "ERR Zero rates are not supported";
            return Err(format!("{error}: count is {count}, period is {period}"));
        }
        let window_ns = period.saturating_mul(SECOND_NS);
        let quota = Quota {
            burst: burst.saturating_add(1),
            ..Quota::new(Algorithm::TOKEN_BUCKET, count, window_ns)
        };
        let told = |error| format!("ERR {error} in CL.THROTTLE KEY {burst} {count} {period}");
        let checked = quota.check().map_err(told);
        checked.map(|()| vec![quota])
    })?;
    let burst = tables.burst();
    // Nothing, or more than there ever is, is no reason to take anything.
    let asked = (1..=burst).contains(&quantity);
    let call = if asked { Tables::hit } else { Tables::peek };
    let (admitted, answers) = ruled(call(tables, key, if asked { quantity } else { 1 }), false)?;
    let Some(answer) = answers.first() else {
        return Err("ERR no quota".to_owned());
    };
    let limited = match asked {
        true => !admitted,
        false => quantity > 0,
    };
    let wait = if limited && asked {
        seconds_of_cell(answer.retry_after_ns).max(1)
    } else {
        -1
    };
    reply.integers(&[
        i64::from(limited),
        burst as i64,
        answer.remaining as i64,
        wait,
        seconds_of_cell(answer.reset_after_ns),
    ]);
    Ok(())
}

/// Seconds as redis-cell rounds them: up, from a thousandth on.
fn seconds_of_cell(wait_ns: u64) -> i64 {
    let (seconds, rest) = (wait_ns / SECOND_NS, wait_ns % SECOND_NS);
    (seconds + u64::from(rest >= SECOND_NS / 1_000)) as i64
}

/// RP.HIT and RP.PEEK: limited or not, the most at once, what is left, and in milliseconds until the same
/// passes (-1: it did) and until all is free.
pub fn decide(
    desk: &mut Desk,
    words: &Words<'_>,
    reply: &mut Reply<'_>,
    call: impl FnOnce(&Tables, &[u8], u64) -> Result<Option<Ruling>, Error>,
) -> Done {
    let key = key_of(words)?;
    let cost = words.get(3);
    let cost = cost.map(|word| whole("cost", word)).transpose()?;
    let (tables, usual, shadow) = promised(desk, &words[2])?;
    let (admitted, answers) = ruled(call(tables, key, cost.unwrap_or(usual)), shadow)?;
    let passes = admitted || shadow;
    let millis = |wait_ns: Option<u64>| wait_ns.unwrap_or_default().div_ceil(1_000_000) as i64;
    let left = answers.iter().map(|answer| answer.remaining).min();
    let wait = millis(answers.iter().map(|answer| answer.retry_after_ns).max());
    reply.integers(&[
        i64::from(!passes),
        tables.burst() as i64,
        left.unwrap_or_default() as i64,
        if passes { -1 } else { wait },
        millis(answers.iter().map(|answer| answer.reset_after_ns).max()),
    ]);
    Ok(())
}

pub fn reset(_: &mut Session, desk: &mut Desk, words: &Words<'_>, reply: &mut Reply<'_>) -> Done {
    let key = key_of(words)?;
    let (tables, _, _) = promised(desk, &words[2])?;
    match tables.reset(key).map_err(|error| failed(&error))? {
        true => reply.simple("OK"),
        false => return Err("ERR the table is locked by another process".to_owned()),
    }
    Ok(())
}

/// The tables of a limit's name or a policy's text, what a request costs, and shadow mode.
fn promised<'a>(desk: &'a mut Desk, word: &[u8]) -> Result<(&'a Tables, u64, bool), String> {
    let text = std::str::from_utf8(word);
    let text = text.map_err(|_| {
        let shown = quoted(word);
        format!("ERR {shown} is not UTF-8, as a limit's name or a policy is")
    })?;
    if let Some(served) = desk.limits.by_name.get(text) {
        return Ok((&served.tables, served.cost, served.shadow));
    }
    let tables = desk.known.tables(&[word], || {
        let policy = Policy::parse(text).map_err(|error| {
            let names = desk.limits.names();
            format!("ERR no limit of that name ({names}): {error}")
        })?;
        Ok(policy.quotas)
    })?;
    Ok((tables, 1, false))
}

fn key_of<'a>(words: &'a Words<'_>) -> Result<&'a [u8], String> {
    match &words[1] {
        key if key.len() > MOST_KEY => Err(format!("ERR {}", too_long("the key", key))),
        key => Ok(key),
    }
}

/// A number that is not negative.
fn whole(name: &str, word: &[u8]) -> Result<u64, String> {
    let wrong = |error| format!("ERR {error}: {name} is {}", quoted(word));
    let number = integer(word).ok_or_else(|| wrong("value is not an integer or out of range"))?;
    u64::try_from(number).map_err(|_| wrong("value is out of range, must be positive"))
}

/// The ruling of the tables, if they could count the key, or need not.
fn ruled(ruling: Result<Option<Ruling>, Error>, shadow: bool) -> Result<Ruling, String> {
    let busy = || (false, Answers::from_elem(Answer::busy(), 1));
    let ruling = ruling.map_err(|error| failed(&error))?;
    let (admitted, answers) = ruling.unwrap_or_else(busy);
    let full = answers.iter().filter(|answer| answer.full);
    match full.map(|answer| answer.retry_after_ns).max() {
        Some(wait_ns) if !shadow => {
            let seconds = seconds_of(wait_ns);
            let error = "OOM the limiter has no room for another key; try again in";
            Err(format!("{error} {seconds} s"))
        }
        _ => Ok((admitted, answers)),
    }
}

fn failed(error: &Error) -> String {
    match error.kind {
        ErrorKind::InvalidArgument | ErrorKind::NeverPossible => format!("ERR {error}"),
        ErrorKind::StoreError | ErrorKind::StoreMismatch => {
            tell!("rateproof: {error}");
            "ERR the limiter's storage failed".to_owned()
        }
    }
}
