//! Any bytes are commands of RESP, in any pieces.

#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;

#[path = "../../src/frame.rs"]
#[allow(dead_code)]
mod frame;
#[path = "../../src/visible.rs"]
#[allow(dead_code)]
mod visible;

use frame::{MOST_BYTES, MOST_WORDS, Words, command};

type Owned = Vec<Vec<u8>>;

fuzz_target!(|bytes: &[u8]| {
    let mut at = 0;
    while let Ok(Some((length, words))) = read(&bytes[at..]) {
        assert!(0 < length && at + length <= bytes.len());
        assert!(words.len() <= MOST_WORDS);
        assert!(words.iter().map(Vec::len).sum::<usize>() < MOST_WORDS * MOST_BYTES);
        is_the_same_in_pieces(&bytes[at..at + length], &words);
        is_read_back(&words);
        at += length;
    }
});

fn read(bytes: &[u8]) -> Result<Option<(usize, Owned)>, String> {
    let mut words = Words::new();
    let length = command(bytes, &mut words)?;
    let words = words.into_iter().map(Cow::into_owned).collect();
    Ok(length.map(|length| (length, words)))
}

/// A command that is cut off waits for the rest: it is neither another command nor an error.
fn is_the_same_in_pieces(whole: &[u8], words: &Owned) {
    for cut in (0..whole.len()).step_by(1 + whole.len() / 64) {
        assert_eq!(read(&whole[..cut]), Ok(None));
    }
    assert_eq!(read(whole), Ok(Some((whole.len(), words.clone()))));
}

/// The words as a client writes them are these words.
fn is_read_back(words: &Owned) {
    let mut written = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        written.extend(format!("${}\r\n", word.len()).bytes());
        written.extend(word);
        written.extend(b"\r\n");
    }
    assert_eq!(read(&written), Ok(Some((written.len(), words.clone()))));
}
