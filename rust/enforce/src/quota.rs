//! What a table promises: an algorithm and its figures.

use std::fmt;
use std::str::FromStr;

use crate::clock::MAX_WINDOW_NS;
use crate::error::Error;
use crate::{bucket, counter, log, window};

/// The largest limit of the algorithms that only count.
pub const MAX_LIMIT: u64 = 1_000_000_000;

/// How admissions are counted; the names are those of `rateproof.policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Never more than `limit` in any window.
    SlidingLog,
    /// A bucket of `burst` tokens that gains `limit` a window.
    TokenBucket,
    /// Windows that begin at the multiples of their length.
    FixedWindow,
    /// Windows that begin with an admission.
    FirstHitWindow,
    /// A fixed window and the share of the one before that still lies within W.
    SlidingCounter,
}

impl Algorithm {
    /// Every algorithm. Its place here is its number in the header of a table.
    pub const ALL: [Self; 5] = [
        Self::SlidingLog,
        Self::TokenBucket,
        Self::FixedWindow,
        Self::FirstHitWindow,
        Self::SlidingCounter,
    ];

    /// The name in a policy.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SlidingLog => "sliding-log",
            Self::TokenBucket => "token-bucket",
            Self::FixedWindow => "fixed-window",
            Self::FirstHitWindow => "first-hit-window",
            Self::SlidingCounter => "sliding-counter",
        }
    }

    /// The largest limit that a table of it counts.
    #[must_use]
    pub fn max_limit(self) -> u64 {
        match self {
            Self::SlidingLog => log::MAX_LIMIT,
            Self::SlidingCounter => counter::MAX_LIMIT,
            _ => MAX_LIMIT,
        }
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|known| known.name() == name);
        known.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|known| known.name()).collect();
            Error::invalid(
                format!("algorithm is {name:?}"),
                format!("one of {}", names.join(", ")),
            )
        })
    }
}

/// One limit over one window, kept by one algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How admissions are counted.
    pub algorithm: Algorithm,
    /// Admissions a window.
    pub limit: u64,
    /// The window in nanoseconds, half-open: exactly as much later is a new window.
    pub window_ns: u64,
    /// The most admissions at once: the size of a token bucket, else the limit.
    pub burst: u64,
}

impl Quota {
    /// The exact sliding log, at most `limit` admissions in any window.
    #[must_use]
    pub fn sliding_log(limit: u64, window_ns: u64) -> Self {
        Self {
            algorithm: Algorithm::SlidingLog,
            limit,
            window_ns,
            burst: limit,
        }
    }

    /// Whether a table can keep it.
    pub(crate) fn check(&self) -> Result<(), Error> {
        within("limit", self.limit, self.algorithm.max_limit())?;
        within("window_ns", self.window_ns, MAX_WINDOW_NS)?;
        within("burst", self.burst, MAX_LIMIT)?;
        match self.algorithm {
            Algorithm::TokenBucket => return bucket::check(self),
            Algorithm::FirstHitWindow => window::check(self)?,
            _ => {}
        }
        if self.burst == self.limit {
            return Ok(());
        }
        Err(Error::invalid(
            format!("burst is {} with {}", self.burst, self.algorithm.name()),
            "the limit: only a token-bucket has a burst of its own",
        ))
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (
            algorithm,
            Self {
                limit,
                window_ns,
                burst,
                ..
            },
        ) = (self.algorithm.name(), self);
        write!(
            out,
            "algorithm {algorithm}, limit {limit}, window_ns {window_ns}, burst {burst}"
        )
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
