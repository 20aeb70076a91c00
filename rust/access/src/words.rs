//! Distinct values, numbered in order of appearance.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

/// A dictionary of byte strings: the code of each is how many others were seen before it.
///
/// Words lie one after another, and slots hold a part of the hash: what is looked up for every line
/// stays in the cache.
#[derive(Clone, Default)]
pub(crate) struct Words {
    hasher: RandomState,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// A power of two of them, at most half of them taken; a word is in the first free one from its
    /// hash on.
    slots: Vec<Slot>,
}

/// A part of a word's hash, and its code plus one; all zero where it is free.
#[derive(Clone, Copy, Default)]
struct Slot {
    hash: u32,
    number: u32,
}

impl Words {
    /// The code of a word, a new one for a new word; None once codes have run out.
    #[inline]
    pub fn code(&mut self, word: &[u8]) -> Option<i32> {
        if 2 * self.ends.len() >= self.slots.len() {
            self.grow();
        }
        let hash = self.hasher.hash_one(word);
        let (mut at, part) = (self.first(hash), (hash >> 32) as u32);
        while self.slots[at].number > 0 {
            let slot = self.slots[at];
            if slot.hash == part && self.word(slot.number as usize - 1) == word {
                return Some(slot.number as i32 - 1);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        let code = i32::try_from(self.ends.len())
            .ok()
            .filter(|&code| code < i32::MAX)?;
        self.slots[at] = Slot {
            hash: part,
            number: code as u32 + 1,
        };
        self.bytes.extend_from_slice(word);
        self.ends.push(self.bytes.len());
        Some(code)
    }

    /// All words, in order of their codes.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|code| self.word(code))
    }

    /// Words so far.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    fn word(&self, code: usize) -> &[u8] {
        let from = if code == 0 { 0 } else { self.ends[code - 1] };
        &self.bytes[from..self.ends[code]]
    }

    fn first(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    #[cold]
    fn grow(&mut self) {
        self.slots = vec![Slot::default(); (2 * self.slots.len()).max(64)];
        for code in 0..self.ends.len() {
            let hash = self.hasher.hash_one(self.word(code));
            let mut at = self.first(hash);
            while self.slots[at].number > 0 {
                at = (at + 1) & (self.slots.len() - 1);
            }
            self.slots[at] = Slot {
                hash: (hash >> 32) as u32,
                number: code as u32 + 1,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_the_codes_of_their_first_appearance_however_many_there_are() {
        let mut words = Words::default();
        let text =
            |number: i32| format!("{}{number}", "x".repeat(number as usize % 7)).into_bytes();
        assert_eq!(words.code(b""), Some(0));
        for number in 1..5_000 {
            assert_eq!(words.code(&text(number)), Some(number));
            assert_eq!(words.code(&text(number / 2 + 1)), Some(number / 2 + 1));
        }
        assert_eq!(words.code(b""), Some(0));
        assert_eq!(words.iter().count(), 5_000);
        assert!(words.iter().skip(1).eq((1..5_000).map(text)));
    }
}
