//! Answers on the wire of RESP 2 and 3.

use crate::pieces::put;

/// Letters of an error, at most: it may repeat what a client sent.
const MOST_LETTERS: usize = 1024;

/// The buffer into which answers to one client are written.
pub struct Reply<'a> {
    pub out: &'a mut Vec<u8>,
    /// The version of the protocol that the client asked for: 2 or 3.
    pub version: u8,
}

impl Reply<'_> {
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text);
    }

    /// An error; its first word is a code. Of text that a client gave, no line breaks are left.
    pub fn error(&mut self, text: &str) {
        let shown = |letter: char| if letter.is_control() { ' ' } else { letter };
        let text: String = text.chars().map(shown).take(MOST_LETTERS).collect();
        self.line(b'-', &text);
    }

    pub fn integer(&mut self, number: i64) {
        self.number(b':', number);
    }

    pub fn bulk(&mut self, bytes: &[u8]) {
        self.number(b'$', bytes.len() as i64);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    pub fn null(&mut self) {
        let text = if self.version == 3 {
            "_\r\n"
        } else {
            "$-1\r\n"
        };
        put!(self.out, text);
    }

    /// Text for people.
    pub fn text(&mut self, text: &str) {
        if self.version < 3 {
            return self.bulk(text.as_bytes());
        }
        self.number(b'=', text.len() as i64 + 4);
        self.line(b't', &format!("xt:{text}"));
    }

    /// So many answers follow, which are one.
    pub fn array(&mut self, count: usize) {
        self.number(b'*', count as i64);
    }

    /// So many pairs of answers follow.
    pub fn map(&mut self, count: usize) {
        match self.version {
            3 => self.number(b'%', count as i64),
            _ => self.array(2 * count),
        }
    }

    /// Numbers, as one answer.
    pub fn integers(&mut self, numbers: &[i64]) {
        self.array(numbers.len());
        for number in numbers {
            self.integer(*number);
        }
    }

    fn line(&mut self, kind: u8, text: &str) {
        self.out.push(kind);
        put!(self.out, text, "\r\n");
    }

    fn number(&mut self, kind: u8, number: i64) {
        match number {
            0..=9 => self
                .out
                .extend_from_slice(&[kind, b'0' + number as u8, b'\r', b'\n']),
            _ => {
                self.out.push(kind);
                put!(self.out, itoa::Buffer::new().format(number), "\r\n");
            }
        }
    }
}
