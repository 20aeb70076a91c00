//! Stamps and durations as text: each with its step, which its last digit tells.

/// A number of nanoseconds, known to be in `[ns, ns + step)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    pub ns: i64,
    pub step: i64,
}

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400;
/// Instants of the years 1970 to 2099: their nanoseconds fit, with room for durations.
const YEARS: std::ops::Range<i64> = 1970..2100;

/// Two digits.
fn pair(text: &[u8]) -> Option<i64> {
    let (tens, ones) = (text[0].wrapping_sub(b'0'), text[1].wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}

fn year(text: &[u8]) -> Option<i64> {
    Some(pair(text)? * 100 + pair(&text[2..])?)
}

/// Seconds since 1970 of a date; the days of the civil calendar, as H. Hinnant counts them.
fn date(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !YEARS.contains(&year) || !(1..=longest).contains(&day) {
        return None;
    }
    let since_march = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (since_march / 400, since_march % 400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * DAY)
}

/// Seconds of `HH:MM:SS`.
fn clock(text: &[u8]) -> Option<i64> {
    let right = text.len() == 8 && text[2] == b':' && text[5] == b':';
    let (hours, minutes, seconds) = (
        pair(text.get(..2)?)?,
        pair(text.get(3..)?)?,
        pair(text.get(6..)?)?,
    );
    (right && hours < 24 && minutes < 60 && seconds < 60)
        .then_some(hours * 3600 + minutes * 60 + seconds)
}

/// Seconds of `+HHMM` or `+HH:MM` east of Greenwich, or `Z`.
fn zone(text: &[u8]) -> Option<i64> {
    let (hours, minutes) = match text {
        b"Z" | b"z" => return Some(0),
        [_, hours @ .., b':', _, _] if hours.len() == 2 => (pair(hours)?, pair(&text[4..])?),
        [_, rest @ ..] if rest.len() == 4 => (pair(rest)?, pair(&rest[2..])?),
        _ => return None,
    };
    let east = hours * 3600 + minutes * 60;
    match text[0] {
        b'+' if hours < 24 && minutes < 60 => Some(east),
        b'-' if hours < 24 && minutes < 60 => Some(-east),
        _ => None,
    }
}

/// True if a stamp of either notation ends in a zone: `Z`, `+HHMM` or `+HH:MM`.
pub fn has_zone(text: &[u8]) -> bool {
    let sign = |back: usize| {
        let at = text.len().checked_sub(back);
        at.is_some_and(|at| at > 10 && matches!(text[at], b'+' | b'-'))
    };
    text.ends_with(b"Z") || text.ends_with(b"z") || sign(5) || sign(6)
}

const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

fn month(text: &[u8]) -> Option<i64> {
    let at = MONTHS.chunks_exact(3).position(|name| name == text)?;
    Some(at as i64 + 1)
}

/// Seconds of `10/Oct/2000:13:55:36`.
fn clf_second(text: &[u8]) -> Option<i64> {
    let right = text.len() == 20 && text[2] == b'/' && text[6] == b'/' && text[11] == b':';
    if !right {
        return None;
    }
    Some(date(year(&text[7..])?, month(&text[3..6])?, pair(text)?)? + clock(&text[12..])?)
}

/// `10/Oct/2000:13:55:36.123 -0700`, fraction and zone optional; without a zone it is UTC.
pub fn clf(text: &[u8]) -> Option<Read> {
    let second = clf_second(text.get(..20)?)?;
    let (fraction, rest) = fraction(&text[20..], SECOND)?;
    let east = match rest {
        [] => 0,
        [b' ', rest @ ..] => zone(rest)?,
        _ => return None,
    };
    Some(Read {
        ns: (second - east) * SECOND + fraction.ns,
        ..fraction
    })
}

/// `2000-10-10T13:55:36.123456Z`, with any zone or none, which is UTC.
pub fn iso(text: &[u8]) -> Option<Read> {
    let second = day(text.get(..10)?)? + clock(text.get(11..19)?)?;
    let (fraction, rest) = fraction(&text[19..], SECOND)?;
    let east = if rest.is_empty() { 0 } else { zone(rest)? };
    matches!(text[10], b'T' | b't' | b' ').then_some(Read {
        ns: (second - east) * SECOND + fraction.ns,
        ..fraction
    })
}

fn day(text: &[u8]) -> Option<i64> {
    let right = text.len() == 10 && text[4] == b'-' && text[7] == b'-';
    right.then_some(())?;
    date(year(text)?, pair(&text[5..])?, pair(&text[8..])?)
}

/// `2000-10-10`.
pub fn only_day(text: &[u8]) -> Option<Read> {
    Some(Read {
        ns: day(text)? * SECOND,
        step: 0,
    })
}

/// `13:55:36.123`, fraction optional, since midnight.
pub fn only_clock(text: &[u8]) -> Option<Read> {
    let second = clock(text.get(..8)?)?;
    let (fraction, rest) = fraction(&text[8..], SECOND)?;
    rest.is_empty().then_some(Read {
        ns: second * SECOND + fraction.ns,
        ..fraction
    })
}

/// Reads what stands behind a dot of `unit` nanoseconds, and what follows it.
fn fraction(text: &[u8], unit: i64) -> Option<(Read, &[u8])> {
    let nothing = Read { ns: 0, step: unit };
    let [dot, rest @ ..] = text else {
        return Some((nothing, text));
    };
    if !matches!(dot, b'.' | b',') {
        return Some((nothing, text));
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (mut ns, mut step) = (0, unit);
    for &digit in &rest[..digits] {
        if step % 10 != 0 {
            break; // finer than a nanosecond
        }
        step /= 10;
        ns += i64::from(digit - b'0') * step;
    }
    (digits > 0).then_some((Read { ns, step }, &rest[digits..]))
}

/// A decimal number of `unit` nanoseconds; None if it is none, or too great.
pub fn decimal(text: &[u8], unit: i64) -> Option<Read> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits > 18 {
        return None;
    }
    let mut whole: i64 = 0;
    for &digit in &text[..digits] {
        whole = whole * 10 + i64::from(digit - b'0');
    }
    let (fraction, rest) = fraction(&text[digits..], unit)?;
    if let [b'e' | b'E', ..] = rest {
        return scientific(text, unit);
    }
    let ns = whole.checked_mul(unit)?.checked_add(fraction.ns)?;
    (rest.is_empty() && ns < 1 << 62).then_some(Read { ns, ..fraction })
}

/// Such as `9.3e-05`, as programs write a number that they have in binary: rounded, not cut off.
fn scientific(text: &[u8], unit: i64) -> Option<Read> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let ns = (value * unit as f64).floor();
    (0.0..4e18).contains(&ns).then(|| Read {
        ns: ns as i64,
        step: unit.min(1_000),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: i64, step: i64) -> Option<Read> {
        Some(Read { ns, step })
    }

    #[test]
    fn a_stamp_with_a_zone_is_an_instant_known_to_its_last_digit() {
        let noon = 971_211_336 * SECOND;
        assert_eq!(clf(b"10/Oct/2000:13:55:36 -0700"), at(noon, SECOND));
        assert_eq!(clf(b"10/Oct/2000:20:55:36"), at(noon, SECOND));
        assert_eq!(
            clf(b"10/Oct/2000:20:55:36.250"),
            at(noon + 250_000_000, 1_000_000)
        );
        assert_eq!(iso(b"2000-10-10T13:55:36-07:00"), at(noon, SECOND));
        assert_eq!(iso(b"2000-10-10T20:55:36.000001Z"), at(noon + 1_000, 1_000));
    }

    #[test]
    fn a_date_that_no_calendar_has_is_no_stamp() {
        for text in [
            &b"30/Feb/2000:13:55:36 -0700"[..],
            b"00/Oct/2000:13:55:36 -0700",
            b"10/Okt/2000:13:55:36 -0700",
            b"10/Oct/2000:24:55:36 -0700",
            b"10/Oct/2000:13:55:36 *0700",
            b"10/Oct/2000:13:55:36 -07",
            b"10/Oct/1969:13:55:36 -0700",
            b"10/Oct/2000",
            b"",
        ] {
            assert_eq!(clf(text), None, "{}", String::from_utf8_lossy(text));
        }
        assert!(clf(b"29/Feb/2024:00:00:00 +0000").is_some());
        assert!(clf(b"29/Feb/2023:00:00:00 +0000").is_none());
    }

    #[test]
    fn a_duration_is_known_to_its_last_digit() {
        assert_eq!(decimal(b"0.005", SECOND), at(5_000_000, 1_000_000));
        assert_eq!(decimal(b"17", 1_000_000), at(17_000_000, 1_000_000));
        assert_eq!(decimal(b"1.5", 1), at(1, 1));
        assert_eq!(decimal(b"9.3e-05", SECOND), at(93_000, 1_000));
        for text in [
            &b"-"[..],
            b"",
            b".",
            b"1.",
            b"-1",
            b"1e",
            b"1e300",
            b"99999999999999999999",
        ] {
            assert_eq!(decimal(text, SECOND), None);
        }
    }
}
