//! Commands that decide.
//!
//! `CL.THROTTLE` is that of redis-cell (github.com/brandur/redis-cell): arguments and answer. Each
//! burst, count and period is a table of its own, exact to the nanosecond.

use rateproof_enforce::{Algorithm, Error, Quota, Ruling};

use crate::command::{Ask, Desk, Done};
use crate::frame::{Words, integer};
use crate::key::{MOST_KEY, too_long};
use crate::policy::Policy;
use crate::tables::{Fault, Tables};
use crate::told::Untaken;
use crate::visible::quoted;

const SECOND_NS: u64 = 1_000_000_000;

pub fn throttle(ask: &mut Ask<'_, '_>) -> Done {
    let Ask {
        desk, words, reply, ..
    } = ask;
    let quantity = words.get(5);
    let quantity = quantity.map_or(Ok(1), |word| whole("quantity", word))?;
    let key = key_of(words)?;
    // No text of a policy: those are UTF-8.
    let figures: [&[u8]; 6] = [b"\xff", &words[2], b" ", &words[3], b" ", &words[4]];
    let tables = desk.known.tables::<String>(&figures, || {
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
    let ruling = call(tables, key, if asked { quantity } else { 1 });
    let (admitted, answers) = tables.ruled(ruling)?;
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
    ask: &mut Ask<'_, '_>,
    call: impl FnOnce(&Tables, &[u8], u64) -> Result<Option<Ruling>, Error>,
) -> Done {
    let Ask {
        desk, words, reply, ..
    } = ask;
    let key = key_of(words)?;
    let cost = words.get(3);
    let cost = cost.map(|word| whole("cost", word)).transpose()?;
    let (tables, usual) = promised(desk, &words[2])?;
    let ruling = call(tables, key, cost.unwrap_or(usual));
    let (admitted, answers) = tables.ruled(ruling)?;
    let passes = admitted || tables.shadow;
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

pub fn reset(ask: &mut Ask<'_, '_>) -> Done {
    let key = key_of(ask.words)?;
    let (tables, _) = promised(ask.desk, &ask.words[2])?;
    match tables.reset(key).map_err(Fault::from)? {
        true => ask.reply.simple("OK"),
        false => return Err("ERR the table is locked by another process".to_owned()),
    }
    Ok(())
}

/// The tables of a limit's name or a policy's text, and what a request costs.
fn promised<'a>(desk: &'a mut Desk, word: &[u8]) -> Result<(&'a Tables, u64), String> {
    let text = std::str::from_utf8(word);
    let text = text.map_err(|_| {
        let shown = quoted(word);
        format!("ERR {shown} is not UTF-8, as a limit's name or a policy is")
    })?;
    if let Some(served) = desk.limits.by_name.get(text) {
        return Ok((&served.tables, served.cost));
    }
    let tables = desk
        .known
        .tables::<String>(&[kept("the policy", word)?], || {
            let policy = Policy::parse(text).map_err(|error| {
                let names = desk.limits.names();
                format!("ERR no limit of that name ({names}): {error}")
            })?;
            Ok(policy.quotas)
        })?;
    Ok((tables, 1))
}

fn key_of<'a>(words: &'a Words<'_>) -> Result<&'a [u8], String> {
    kept("the key", &words[1])
}

/// A word that is kept: a key, or the text of a policy.
fn kept<'a>(name: &str, word: &'a [u8]) -> Result<&'a [u8], String> {
    match word.len() {
        ..=MOST_KEY => Ok(word),
        _ => Err(format!("ERR {}", too_long(name, word))),
    }
}

/// A number that is not negative.
fn whole(name: &str, word: &[u8]) -> Result<u64, String> {
    let wrong = |error| format!("ERR {error}: {name} is {}", quoted(word));
    let number = integer(word).ok_or_else(|| wrong("value is not an integer or out of range"))?;
    u64::try_from(number).map_err(|_| wrong("value is out of range, must be positive"))
}

impl From<Untaken> for String {
    fn from(Untaken(reason): Untaken) -> Self {
        format!("ERR {reason}")
    }
}

impl From<Fault> for String {
    /// The error of Redis that says it.
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full(seconds) => {
                let error = "OOM the limiter has no room for another key; try again in";
                format!("{error} {seconds} s")
            }
            Fault::Failed => "ERR the limiter's storage failed".to_owned(),
            Fault::Asked(reason) => format!("ERR {reason}"),
        }
    }
}
