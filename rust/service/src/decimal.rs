//! Numbers in decimal digits, without the machinery of formatting: several are in each answer.

use std::str;

/// The most digits of 64 bits, and a sign.
const MOST: usize = 20;

/// A number as text.
pub struct Decimal {
    room: [u8; MOST],
    begin: usize,
}

impl Decimal {
    pub fn of(number: u64) -> Self {
        let (mut room, mut begin, mut rest) = ([0; MOST], MOST, number);
        loop {
            begin -= 1;
            room[begin] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return Self { room, begin };
            }
        }
    }

    pub fn text(&self) -> &str {
        // SAFETY: from there on all are digits.
        unsafe { str::from_utf8_unchecked(&self.room[self.begin..]) }
    }
}

/// Appends pieces of text.
pub fn put(out: &mut Vec<u8>, pieces: &[&str]) {
    for piece in pieces {
        out.extend_from_slice(piece.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_formatting_says() {
        for number in [0, 1, 9, 10, 99, 100, 12_345, u64::MAX / 2, u64::MAX] {
            assert_eq!(Decimal::of(number).text(), number.to_string());
        }
    }
}
