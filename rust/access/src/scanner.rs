//! Lines become columns.

use memchr::memchr;

use crate::program::{Memory, Program, Told};
use crate::words::Words;

/// The integer that stands for none.
pub const NULL: i64 = i64::MIN;

/// Lines that are kept, and their bytes, of those that are not understood.
const SHOWN: usize = 3;
const SHOWN_BYTES: usize = 400;
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

/// A line that was not understood: its number, counted from 1, and how it begins.
pub type Line = (u64, Vec<u8>);

/// The requests that were found, and the lines that were not understood.
#[derive(Default)]
pub struct Findings {
    /// The earliest and the latest instant at which each request was decided, its status, its line.
    pub sent: Vec<i64>,
    /// See `sent`.
    pub received: Vec<i64>,
    /// [`NULL`] where no answer was sent.
    pub status: Vec<i64>,
    /// Counted from 1.
    pub line: Vec<i64>,
    /// Of each group of fields that was asked for: a code a row, and the words.
    pub groups: Vec<(Vec<i32>, Words)>,
    /// Lines in all, without empty ones and comments.
    pub lines: u64,
    /// Those that were not understood, and the first of them.
    pub strange: u64,
    /// See `strange`.
    pub shown: Vec<Line>,
    /// The latest instant at which a request had ended, for certain.
    pub done_ns: i64,
    /// The most that a request ended before one in a line above, and the line.
    pub back_ns: i64,
    /// See `back_ns`.
    pub back_line: u64,
    /// The greatest step of a stamp.
    pub step_ns: i64,
    /// The longest duration that the log notes.
    pub longest_ns: i64,
    /// Requests without a duration.
    pub untimed: u64,
}

/// Runs a program on every line of what it is fed.
pub struct Scanner {
    program: Program,
    groups: Vec<Vec<usize>>,
    reach: Reach,
    found: Findings,
    tail: Vec<u8>,
    overlong: bool,
    number: u64,
    spans: Vec<(usize, usize)>,
    memory: Memory,
    joined: Vec<u8>,
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
        let found = Findings {
            groups: groups.iter().map(|_| Default::default()).collect(),
            done_ns: NULL,
            ..Findings::default()
        };
        Ok(Self {
            program,
            groups,
            reach,
            found,
            tail: Vec::new(),
            overlong: false,
            number: 0,
            spans: Vec::new(),
            memory: Memory::default(),
            joined: Vec::new(),
        })
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.found.sent.len()
    }

    /// Reads the next bytes of the log; a line may be cut anywhere.
    pub fn feed(&mut self, mut bytes: &[u8]) {
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

    /// The findings, after the last line, which may lack its end.
    #[must_use]
    pub fn finish(mut self) -> Findings {
        if !self.tail.is_empty() || self.overlong {
            self.end_line();
        }
        self.found
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
            return;
        }
        let told = self.program.read(line, &mut self.spans, &mut self.memory);
        if told.is_none_or(|told| self.row(line, told).is_none()) {
            self.refuse(line);
        } else {
            self.found.lines += 1;
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
        for (fields, (codes, words)) in self.groups.iter().zip(&mut self.found.groups) {
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
        let found = &mut self.found;
        found.sent.push(sent);
        found.received.push(last + reach.slack_ns);
        found.status.push(told.status.unwrap_or(NULL));
        found.line.push(self.number as i64);
        found.step_ns = found.step_ns.max(stamp.step);
        match told.duration {
            Some(duration) => found.longest_ns = found.longest_ns.max(duration.ns + duration.step),
            None => found.untimed += u64::from(told.began.is_none()),
        }
        if done >= found.done_ns {
            found.done_ns = done;
        } else if found.done_ns - done > found.back_ns {
            (found.back_ns, found.back_line) = (found.done_ns - done, self.number);
        }
        Some(())
    }
}
