//! The text of a policy, as `rateproof.policy.notation` reads it.

use std::fmt;

use rateproof_enforce::{Algorithm, Quota};

use crate::visible::quoted;

const FORM: &str = "a policy reads like '5 per 5s', '100/minute' or '5 per 5s; 1000 per hour'";
const SECOND: u64 = 1_000_000_000;
/// Digits of a number, at most.
const MOST_DIGITS: usize = 20;
const DAY: u64 = 86_400 * SECOND;
/// Lengths of units by their names in the singular. A month is 30 days, a year 12 of them.
const UNITS: [(&str, u64); 18] = [
    ("ns", 1),
    ("nanosecond", 1),
    ("us", 1_000),
    ("microsecond", 1_000),
    ("ms", 1_000_000),
    ("millisecond", 1_000_000),
    ("s", SECOND),
    ("sec", SECOND),
    ("second", SECOND),
    ("m", 60 * SECOND),
    ("min", 60 * SECOND),
    ("minute", 60 * SECOND),
    ("h", 3_600 * SECOND),
    ("hour", 3_600 * SECOND),
    ("d", DAY),
    ("day", DAY),
    ("month", 30 * DAY),
    ("year", 360 * DAY),
];

/// Quotas that must all pass, each once, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// At least one.
    pub quotas: Vec<Quota>,
}

impl Policy {
    /// Reads the text form.
    ///
    /// # Errors
    /// The text that could not be read, and what would be accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut quotas: Vec<Quota> = Vec::new();
        for part in text.split([';', ',', '|']) {
            let quota = parse_quota(part).map_err(|error| match error {
                Some(error) => format!("{error} in {}", quoted(text.as_bytes())),
                None => {
                    let (part, whole) = (part.trim_ascii().as_bytes(), text.as_bytes());
                    let (part, whole) = (quoted(part), quoted(whole));
                    format!("{part} in {whole} is not a policy ({FORM})")
                }
            })?;
            if !quotas.contains(&quota) {
                quotas.push(quota);
            }
        }
        Ok(Self { quotas })
    }
}

/// `None` as the error: it has not the form.
fn parse_quota(text: &str) -> Result<Quota, Option<String>> {
    let text = text.trim_ascii().to_ascii_lowercase();
    let mut rest = text.as_str();
    let mut name = word(&mut rest, |letter| {
        letter.is_ascii_lowercase() || letter == '-'
    });
    if !name.is_empty() && !space(&mut rest) {
        return Err(None);
    }
    let limit = number(&mut rest)?;
    space(&mut rest);
    rest = rest
        .strip_prefix('/')
        .or_else(|| rest.strip_prefix("per"))
        .ok_or(None)?;
    space(&mut rest);
    let multiple = match rest.starts_with(|letter: char| letter.is_ascii_digit()) {
        true => number(&mut rest)?,
        false => 1,
    };
    space(&mut rest);
    let unit = word(&mut rest, |letter| letter.is_ascii_lowercase());
    let mut figure = |name: &str| {
        let mut after = rest;
        if !space(&mut after) || !after.starts_with(name) {
            return Ok(None);
        }
        after = &after[name.len()..];
        if !space(&mut after) {
            return Err(None);
        }
        let found = number(&mut after)?;
        rest = after;
        match found {
            0 => Err(Some(format!("{name} is 0 (at least 1)"))),
            found => Ok(Some(found)),
        }
    };
    let burst = figure("burst")?;
    if name.is_empty() {
        name = Algorithm::SLIDING_LOG.name();
    }
    let algorithm = name.parse::<Algorithm>();
    let own = algorithm.as_ref().map(|known| known.parameter());
    let parameter = match own {
        Ok(own) if own.most > 0 => figure(own.word)?,
        _ => None,
    };
    if unit.is_empty() || !rest.is_empty() {
        return Err(None);
    }
    let unit_ns = unit_ns(unit).ok_or_else(|| Some(format!("'{unit}' is not a unit of time")))?;
    let algorithm = algorithm.map_err(|error| Some(format!("{error}")))?;
    let window_ns = multiple.checked_mul(unit_ns);
    let window_ns = window_ns.ok_or_else(|| Some("a window of 73 years or more".to_owned()))?;
    let usual = Quota::new(algorithm, limit, window_ns);
    let quota = Quota {
        burst: burst.unwrap_or(usual.burst),
        parameter: parameter.unwrap_or(usual.parameter),
        ..usual
    };
    quota.check().map_err(|error| Some(error.to_string()))?;
    Ok(quota)
}

fn word<'a>(rest: &mut &'a str, is_in: impl Fn(char) -> bool) -> &'a str {
    let text = *rest;
    let end = text.find(|letter| !is_in(letter)).unwrap_or(text.len());
    *rest = &text[end..];
    &text[..end]
}

fn space(rest: &mut &str) -> bool {
    let after = rest.trim_ascii_start();
    let found = after.len() < rest.len();
    *rest = after;
    found
}

/// Of digits; an error without words if there are none.
fn number(rest: &mut &str) -> Result<u64, Option<String>> {
    let digits = word(rest, |letter| letter.is_ascii_digit());
    match digits.parse() {
        Ok(found) if digits.len() <= MOST_DIGITS => Ok(found),
        _ if digits.is_empty() => Err(None),
        _ => {
            let digits = quoted(digits.as_bytes());
            Err(Some(format!("{digits} is too large a number")))
        }
    }
}

fn unit_ns(name: &str) -> Option<u64> {
    let found = |name: &str| UNITS.iter().find(|(unit, _)| *unit == name);
    let singular = || found(name.strip_suffix('s')?);
    found(name).or_else(singular).map(|(_, ns)| *ns)
}

/// A quota as text, which `Policy::parse` reads back.
pub struct Text<'a>(pub &'a Quota);

impl fmt::Display for Text<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quota = self.0;
        let usual = Quota::new(quota.algorithm, quota.limit, quota.window_ns);
        if quota.algorithm != Algorithm::SLIDING_LOG {
            write!(out, "{} ", quota.algorithm.name())?;
        }
        let lengths = ["d", "h", "m", "s", "ms", "us", "ns"].map(|name| (name, unit_ns(name)));
        let fits = |&(_, ns): &(&str, Option<u64>)| {
            ns.is_some_and(|ns| quota.window_ns.is_multiple_of(ns))
        };
        let (unit, ns) = lengths.into_iter().find(fits).unwrap_or(("ns", Some(1)));
        write!(
            out,
            "{} per {}{unit}",
            quota.limit,
            quota.window_ns / ns.unwrap_or(1)
        )?;
        if quota.burst != usual.burst {
            write!(out, " burst {}", quota.burst)?;
        }
        if quota.parameter != usual.parameter {
            let word = quota.algorithm.parameter().word;
            write!(out, " {word} {}", quota.parameter)?;
        }
        Ok(())
    }
}

/// The name of a quota's table in the folder of a store, as `fingerprint` in Python.
#[must_use]
pub fn table_file(quota: &Quota) -> String {
    let (name, limit) = (quota.algorithm.name(), quota.limit);
    let mut name = format!("{name}-{limit}-{}", quota.window_ns);
    if quota.burst != limit {
        name += &format!("-{}", quota.burst);
    }
    if quota.parameter > 0 {
        let word = quota.algorithm.parameter().word;
        name += &format!("-{word}-{}", quota.parameter);
    }
    name + ".native"
}
