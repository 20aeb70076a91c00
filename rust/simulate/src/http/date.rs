//! Dates as HTTP has them (RFC 9110, section 5.6.7).

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
const DAY_S: i64 = 86_400;

/// Seconds since 1970 of a date in one of the three forms; None for anything else.
///
/// The day of the week is not checked. A year of two digits is from 1970 to 2069.
pub fn timestamp(text: &[u8]) -> Option<i64> {
    let word = text
        .iter()
        .take_while(|byte| byte.is_ascii_alphabetic())
        .count();
    let (name, rest) = text.split_at(word);
    if !matches!(name, [b'A'..=b'Z', tail @ ..] if tail.iter().all(u8::is_ascii_lowercase)) {
        return None;
    }
    match (word, rest) {
        (3, [b',', b' ', rest @ ..]) => fixdate(rest),
        (6..=9, [b',', b' ', rest @ ..]) => rfc850(rest),
        (3, [b' ', rest @ ..]) => asctime(rest),
        _ => None,
    }
}

/// `06 Nov 1994 08:49:37 GMT`
fn fixdate(text: &[u8]) -> Option<i64> {
    let [
        d0,
        d1,
        b' ',
        m0,
        m1,
        m2,
        b' ',
        y0,
        y1,
        y2,
        y3,
        b' ',
        time @ ..,
        b' ',
        b'G',
        b'M',
        b'T',
    ] = text
    else {
        return None;
    };
    let year = number(&[*y0, *y1, *y2, *y3])?;
    moment(year, month(&[*m0, *m1, *m2])?, number(&[*d0, *d1])?, time)
}

/// `06-Nov-94 08:49:37 GMT`
fn rfc850(text: &[u8]) -> Option<i64> {
    let [
        d0,
        d1,
        b'-',
        m0,
        m1,
        m2,
        b'-',
        y0,
        y1,
        b' ',
        time @ ..,
        b' ',
        b'G',
        b'M',
        b'T',
    ] = text
    else {
        return None;
    };
    let year = number(&[*y0, *y1])?;
    let year = year + if year < 70 { 2000 } else { 1900 };
    moment(year, month(&[*m0, *m1, *m2])?, number(&[*d0, *d1])?, time)
}

/// `Nov  6 08:49:37 1994`
fn asctime(text: &[u8]) -> Option<i64> {
    let [
        m0,
        m1,
        m2,
        b' ',
        d0,
        d1,
        b' ',
        time @ ..,
        b' ',
        y0,
        y1,
        y2,
        y3,
    ] = text
    else {
        return None;
    };
    let tens = if *d0 == b' ' { b'0' } else { *d0 };
    let year = number(&[*y0, *y1, *y2, *y3])?;
    moment(year, month(&[*m0, *m1, *m2])?, number(&[tens, *d1])?, time)
}

/// Seconds since 1970 of a day, counted from 1, and `08:49:37`, where :60 is a leap second.
fn moment(year: i64, month: usize, day: i64, time: &[u8]) -> Option<i64> {
    let [h0, h1, b':', m0, m1, b':', s0, s1] = time else {
        return None;
    };
    let (hour, minute) = (number(&[*h0, *h1])?, number(&[*m0, *m1])?);
    let second = number(&[*s0, *s1])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
    let longest = before[month + 1] - before[month] + i64::from(leap && month == 1);
    if year == 0 || day == 0 || day > longest || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Leap days of the years 1 to `past`, less those up to 1969.
    let past = year - 1;
    let leaps = past / 4 - past / 100 + past / 400 - 477;
    let days = (year - 1970) * 365 + leaps + before[month] + i64::from(leap && month > 1) + day - 1;
    Some(days * DAY_S + hour * 3600 + minute * 60 + second)
}

/// From 0.
fn month(name: &[u8; 3]) -> Option<usize> {
    MONTHS.iter().position(|known| *known == name)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + i64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::timestamp;

    #[test]
    fn the_three_forms_of_one_moment_agree() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(timestamp(text.as_bytes()), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn days_are_counted_over_leap_years() {
        for (text, days) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Wed, 31 Dec 1969 00:00:00 GMT", -1),
            ("Mon, 01 Jan 0001 00:00:00 GMT", -719_162),
            ("Tue, 29 Feb 2000 00:00:00 GMT", 11_016),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 11_017),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 47_541),
            ("Fri, 31 Dec 9999 00:00:00 GMT", 2_932_896),
        ] {
            assert_eq!(timestamp(text.as_bytes()), Some(days * 86_400), "{text}");
        }
    }

    #[test]
    fn what_no_calendar_has_is_none() {
        for text in [
            "Fri, 30 Feb 2024 00:00:00 GMT",
            "Fri, 29 Feb 2023 00:00:00 GMT",
            "Fri, 29 Feb 1900 00:00:00 GMT",
            "Fri, 00 Jan 2024 00:00:00 GMT",
            "Fri, 01 Jan 0000 00:00:00 GMT",
            "Fri, 01 Jan 2024 24:00:00 GMT",
            "Fri, 01 Jan 2024 00:60:00 GMT",
            "Fri, 01 Jan 2024 00:00:61 GMT",
            "Fri, 01 Xxx 2024 00:00:00 GMT",
            "fri, 01 Jan 2024 00:00:00 GMT",
            "Fri, 1 Jan 2024 00:00:00 GMT",
            "Fri, 01 Jan 2024 00:00:00 UTC",
            "Fri, 01 Jan 2024 00:00:00",
            "",
        ] {
            assert_eq!(timestamp(text.as_bytes()), None, "{text}");
        }
    }
}
