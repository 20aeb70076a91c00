//! The promise of a table: an algorithm and its figures.

use std::fmt;

use crate::clock::MAX_WINDOW_NS;
use crate::error::Error;
use crate::kernel::{Figures, Kernel, STATE_BITS};

/// The largest limit of the algorithms that only count.
pub const MAX_LIMIT: u64 = 1_000_000_000;

/// The way in which admissions are counted; the algorithms are in `algorithms.rs`.
#[derive(Clone, Copy)]
pub struct Algorithm(pub(crate) &'static Spec);

/// The crate's record of an algorithm; each has one in its own file.
pub(crate) struct Spec {
    /// As in `rateproof.policy`.
    pub(crate) name: &'static str,
    /// The largest limit that a table of it counts.
    pub(crate) max_limit: u64,
    /// True if a quota may have a burst other than its limit.
    pub(crate) own_burst: bool,
    /// The number that it wants of a quota beside these.
    pub(crate) parameter: Parameter,
    /// Refuses figures that it cannot keep.
    pub(crate) check: fn(&Quota) -> Result<(), Error>,
    /// See [`Quota::memory_ns`].
    pub(crate) memory_ns: fn(&Quota) -> u64,
    /// The layout of its tables.
    pub(crate) kernel: Kernel,
}

/// A number of its own that an algorithm wants of a quota, from 1 to `most`; see `rateproof.policy`.
#[derive(Clone, Copy)]
pub struct Parameter {
    /// Its name in the text of a policy.
    pub word: &'static str,
    /// Taken if nobody says more.
    pub default: u64,
    /// The largest; 0: it has none.
    pub most: u64,
}

impl Parameter {
    /// Of an algorithm that has none.
    pub(crate) const NONE: Self = Self {
        word: "parameter",
        default: 0,
        most: 0,
    };
}

impl Algorithm {
    /// The name in a policy.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// The largest limit that a table of it counts.
    #[must_use]
    pub fn max_limit(self) -> u64 {
        self.0.max_limit
    }

    /// The number that it wants of a quota beside limit, window and burst.
    #[must_use]
    pub fn parameter(self) -> Parameter {
        self.0.parameter
    }
}

impl PartialEq for Algorithm {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Algorithm {}

impl fmt::Debug for Algorithm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// One limit over one window, kept by one algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The way in which admissions are counted.
    pub algorithm: Algorithm,
    /// Admissions a window.
    pub limit: u64,
    /// The window in nanoseconds, half-open: exactly as much later is a new window.
    pub window_ns: u64,
    /// The most admissions at once: the size of a token bucket, else the limit.
    pub burst: u64,
    /// The algorithm's own number, such as that of blocks; 0 of one that has none.
    pub parameter: u64,
}

impl Quota {
    /// At most `limit` in a window, with the burst and the parameter that it has if nobody says more.
    #[must_use]
    pub fn new(algorithm: Algorithm, limit: u64, window_ns: u64) -> Self {
        Self {
            algorithm,
            limit,
            window_ns,
            burst: limit,
            parameter: algorithm.parameter().default,
        }
    }

    /// Refuses what no table can keep.
    ///
    /// # Errors
    /// `InvalidArgument`: which figure, and what would be accepted.
    pub fn check(&self) -> Result<(), Error> {
        within("limit", self.limit, self.algorithm.max_limit())?;
        within("window_ns", self.window_ns, MAX_WINDOW_NS)?;
        within("burst", self.burst, MAX_LIMIT)?;
        let own = self.algorithm.0.parameter;
        if own.most > 0 {
            within(own.word, self.parameter, own.most)?;
        } else if self.parameter != 0 {
            return Err(Error::invalid(
                format!(
                    "parameter is {} with {}",
                    self.parameter,
                    self.algorithm.name()
                ),
                "0: it has none",
            ));
        }
        (self.algorithm.0.check)(self)?;
        if self.algorithm.0.own_burst || self.burst == self.limit {
            return Ok(());
        }
        Err(Error::invalid(
            format!("burst is {} with {}", self.burst, self.algorithm.name()),
            "the limit: it has no burst of its own",
        ))
    }

    /// The time for which an admission can matter to a later decision.
    #[must_use]
    pub fn memory_ns(&self) -> u64 {
        (self.algorithm.0.memory_ns)(self)
    }

    /// The time for which one admission binds: of a token bucket, until its token is back.
    #[must_use]
    pub fn held_ns(&self) -> u64 {
        Self { burst: 1, ..*self }.memory_ns()
    }

    /// Gives what follows from it, once it was checked.
    pub(crate) fn figures(&self) -> Figures {
        let token_ns = self.window_ns.div_ceil(self.limit);
        let bits = u64::BITS - self.limit.leading_zeros();
        let indices = 1 << (STATE_BITS - bits);
        Figures {
            limit: self.limit,
            window_ns: self.window_ns,
            bits,
            block_ns: self.window_ns.div_ceil(self.parameter.max(1)),
            indices: indices - indices % (self.parameter + 1),
            token_ns,
            burst_ns: self.burst.wrapping_mul(token_ns),
            kernel: self.algorithm.0.kernel,
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            algorithm,
            limit,
            window_ns,
            burst,
            parameter,
        } = self;
        write!(
            out,
            "algorithm {algorithm:?}, limit {limit}, window_ns {window_ns}, burst {burst}"
        )?;
        match parameter {
            0 => Ok(()),
            number => write!(out, ", {} {number}", algorithm.0.parameter.word),
        }
    }
}

/// Refuses what is not from 1 to `most`.
pub(crate) fn within(name: &str, value: u64, most: u64) -> Result<(), Error> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(
        format!("{name} is {value}"),
        format!("from 1 to {most}"),
    ))
}
