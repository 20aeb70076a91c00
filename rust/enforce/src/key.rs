//! Keys of requests, as every face of the limiter writes them: parts, each with the length of its value, so
//! that no two lists of parts are one key.

/// Writes a part, such as `query:clientId=1:a`.
pub fn write_part(key: &mut Vec<u8>, label: &str, value: &[u8]) {
    key.extend_from_slice(label.as_bytes());
    key.push(b'=');
    key.extend_from_slice(itoa::Buffer::new().format(value.len()).as_bytes());
    key.push(b':');
    key.extend_from_slice(value);
}

/// The value of the first pair of a list such as `a=1&b=2` whose name `is` the one; else nothing.
pub fn value_of(list: &[u8], separator: u8, is: impl Fn(&[u8]) -> bool) -> &[u8] {
    let pairs = list.split(|byte| *byte == separator).map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=');
        at.map_or((pair, &b""[..]), |at| (&pair[..at], &pair[at + 1..]))
    });
    let found = pairs.into_iter().find(|(name, _)| is(name));
    found.map_or(b"", |(_, value)| value)
}

/// The value of a cookie in its field; nothing without one.
#[must_use]
pub fn cookie<'a>(field: &'a [u8], name: &[u8]) -> &'a [u8] {
    trimmed(value_of(field, b';', |found| trimmed(found) == name))
}

/// The text without the blanks and tabs around it.
#[must_use]
pub fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
