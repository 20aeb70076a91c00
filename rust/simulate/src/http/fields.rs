//! Fields that state a server's limit; twins of `rateproof.simulate.transports.limit_fields`.

use std::cmp::Ordering;
use std::time::UNIX_EPOCH;

/// Of a value, in bytes; a longer one is nonsense.
const LONGEST: usize = 4096;
/// Of a number.
const DIGITS: usize = 15;

/// Seconds that Retry-After asks to wait, 0 or more (RFC 9110, section 10.2.3).
///
/// `date` is the Date field of the same answer, which a date is counted from; without one
/// it is counted from `now_s`, in seconds since 1970. None for what is neither seconds nor
/// a date.
pub fn parse_retry_after(
    value: &[u8],
    date: Option<&[u8]>,
    now_s: impl FnOnce() -> f64,
) -> Option<f64> {
    if value.len() > LONGEST {
        return None;
    }
    let value = value.trim_ascii();
    if let Some(seconds) = seconds(value) {
        return Some(seconds);
    }
    let until = timestamp(value)?;
    let now = date.filter(|date| date.len() <= LONGEST);
    let now = now.and_then(|date| timestamp(date.trim_ascii()));
    let wait = now.map_or_else(|| until as f64 - now_s(), |now| (until - now) as f64);
    Some(wait.max(0.0))
}

/// `r` and `t` of a RateLimit field: admissions left, seconds until the quota resets.
///
/// Source: draft-ietf-httpapi-ratelimit-headers-11, section 4. Of several items the one
/// with the least `r` counts, and among those the largest `t`. None for each that is
/// missing or malformed.
pub fn parse_ratelimit(value: &[u8]) -> (Option<i64>, Option<f64>) {
    if value.len() > LONGEST {
        return (None, None);
    }
    let mut best = Quota::default();
    let mut item = Quota::default();
    let mut rest = value;
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'"' => rest = after_string(after).unwrap_or(after),
            b',' => best = best.tighter(std::mem::take(&mut item)),
            b';' => match parameter(after) {
                Some((b'r', number)) => item.remaining = Some(number),
                Some((_, number)) => item.reset = Some(number),
                None => {}
            },
            _ => {}
        }
    }
    let best = best.tighter(item);
    (best.remaining, best.reset.map(|reset| reset as f64))
}

#[derive(Default)]
struct Quota {
    remaining: Option<i64>,
    reset: Option<i64>,
}

impl Quota {
    /// The other one where it is tighter than this.
    fn tighter(self, other: Self) -> Self {
        match other.tightness().cmp(&self.tightness()) {
            Ordering::Less => other,
            _ => self,
        }
    }

    /// Of the least the requests are fewest and the wait is longest.
    fn tightness(&self) -> (i64, i64) {
        (
            self.remaining.unwrap_or(i64::MAX),
            self.reset.map_or(i64::MAX, |reset| -reset),
        )
    }
}

/// Digits, and perhaps a fraction.
fn seconds(text: &[u8]) -> Option<f64> {
    let (whole, fraction) = match text.iter().position(|&byte| byte == b'.') {
        None => (text, None),
        Some(point) => (&text[..point], Some(&text[point + 1..])),
    };
    let digits = |part: &[u8], most: usize| {
        (1..=most).contains(&part.len()) && part.iter().all(u8::is_ascii_digit)
    };
    if !digits(whole, DIGITS) || fraction.is_some_and(|part| !digits(part, 9)) {
        return None;
    }
    str::from_utf8(text).ok()?.parse().ok()
}

/// The rest after a quoted string whose opening quote was just read, if it is closed.
fn after_string(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = match text {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b'\n', ..] | [b'\\'] | [] => return None,
            [b'\\', _, rest @ ..] | [_, rest @ ..] => rest,
        };
    }
}

/// The parameter `r` or `t` after a semicolon, with a number of 1 to 15 digits.
fn parameter(text: &[u8]) -> Option<(u8, i64)> {
    let (&name, text) = blanks(text).split_first()?;
    let (&sign, text) = blanks(text).split_first()?;
    if !matches!(name, b'r' | b't') || sign != b'=' {
        return None;
    }
    let text = blanks(text);
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=DIGITS).contains(&count) || text.get(count) == Some(&b'.') {
        return None;
    }
    let number = text[..count]
        .iter()
        .fold(0, |number, byte| number * 10 + i64::from(byte - b'0'));
    Some((name, number))
}

fn blanks(text: &[u8]) -> &[u8] {
    let count = text
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    &text[count..]
}

/// Seconds since 1970 of a date in one of the three forms of HTTP (RFC 9110, section 5.6.7).
fn timestamp(text: &[u8]) -> Option<i64> {
    let moment = httpdate::parse_http_date(str::from_utf8(text).ok()?).ok()?;
    i64::try_from(moment.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::{parse_ratelimit, parse_retry_after};

    fn wait(value: &str) -> Option<f64> {
        parse_retry_after(
            value.as_bytes(),
            Some(b"Fri, 31 Dec 1999 23:59:49 GMT"),
            || 0.0,
        )
    }

    #[test]
    fn seconds_are_seconds() {
        for (value, expected) in [("0", 0.0), (" 120\t", 120.0), ("1.5", 1.5)] {
            assert_eq!(wait(value), Some(expected), "{value}");
        }
        assert_eq!(wait("999999999999999"), Some(999_999_999_999_999.0));
    }

    #[test]
    fn a_date_counts_from_the_servers_own_or_from_now() {
        assert_eq!(wait("Fri, 31 Dec 1999 23:59:59 GMT"), Some(10.0));
        assert_eq!(wait("Friday, 31-Dec-99 23:59:39 GMT"), Some(0.0));
        let until = b"Thu Jan  1 00:01:40 1970";
        assert_eq!(parse_retry_after(until, None, || 99.5), Some(0.5));
        assert_eq!(parse_retry_after(until, Some(b"today"), || 99.5), Some(0.5));
    }

    #[test]
    fn nonsense_is_no_wait() {
        for value in [
            "", "soon", "-1", "+5", "1e3", "5s", "5, 5", "1.", ".5", "inf", "1.0.0",
        ] {
            assert_eq!(wait(value), None, "{value}");
        }
        assert_eq!(wait("9999999999999999"), None);
        assert_eq!(wait("1.0000000000"), None);
        assert_eq!(wait(&" ".repeat(5000)), None);
    }

    #[test]
    fn the_tightest_quota_counts() {
        for (value, expected) in [
            ("\"a\";r=0;t=3", (Some(0), Some(3.0))),
            ("\"a\"; r=4 ; t=2", (Some(4), Some(2.0))),
            ("\"a\";t=3", (None, Some(3.0))),
            ("\"a\";r=9;t=9, \"b\";r=1;t=5", (Some(1), Some(5.0))),
            ("\"a\";r=0;t=1, \"b\";r=0;t=60", (Some(0), Some(60.0))),
            ("\"a,b;r=5\";r=2;t=1;pk=:x:", (Some(2), Some(1.0))),
            ("\"a\\\";r=1\";r=7", (Some(7), None)),
            ("\"open;r=1", (Some(1), None)),
            ("\"x\";r=-1", (None, None)),
            ("\"x\";r=1.5", (None, None)),
            ("\"x\";rr=1", (None, None)),
            ("\"x\";r=9999999999999999", (None, None)),
        ] {
            assert_eq!(parse_ratelimit(value.as_bytes()), expected, "{value}");
        }
    }
}
