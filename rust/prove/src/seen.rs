//! One request as the prover sees it.

/// The end of a request that is not known to have ended.
pub(crate) const NEVER: i64 = -1;

/// Times of a whole log are below this, and windows are cut down to it: no sum overflows.
pub(crate) const TIME_LIMIT: i64 = 1 << 61;

/// The kinds of answers to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// It passed the limiter.
    Admitted,
    /// The limiter refused it.
    Rejected,
    /// The log does not show which.
    #[default]
    Unknown,
}

/// A key. Names are ordered by digest, so that what comes first among equals does not
/// depend on the order of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The digest of its text.
    pub digest: u64,
    /// Its code in the log.
    pub code: usize,
}

/// One row of a log.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The code of its key.
    pub key: usize,
    /// The kind of its answer.
    pub kind: Kind,
    /// Instant at which it was sent.
    pub sent_ns: i64,
    /// Instant at which it was answered or had failed; None where the log does not say.
    pub end_ns: Option<i64>,
}

/// The interval of one request, in ns from the earliest instant of its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Instant at which it was sent.
    pub sent: i64,
    /// Instant at which it was answered or had failed, or `NEVER`.
    pub end: i64,
}

/// One request of a key, with its place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Instant at which it was sent.
    pub sent: i64,
    /// Instant at which it was answered or had failed, or `NEVER`.
    pub end: i64,
    /// The number of its row.
    pub row: u32,
    mark: u32,
}

impl Request {
    /// One whose answer is of this kind, and says what has this number (below 2^30).
    #[inline]
    pub fn new(sent: i64, end: i64, row: u32, kind: Kind, said: u32) -> Self {
        Self {
            sent,
            end,
            row,
            mark: said << 2 | kind as u32,
        }
    }

    /// The number of what its answer says, 0 where it says nothing.
    #[inline]
    pub fn said(&self) -> u32 {
        self.mark >> 2
    }

    /// The kind of its answer.
    #[inline]
    pub fn kind(&self) -> Kind {
        match self.mark & 3 {
            0 => Kind::Admitted,
            1 => Kind::Rejected,
            _ => Kind::Unknown,
        }
    }

    /// Its interval.
    pub fn seen(&self) -> Seen {
        Seen {
            sent: self.sent,
            end: self.end,
        }
    }
}
