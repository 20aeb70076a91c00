//! Lines become columns.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use memchr::{memchr, memchr2};

use crate::findings::{Findings, NULL, SHOWN};
use crate::helper::Helper;
use crate::program::{Memory, Program, Told};
use crate::words::Words;

/// Bytes that are kept of a line that is not understood.
const SHOWN_BYTES: usize = 400;
const LONGEST_COLUMNS: usize = 4096;
/// A longer line is no line of an access log.
const LONGEST_LINE: usize = 4 << 20;

/// The reach from a stamp within which its request was decided.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// The stamp may be that of the end: the decision may lie before it.
    pub before: bool,
    /// The stamp may be that of the beginning: the decision may lie behind it.
    pub after: bool,
    /// The longest that a request lasts of which the log does not say it.
    pub longest_ns: i64,
    /// The most by which the clock that the server reads may be late.
    pub slack_ns: i64,
}

/// Runs a program on every line of what it is fed.
#[derive(Clone)]
pub struct Scanner {
    program: Program,
    groups: Vec<Vec<usize>>,
    hashed: Vec<usize>,
    hasher: FixedState,
    reach: Reach,
    found: Findings,
    words: Vec<Words>,
    taken: Vec<usize>,
    tail: Vec<u8>,
    overlong: bool,
    number: u64,
    spans: Vec<(usize, usize)>,
    memory: Memory,
    joined: Vec<u8>,
    columns: Vec<u8>,
    helper: Option<Box<Helper>>,
}

impl Scanner {
    /// A scanner for a format. Each group of steps becomes a column of words: the fields, joined by
    /// a line feed, which no field has.
    ///
    /// # Errors
    ///
    /// A group has the number of a step that there is not.
    pub fn new(program: Program, groups: Vec<Vec<usize>>, reach: Reach) -> Result<Self, String> {
        if let Some(step) = groups
            .iter()
            .flatten()
            .find(|&&at| at >= program.steps.len())
        {
            return Err(format!("step {step} of {}", program.steps.len()));
        }
        Ok(Self {
            found: Findings::new(groups.len(), 0),
            program,
            words: groups.iter().map(|_| Words::default()).collect(),
            taken: vec![0; groups.len()],
            groups,
            hashed: Vec::new(),
            hasher: FixedState::default(),
            reach,
            tail: Vec::new(),
            overlong: false,
            number: 0,
            spans: Vec::new(),
            memory: Memory::default(),
            joined: Vec::new(),
            columns: Vec::new(),
            helper: None,
        })
    }

    /// Lets pieces of so many bytes or more be read by two threads.
    #[must_use]
    pub fn side_by_side(mut self, least: usize) -> Self {
        let codes = vec![Vec::new(); self.groups.len()];
        self.helper = Some(Box::new(Helper::new(self.clone(), codes, least)));
        self
    }

    /// Lets the values of these steps become columns of hashes: the same number for the same value,
    /// where what comes before a slash and from a question mark or the blank behind it on does not
    /// count. Of a first line of a request that is its path.
    ///
    /// # Errors
    ///
    /// There is no such step.
    pub fn hashing(mut self, steps: Vec<usize>) -> Result<Self, String> {
        if let Some(step) = steps.iter().find(|&&at| at >= self.program.steps.len()) {
            return Err(format!("step {step} of {}", self.program.steps.len()));
        }
        self.found.hashes = vec![Vec::new(); steps.len()];
        self.hashed = steps;
        Ok(self)
    }

    /// Takes the rows that were found since the last time. What is known of the log as a whole
    /// stays, and words do until they are forgotten.
    #[must_use]
    pub fn take(&mut self) -> Findings {
        self.found.take()
    }

    /// Reads the next bytes of the log; a line may be cut anywhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        let Some(mut helper) = self.helper.take() else {
            return self.read(bytes);
        };
        helper.feed(self, bytes);
        self.helper = Some(helper);
    }

    /// Reads bytes by itself.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            bytes = &rest[1..];
            if self.tail.is_empty() && !self.overlong {
                self.line(line);
            } else {
                self.keep(line);
                self.end_line();
            }
        }
        self.keep(bytes);
    }

    /// The words of a group that are new since words were last forgotten or passed on.
    pub fn words(&self, group: usize) -> impl Iterator<Item = &[u8]> {
        self.words[group].iter().skip(self.taken[group])
    }

    /// Forgets the words of this group and of those behind it: words to come are numbered anew.
    pub fn forget(&mut self, from: usize) {
        let groups = self.words.iter_mut().zip(&mut self.taken).skip(from);
        groups.for_each(|(words, taken)| (*words, *taken) = (Words::default(), 0));
        if let Some(helper) = &mut self.helper {
            helper.forget(from);
        }
    }

    /// Rows that were found since they were last taken.
    #[must_use]
    pub fn held(&self) -> usize {
        self.found.sent.len()
    }

    /// Takes over what another scanner found in the bytes behind; `codes` are those of its words
    /// here, and are completed.
    pub(crate) fn take_over(&mut self, next: &mut Self, codes: &mut [Vec<i32>]) {
        for ((own, more), codes) in self.words.iter_mut().zip(&next.words).zip(&mut *codes) {
            let fresh = more.iter().skip(codes.len());
            codes.extend(fresh.map(|word| own.code(word).expect("fewer words than codes")));
        }
        self.found.append(&mut next.found, self.number, codes);
        self.number += std::mem::take(&mut next.number);
        std::mem::swap(&mut self.tail, &mut next.tail);
        self.overlong = std::mem::take(&mut next.overlong);
    }

    /// The most words of any group.
    pub(crate) fn most_words(&self) -> usize {
        self.words.iter().map(Words::len).max().unwrap_or(0)
    }

    /// Words that there are now are known to the caller, and keep their codes.
    pub fn pass_on(&mut self) {
        for (taken, words) in self.taken.iter_mut().zip(&self.words) {
            *taken = words.len();
        }
    }

    /// Lines so far, of all kinds.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Ends a file. Its last line may lack its end; one that is not understood is being written,
    /// and so may be one whose last field would look as well if it was half written.
    pub fn end(&mut self) {
        if self.tail.is_empty() && !self.overlong {
            return;
        }
        if self.program.hides_a_cut() {
            self.tail.clear();
            self.overlong = false;
            self.number += 1;
            self.found.cut += 1;
            return;
        }
        let strange = self.found.strange;
        self.end_line();
        if self.found.strange > strange {
            self.found.strange = strange;
            self.found.lines -= 1;
            self.found.cut += 1;
            self.found.shown.retain(|&(line, _)| line != self.number);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LONGEST_LINE.saturating_sub(self.tail.len());
        self.overlong |= bytes.len() > room;
        self.tail.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self) {
        let mut tail = std::mem::take(&mut self.tail);
        if std::mem::take(&mut self.overlong) {
            self.number += 1;
            self.refuse(&tail);
        } else {
            self.line(&tail);
        }
        tail.clear();
        self.tail = tail;
    }

    fn line(&mut self, line: &[u8]) {
        self.number += 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line[0] == b'#' {
            self.comment(line);
            return;
        }
        let told = self.program.read(line, &mut self.spans, &mut self.memory);
        if told.is_none_or(|told| self.row(line, told).is_none()) {
            self.refuse(line);
        } else {
            self.found.lines += 1;
        }
    }

    /// Notes the columns that follow, where a line says which.
    fn comment(&mut self, line: &[u8]) {
        if !line.starts_with(b"#Fields:") {
            return;
        }
        let line = &line[..line.len().min(LONGEST_COLUMNS)];
        if self.columns.is_empty() {
            self.columns.extend_from_slice(line);
        } else if self.columns != line && self.found.turned.is_none() {
            self.found.turned = Some((self.number, line.to_vec()));
        }
    }

    fn refuse(&mut self, line: &[u8]) {
        self.found.lines += 1;
        self.found.strange += 1;
        if self.found.shown.len() < SHOWN {
            let begun = line[..line.len().min(SHOWN_BYTES)].to_vec();
            self.found.shown.push((self.number, begun));
        }
    }

    /// Adds a row; None if the line has no stamp of our time, or words have run out.
    #[inline]
    fn row(&mut self, line: &[u8], told: Told) -> Option<()> {
        let (reach, stamp) = (self.reach, told.stamp?);
        let lasts = match told.duration {
            Some(duration) => duration.ns + duration.step,
            None => reach.longest_ns,
        };
        let first = match told.began {
            Some(began) => began.ns,
            None if reach.before => stamp.ns - lasts,
            None => stamp.ns,
        };
        let last = stamp.ns + stamp.step - 1 + if reach.after { lasts } else { 0 };
        let sent = first.min(last) - reach.slack_ns;
        if sent < 0 {
            return None; // of 1970: a clock that was never set
        }
        let done = match told.duration {
            Some(duration) if !reach.before => stamp.ns + duration.ns,
            _ => stamp.ns,
        };
        let groups = self.groups.iter().zip(&mut self.words);
        for ((fields, words), codes) in groups.zip(&mut self.found.groups) {
            let code = if let [field] = fields[..] {
                let (from, to) = self.spans[field];
                words.code(&line[from..to])
            } else {
                self.joined.clear();
                for (at, &field) in fields.iter().enumerate() {
                    if at > 0 {
                        self.joined.push(b'\n');
                    }
                    let (from, to) = self.spans[field];
                    self.joined.extend_from_slice(&line[from..to]);
                }
                words.code(&self.joined)
            };
            codes.push(code?);
        }
        for (&field, hashes) in self.hashed.iter().zip(&mut self.found.hashes) {
            let (from, to) = self.spans[field];
            hashes.push(self.hasher.hash_one(place(&line[from..to])) as u32);
        }
        let found = &mut self.found;
        found.sent.push(sent);
        found.received.push(last + reach.slack_ns);
        found.status.push(told.status.unwrap_or(NULL));
        found.line.push(self.number as i64);
        found.step_ns = found.step_ns.max(stamp.step);
        found.local += u64::from(told.local);
        match told.duration {
            Some(duration) => found.longest_ns = found.longest_ns.max(duration.ns + duration.step),
            None => found.untimed += u64::from(told.began.is_none()),
        }
        if done < found.first_done.0 {
            found.first_done = (done, self.number);
        }
        if done >= found.done_ns {
            found.done_ns = done;
        } else if found.done_ns - done > found.back_ns {
            (found.back_ns, found.back_line) = (found.done_ns - done, self.number);
        }
        Some(())
    }
}

/// The part of a value that counts; see `Scanner::hashing`.
fn place(value: &[u8]) -> &[u8] {
    // A user agent has no blank before its first slash.
    let Some(slash) = memchr(b'/', value) else {
        return value;
    };
    let path = &value[slash..];
    if slash > 0 && value[slash - 1] != b' ' {
        return value;
    }
    match memchr2(b'?', b' ', path) {
        Some(end) => &path[..end],
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Kind, Step};

    const REACH: Reach = Reach {
        before: true,
        after: false,
        longest_ns: 1_000,
        slack_ns: 0,
    };

    fn program<const N: usize>(steps: [(Kind, &str); N]) -> Program {
        let steps = steps.map(|(kind, until)| Step {
            kind,
            until: until.into(),
        });
        Program {
            prefix: Vec::new(),
            steps: steps.into(),
            open: false,
            escaped: true,
            tree: None,
        }
    }

    #[test]
    fn what_is_taken_in_pieces_is_what_is_taken_at_once() {
        let program = program([
            (Kind::Text, " "),
            (Kind::Epoch(1_000_000_000), " "),
            (Kind::Status, ""),
        ]);
        let log = b"a 100 200\nb 101 429\nnonsense\na 90 200\nb 102 200";
        let mut whole = Scanner::new(program.clone(), vec![vec![0]], REACH).unwrap();
        whole.feed(log);
        whole.end();
        let whole = whole.take();
        let mut pieces = Scanner::new(program, vec![vec![0]], REACH).unwrap();
        let (mut rows, mut words) = (Vec::new(), Vec::new());
        for piece in log.chunks(7) {
            pieces.feed(piece);
            let mut last = pieces.take();
            let known: Vec<&[u8]> = pieces.words(0).collect();
            rows.append(&mut last.sent);
            words.extend(
                last.groups[0]
                    .iter()
                    .map(|&code| known[code as usize].to_vec()),
            );
            pieces.forget(0);
        }
        assert_eq!(pieces.words(0).count(), 0);
        pieces.end();
        let end = pieces.take();
        rows.extend(&end.sent);
        assert_eq!(rows, whole.sent);
        assert_eq!(words, [&b"a"[..], b"b", b"a"]);
        assert_eq!((end.lines, end.strange), (whole.lines, whole.strange));
        assert_eq!((end.back_ns, end.back_line), (11_000_000_000, 4));
        assert_eq!(end.done_ns, whole.done_ns);
    }

    #[test]
    fn half_an_address_or_half_a_duration_is_not_taken_for_a_whole_one() {
        let rows = |kind, log: &[u8]| {
            let program = program([(Kind::Epoch(1_000_000_000), " "), (kind, "")]);
            let mut scanner = Scanner::new(program, vec![], REACH).unwrap();
            scanner.feed(log);
            scanner.end();
            let found = scanner.take();
            (found.sent.len(), found.cut)
        };
        for kind in [Kind::Text, Kind::Duration(1_000_000_000)] {
            assert_eq!(rows(kind, b"100 12\n101 1"), (1, 1));
            assert_eq!(rows(kind, b"100 12\n101 1\n"), (2, 0));
        }
        assert_eq!(rows(Kind::Status, b"100 200\n101 429"), (2, 0));
        assert_eq!(rows(Kind::Number, b"100 512\n101 5"), (2, 0));
    }
}
