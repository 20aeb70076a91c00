//! Commands on the wire of RESP: arrays of bulk strings, or lines of words.
//!
//! Errors are worded as Redis words them. Nothing is kept of what is only half there, so a command
//! is bounded: by [`MOST_BYTES`] and [`MOST_WORDS`].
//!
//! Source: the specification of RESP at redis.io; `networking.c` and `sds.c` of Redis 7 for errors
//! and for the quotes of lines.

use std::borrow::Cow;

use crate::visible::quoted;

/// The longest command, in bytes.
pub const MOST_BYTES: usize = 64 * 1024;
/// The most words of a command.
pub const MOST_WORDS: usize = 1024;
/// The longest line that holds a length, in bytes.
const MOST_DIGITS: usize = 32;

/// The words of a command.
pub type Words<'a> = Vec<Cow<'a, [u8]>>;

/// Reads the command that these bytes begin with: its length, its words into `words`. A command without words asks
/// for nothing. `None` where more of it has to come.
///
/// # Errors
/// It is no command; where the next one begins cannot be told.
pub fn command<'a>(bytes: &'a [u8], words: &mut Words<'a>) -> Result<Option<usize>, String> {
    words.clear();
    match bytes.first() {
        None => Ok(None),
        Some(b'*') => array(bytes, words),
        Some(_) => line(bytes, words),
    }
}

fn array<'a>(bytes: &'a [u8], words: &mut Words<'a>) -> Result<Option<usize>, String> {
    let Some((count, mut at)) = length(bytes, 1, "mbulk count", "multibulk length")? else {
        return Ok(None);
    };
    if count > MOST_WORDS as i64 {
        let error = "invalid multibulk length";
        return Err(format!("{error}: '{count}' (at most {MOST_WORDS})"));
    }
    for _ in 0..count.max(0) {
        match bytes.get(at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(other) => return Err(format!("expected '$', got '{}'", other.escape_ascii())),
        }
        let Some((size, begin)) = length(bytes, at + 1, "bulk count", "bulk length")? else {
            return Ok(None);
        };
        let whole = usize::try_from(size).ok();
        let whole = whole.filter(|size| begin + size + 2 <= MOST_BYTES);
        let end = begin + whole.ok_or_else(|| too_long(size))?;
        match bytes.get(end..end + 2) {
            None => return Ok(None),
            Some(b"\r\n") => {}
            Some(other) => {
                let error = "expected CRLF behind a bulk string, got";
                return Err(format!("{error} {}", quoted(other)));
            }
        }
        words.push(Cow::Borrowed(&bytes[begin..end]));
        at = end + 2;
    }
    Ok(Some(at))
}

fn too_long(size: i64) -> String {
    format!("invalid bulk length: '{size}' (0 and above, at most {MOST_BYTES} bytes a command)")
}

/// The number on the line that begins at `at`, and where the next line begins.
fn length(
    bytes: &[u8],
    at: usize,
    line: &str,
    number: &str,
) -> Result<Option<(i64, usize)>, String> {
    let rest = &bytes[at..bytes.len().min(at + MOST_DIGITS)];
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
        return match rest.len() < MOST_DIGITS {
            true => Ok(None),
            false => Err(format!("too big {line} string: {}", quoted(rest))),
        };
    };
    let digits = rest[..end].strip_suffix(b"\r");
    let found = digits.and_then(integer);
    let found = found.ok_or_else(|| {
        format!(
            "invalid {number}: {}",
            quoted(digits.unwrap_or(&rest[..end]))
        )
    })?;
    Ok(Some((found, at + end + 1)))
}

/// A number in the one way in which Redis reads it: no sign but a minus, no zero before others.
pub fn integer(digits: &[u8]) -> Option<i64> {
    let (bare, sign) = match digits {
        [b'-', bare @ ..] => (bare, -1),
        bare => (bare, 1),
    };
    match bare {
        [b'0'] if sign == 1 => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    bare.iter().try_fold(0_i64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(sign * digit)
    })
}

fn line<'a>(bytes: &'a [u8], words: &mut Words<'a>) -> Result<Option<usize>, String> {
    let Some(end) = bytes
        .iter()
        .take(MOST_BYTES)
        .position(|byte| *byte == b'\n')
    else {
        return match bytes.len() < MOST_BYTES {
            true => Ok(None),
            false => Err(format!("too big inline request: {}", quoted(bytes))),
        };
    };
    let whole = &bytes[..end];
    if whole.contains(&0) {
        return Err(format!("NUL in inline request: {}", quoted(whole)));
    }
    let mut rest = whole.strip_suffix(b"\r").unwrap_or(whole);
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Ok(Some(end + 1));
        }
        if words.len() == MOST_WORDS {
            let error = "too big inline request";
            return Err(format!(
                "{error}: {} (at most {MOST_WORDS} words)",
                quoted(whole)
            ));
        }
        let unbalanced = || format!("unbalanced quotes in request: {}", quoted(whole));
        let (word, after) = word(rest).ok_or_else(unbalanced)?;
        words.push(Cow::Owned(word));
        rest = after;
    }
}

/// The first word of a line, quotes and escapes resolved, and what is behind it.
fn word(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (mut found, mut quote, mut rest) = (Vec::new(), None, line);
    loop {
        rest = match (quote, rest) {
            (None, []) => return Some((found, rest)),
            (None, [b' ' | b'\t' | b'\r' | b'\x0b' | b'\x0c', after @ ..]) => {
                return Some((found, after));
            }
            (None, [open @ (b'"' | b'\''), after @ ..]) => {
                quote = Some(*open);
                after
            }
            (Some(_), []) => return None,
            (Some(b'"'), [b'\\', b'x', high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default();
                found.push((digit(*high) * 16 + digit(*low)) as u8);
                after
            }
            (Some(b'"'), [b'\\', escaped, after @ ..]) => {
                found.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => b'\x08',
                    b'a' => b'\x07',
                    other => *other,
                });
                after
            }
            (Some(b'\''), [b'\\', b'\'', after @ ..]) => {
                found.push(b'\'');
                after
            }
            (Some(open), [close, after @ ..]) if open == *close => {
                return match after {
                    [] => Some((found, after)),
                    [next, ..] if next.is_ascii_whitespace() => Some((found, after)),
                    _ => None,
                };
            }
            (_, [byte, after @ ..]) => {
                found.push(*byte);
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = Option<(usize, Vec<Vec<u8>>)>;

    fn read(bytes: &[u8]) -> Result<Read, String> {
        let mut words = Words::new();
        let length = command(bytes, &mut words)?;
        let words = words.into_iter().map(Cow::into_owned).collect();
        Ok(length.map(|length| (length, words)))
    }

    #[test]
    fn a_command_is_read_once_all_of_it_is_there() {
        let whole = b"*3\r\n$6\r\nRP.HIT\r\n$0\r\n\r\n$4\r\n\r\n\0*\r\nPING\r\n";
        let length = whole.len() - b"PING\r\n".len();
        let words = ["RP.HIT", "", "\r\n\0*"].map(|word| word.as_bytes().to_vec());
        for cut in 0..length {
            assert_eq!(read(&whole[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(read(whole), Ok(Some((length, words.to_vec()))));
        assert_eq!(read(b"*0\r\n"), Ok(Some((4, vec![]))));
        assert_eq!(read(b"*-1\r\n"), Ok(Some((5, vec![]))));
    }

    #[test]
    fn a_line_is_split_at_spaces_with_quotes_as_of_a_shell() {
        let split = |line: &[u8]| read(line).map(|found| found.unwrap().1);
        assert_eq!(split(b"\r\n"), Ok(vec![]));
        assert_eq!(
            split(b" RP.HIT \"a \\x41\\n\\\"\" 'b \\' c'\n"),
            Ok(vec![
                b"RP.HIT".to_vec(),
                b"a A\n\"".to_vec(),
                b"b ' c".to_vec()
            ])
        );
        for line in [&b"a \"b\n"[..], b"'a'b\n", b"\"a\"\"b\"\r\n"] {
            let error = format!(
                "unbalanced quotes in request: {}",
                quoted(&line[..line.len() - 1])
            );
            assert_eq!(split(line), Err(error));
        }
    }

    #[test]
    fn what_is_no_command_or_larger_than_one_is_refused_as_redis_does_and_named() {
        let digits = [b"*".to_vec(), vec![b'1'; 40]].concat();
        let many = format!("*{}\r\n", MOST_WORDS + 1);
        let large = format!("*1\r\n${MOST_BYTES}\r\n");
        for (bytes, error) in [
            (&b"*1\n$4\r\nPING\r\n"[..], "invalid multibulk length: '1'"),
            (b"*x\r\n", "invalid multibulk length: 'x'"),
            (b"*+1\r\n", "invalid multibulk length: '+1'"),
            (b"*01\r\n", "invalid multibulk length: '01'"),
            (
                b"*99999999999999999999\r\n",
                "invalid multibulk length: '99999999999999999999'",
            ),
            (
                many.as_bytes(),
                "invalid multibulk length: '1025' (at most 1024)",
            ),
            (&digits, "too big mbulk count string: '1111"),
            (b"*1\r\n*1\r\n", "expected '$', got '*'"),
            (b"*1\r\n\xff", "expected '$', got '\\xff'"),
            (b"*1\r\n$-1\r\n", "invalid bulk length: '-1'"),
            (
                b"*1\r\n$9223372036854775807\r\n",
                "invalid bulk length: '9223372036854775807'",
            ),
            (large.as_bytes(), "invalid bulk length: '65536'"),
            (
                b"*1\r\n$11111111111111111111111111111111",
                "too big bulk count string: '1111",
            ),
            (
                b"*1\r\n$4\r\nPING\0x",
                "expected CRLF behind a bulk string, got '\\x00x'",
            ),
            (b"PING a\0b\n", "NUL in inline request: 'PING a\\x00b'"),
            (&[b'a'; MOST_BYTES], "too big inline request: 'aaaa"),
            (
                &[b"a ".repeat(MOST_WORDS + 1), b"\n".to_vec()].concat(),
                "too big inline request: 'a a ",
            ),
        ] {
            let found = read(bytes).expect_err(error);
            assert!(found.starts_with(error), "{found}");
            assert!(found.len() < 200, "{found}");
        }
    }
}
