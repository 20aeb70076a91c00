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

/// The beginning of what a client sent, in quotes.
pub fn quoted(bytes: &[u8]) -> String {
    let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_REPEATED)]);
    let rest = if bytes.len() > MOST_REPEATED {
        "..."
    } else {
        ""
    };
    format!("'{}{rest}'", visible(&begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_it_ends_the_quotes_or_is_longer_than_a_line() {
        assert_eq!(quoted(b"a\"b\\c\r\n\xff\xc3\xa9"), "'a_b_c____'");
        assert_eq!(quoted(&[b'a'; 99]), format!("'{}...'", "a".repeat(64)));
    }
}
