//! Distinct values, numbered in order of appearance.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// A dictionary of byte strings: the code of each is how many others were seen before it.
///
/// Words lie one after another, and the table has their codes alone: what is looked up for every line
/// stays in the cache.
#[derive(Clone, Default)]
pub(crate) struct Words {
    hasher: RandomState,
    list: List,
    codes: HashTable<i32>,
}

/// Words in order of their codes.
#[derive(Clone, Default)]
struct List {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl List {
    fn word(&self, code: usize) -> &[u8] {
        let from = if code == 0 { 0 } else { self.ends[code - 1] };
        &self.bytes[from..self.ends[code]]
    }
}

impl Words {
    /// The code of a word, a new one for a new word; None once codes have run out.
    #[inline]
    pub fn code(&mut self, word: &[u8]) -> Option<i32> {
        let (list, hasher) = (&self.list, &self.hasher);
        let known = |&code: &i32| list.word(code as usize) == word;
        let hash = |&code: &i32| hasher.hash_one(list.word(code as usize));
        let free = match self.codes.entry(hasher.hash_one(word), known, hash) {
            Entry::Occupied(found) => return Some(*found.get()),
            Entry::Vacant(free) => free,
        };
        let code = i32::try_from(self.list.ends.len())
            .ok()
            .filter(|&code| code < i32::MAX)?;
        free.insert(code);
        self.list.bytes.extend_from_slice(word);
        self.list.ends.push(self.list.bytes.len());
        Some(code)
    }

    /// All words, in order of their codes.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|code| self.list.word(code))
    }

    /// Words so far.
    pub fn len(&self) -> usize {
        self.list.ends.len()
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
