//! A second scanner, which reads the second half of a large piece while the first half is read.

use std::thread::{Builder, scope};

use memchr::{memchr, memmem};

use crate::scanner::Scanner;

/// Words that a second scanner remembers: more of them take too much memory twice.
const MOST_WORDS: usize = 1 << 18;
/// With more words than this codes may run out, and each is to be given with care.
const MANY_WORDS: usize = 1 << 30;

/// The second scanner, and the codes that the first has for its words.
#[derive(Clone)]
pub(crate) struct Helper {
    scanner: Scanner,
    codes: Vec<Vec<i32>>,
    least: usize,
}

impl Helper {
    /// Of pieces of so many bytes or more, from a scanner that has read nothing; `codes` are empty,
    /// one list for each group of words.
    pub fn new(scanner: Scanner, codes: Vec<Vec<i32>>, least: usize) -> Self {
        Self {
            scanner,
            codes,
            least,
        }
    }

    /// Lets the first scanner read a piece, or a half of it and this the other: the same is found.
    pub fn feed(&mut self, first: &mut Scanner, bytes: &[u8]) {
        let Some((begin, rest)) = self
            .halves(bytes)
            .filter(|_| first.most_words() < MANY_WORDS)
        else {
            return first.read(bytes);
        };
        let second = &mut self.scanner;
        let helped = scope(|scope| {
            let started = Builder::new().spawn_scoped(scope, || second.read(rest));
            let started = started.is_ok();
            first.read(begin);
            started
        });
        if !helped {
            return first.read(rest);
        }
        first.take_over(&mut self.scanner, &mut self.codes);
        if self.scanner.most_words() > MOST_WORDS {
            self.forget(0);
        }
    }

    /// Forgets words, as the first scanner does.
    pub fn forget(&mut self, from: usize) {
        self.scanner.forget(from);
        self.codes.iter_mut().skip(from).for_each(Vec::clear);
    }

    /// Two parts of whole lines, if there is something for both. Columns that turn are noticed in
    /// order only.
    fn halves<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        if bytes.len() < self.least || memmem::find(bytes, b"#Fields:").is_some() {
            return None;
        }
        let middle = bytes.len() / 2;
        let end = middle + memchr(b'\n', &bytes[middle..])?;
        Some(bytes.split_at(end + 1))
    }
}

#[cfg(test)]
mod tests {
    use crate::program::{Kind, Program, Step};
    use crate::scanner::{Reach, Scanner};

    fn scanner() -> Scanner {
        let step = |kind, until: &str| Step {
            kind,
            until: until.into(),
        };
        let program = Program {
            prefix: Vec::new(),
            steps: vec![
                step(Kind::Text, " "),
                step(Kind::Epoch(1_000_000_000), " "),
                step(Kind::Status, ""),
            ],
            open: false,
            escaped: true,
            tree: None,
        };
        let reach = Reach {
            before: true,
            after: false,
            longest_ns: 1_000,
            slack_ns: 0,
        };
        let scanner = Scanner::new(program, vec![vec![0], vec![0, 2]], reach).unwrap();
        scanner.hashing(vec![0]).unwrap()
    }

    #[test]
    fn two_scanners_find_what_one_finds() {
        let mut log = String::new();
        for number in 0..600_u64 {
            let stamp = 1_000 + number - number * number % 41;
            let (client, end) = (number * number % 23, ["", "\r", " x"][number as usize % 3]);
            log += &format!("client-{client} {stamp} {}{end}\n", 200 + number % 3);
            if number % 97 == 0 {
                log += "\n#Fields: a b\n";
            }
        }
        log += "client-9 1500 2";
        for size in [1, 7, 100, 3_000, log.len()] {
            let (mut one, mut two) = (scanner(), scanner().side_by_side(40));
            for (number, piece) in log.as_bytes().chunks(size).enumerate() {
                one.feed(piece);
                two.feed(piece);
                if number % 50 == 49 {
                    let from = number / 50 % 2;
                    one.forget(from);
                    two.forget(from);
                }
            }
            one.end();
            two.end();
            for group in 0..2 {
                assert!(one.words(group).eq(two.words(group)), "{size}");
            }
            assert_eq!(one.number(), two.number());
            let [mut one, mut two] = [one.take(), two.take()];
            one.first_done = (0, 0); // what it is for is only known of the second half
            two.first_done = (0, 0);
            assert_eq!(format!("{one:?}"), format!("{two:?}"), "{size}");
        }
    }
}
