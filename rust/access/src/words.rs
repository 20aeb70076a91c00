//! Distinct values, numbered in order of appearance.

use std::collections::HashMap;

/// A dictionary of byte strings: the code of each is how many others were seen before it.
#[derive(Default)]
pub struct Words {
    code_of: HashMap<Box<[u8]>, i32>,
}

impl Words {
    /// The code of a word, a new one for a new word; None once codes have run out.
    pub fn code(&mut self, word: &[u8]) -> Option<i32> {
        if let Some(&code) = self.code_of.get(word) {
            return Some(code);
        }
        let code = i32::try_from(self.code_of.len()).ok()?;
        self.code_of.insert(word.into(), code);
        Some(code)
    }

    /// All words, in order of their codes.
    pub fn into_list(self) -> Vec<Box<[u8]>> {
        let mut list = vec![Box::default(); self.code_of.len()];
        for (word, code) in self.code_of {
            list[code as usize] = word;
        }
        list
    }
}
