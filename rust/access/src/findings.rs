//! The requests of lines, in columns, and what is known of the log as a whole.

/// The integer that stands for none.
pub const NULL: i64 = i64::MIN;

/// Lines that are kept of those that are not understood.
pub(crate) const SHOWN: usize = 3;

/// A line that was not understood: its number, counted from 1, and how it begins.
pub type Line = (u64, Vec<u8>);

/// The requests that were found, and the lines that were not understood.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The earliest and the latest instant at which each request was decided, its status, its line.
    pub sent: Vec<i64>,
    /// See `sent`.
    pub received: Vec<i64>,
    /// [`NULL`] where no answer was sent.
    pub status: Vec<i64>,
    /// Counted from 1.
    pub line: Vec<i64>,
    /// Of each group of fields that was asked for: the code of a word a row; see `Scanner::words`.
    pub groups: Vec<Vec<i32>>,
    /// Of each field that was asked for: the hash of its value a row; see `Scanner::hashing`.
    pub hashes: Vec<Vec<u32>>,
    /// Lines in all, without empty ones and comments.
    pub lines: u64,
    /// Those that were not understood, and the first of them.
    pub strange: u64,
    /// See `strange`.
    pub shown: Vec<Line>,
    /// The latest instant at which a request had ended, for certain.
    pub done_ns: i64,
    /// The earliest such instant, and its line.
    pub(crate) first_done: (i64, u64),
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
    /// Requests whose stamp is a local time without a zone.
    pub local: u64,
    /// Last lines of files that were cut off.
    pub cut: u64,
    /// The first line `#Fields:` that differs from the one before it.
    pub turned: Option<Line>,
}

impl Findings {
    /// Nothing, of so many groups of fields and so many fields that are hashed.
    pub(crate) fn new(groups: usize, hashed: usize) -> Self {
        Self {
            groups: vec![Vec::new(); groups],
            hashes: vec![Vec::new(); hashed],
            done_ns: NULL,
            first_done: (i64::MAX, 0),
            ..Self::default()
        }
    }

    /// Takes the rows; what is known of the log as a whole stays.
    pub(crate) fn take(&mut self) -> Self {
        let room = self.sent.len();
        let fresh = Self {
            sent: Vec::with_capacity(room),
            received: Vec::with_capacity(room),
            status: Vec::with_capacity(room),
            line: Vec::with_capacity(room),
            groups: vec![Vec::with_capacity(room); self.groups.len()],
            hashes: vec![Vec::with_capacity(room); self.hashes.len()],
            shown: self.shown.clone(),
            turned: self.turned.clone(),
            ..*self
        };
        std::mem::replace(self, fresh)
    }

    /// Adds, and takes away, what was found in the lines that follow `before` others; `codes` are
    /// those of its words here. It has no columns that turned.
    pub(crate) fn append(&mut self, next: &mut Self, before: u64, codes: &[Vec<i32>]) {
        self.sent.append(&mut next.sent);
        self.received.append(&mut next.received);
        self.status.append(&mut next.status);
        let lines = next.line.drain(..);
        self.line.extend(lines.map(|line| line + before as i64));
        let groups = self.groups.iter_mut().zip(&mut next.groups);
        for ((own, more), codes) in groups.zip(codes) {
            own.extend(more.drain(..).map(|code| codes[code as usize]));
        }
        for (own, more) in self.hashes.iter_mut().zip(&mut next.hashes) {
            own.append(more);
        }
        self.lines += next.lines;
        self.strange += next.strange;
        let room = SHOWN - self.shown.len();
        let shown = next.shown.drain(..).take(room);
        self.shown
            .extend(shown.map(|(line, begun)| (line + before, begun)));
        // How far back a line is: behind one of its own, or behind one of those before.
        let mut backs = vec![(next.back_ns, next.back_line + before)];
        let (first_ns, first_line) = next.first_done;
        if self.done_ns != NULL && first_line > 0 {
            backs.push((self.done_ns - first_ns, first_line + before));
        }
        for (back_ns, line) in backs {
            if back_ns > self.back_ns || (back_ns == self.back_ns && line < self.back_line) {
                (self.back_ns, self.back_line) = (back_ns, line);
            }
        }
        self.done_ns = self.done_ns.max(next.done_ns);
        self.step_ns = self.step_ns.max(next.step_ns);
        self.longest_ns = self.longest_ns.max(next.longest_ns);
        self.untimed += next.untimed;
        self.local += next.local;
        self.cut += next.cut;
        *next = next.cleared();
    }

    /// Nothing, in the memory of this.
    fn cleared(&mut self) -> Self {
        let taken = std::mem::replace(self, Self::new(0, 0));
        Self {
            sent: taken.sent,
            received: taken.received,
            status: taken.status,
            line: taken.line,
            groups: taken.groups,
            hashes: taken.hashes,
            shown: taken.shown,
            ..Self::new(0, 0)
        }
    }
}
