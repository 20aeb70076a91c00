//! Text from outside, as far as it may stand between the quotes of an answer.

/// The most bytes that a mistake repeats.
const MOST_REPEATED: usize = 64;

/// The text in visible ASCII without quotes and backslashes, others as `_`.
pub fn visible(text: &str) -> String {
    let shown = |letter: char| match letter {
        ' '..='~' if !['"', '\\'].contains(&letter) => letter,
        _ => '_',
    };
    text.chars().map(shown).collect()
}

/// The beginning of what a client sent, in quotes; what is not visible ASCII is escaped.
pub fn quoted(bytes: &[u8]) -> String {
    let begin = bytes[..bytes.len().min(MOST_REPEATED)].escape_ascii();
    let rest = if bytes.len() > MOST_REPEATED {
        "..."
    } else {
        ""
    };
    format!("'{begin}{rest}'")
}

/// A text as it stands between the quotes of JSON (RFC 8259, 7).
pub fn json(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' | '\\' => written.extend(['\\', letter]),
            '\0'..='\x1f' => written += &format!("\\u{:04x}", u32::from(letter)),
            _ => written.push(letter),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_it_ends_the_quotes_or_is_longer_than_a_line() {
        assert_eq!(quoted(b"a\"'\\\r\n\xff\xc3"), r#"'a\"\'\\\r\n\xff\xc3'"#);
        assert_eq!(
            json("a\"\\\n\u{0}\u{200d}\u{1f}"),
            "a\\\"\\\\\\u000a\\u0000\u{200d}\\u001f"
        );
        assert_eq!(quoted(&[b'a'; 99]), format!("'{}...'", "a".repeat(64)));
    }
}
