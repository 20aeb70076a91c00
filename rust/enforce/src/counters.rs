//! Counters that threads and processes share, added to without contention.
//!
//! One page: a signature, and one line of words for each of a number of processors. Whoever
//! counts adds to the line of the processor that it runs on, so that two seldom meet; that the
//! sums are right does not depend on it. What is seldom counted has a word behind the signature.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::error::Error;
use crate::file;
use crate::mapping::Mapping;
use crate::sync::{AtomicU64, Ordering};
use crate::sys;

/// How many different things are counted.
pub const COUNTS: usize = 9;
/// Those that are counted often: a line each processor has of them. The others are seldom.
const OFTEN: usize = 8;

const SIGNATURE: u64 = u64::from_ne_bytes(*b"ratecnt\x01");
const LINES: usize = 63;
const BYTES: u64 = (8 * OFTEN * (1 + LINES)) as u64;

/// The counters, of this process and those it forks, or, with a path, of all who open the path.
pub struct Counters(Mapping);

impl Counters {
    /// Opens the counters at `path`, making them where there are none; without a path, in memory.
    ///
    /// # Errors
    /// `StoreError`: the file cannot be made, or is not this user's alone. `StoreMismatch`: it is
    /// something else.
    pub fn open(path: Option<&Path>) -> Result<Self, Error> {
        let name = path.map_or_else(|| "in memory".to_owned(), |path| path.display().to_string());
        let failed = |error: io::Error| {
            Error::store(
                format!("cannot open counters {name}: {error}"),
                "more room, or another name",
            )
        };
        let file = match path {
            Some(path) => file::named(path)?.file,
            None => sys::anonymous_file().map_err(failed)?,
        };
        let mapping = map(&file).map_err(failed)?;
        let signature = &mapping.words()[0];
        match signature.compare_exchange(0, SIGNATURE, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) | Err(SIGNATURE) => Ok(Self(mapping)),
            Err(_) => Err(Error::mismatch(
                format!("{name} holds no counters of the native core"),
                "choose another name, or remove the file while nothing uses it",
            )),
        }
    }

    /// One more of `which`, below [`COUNTS`].
    pub fn add(&self, which: usize) {
        let word = match which {
            0..OFTEN => &self.line(sys::processor() % LINES)[which],
            _ => self.seldom(which.min(COUNTS - 1)),
        };
        word.fetch_add(1, Ordering::Relaxed);
    }

    /// How many of each since the counters were made.
    #[must_use]
    pub fn totals(&self) -> [u64; COUNTS] {
        let mut totals = [0; COUNTS];
        for number in 0..LINES {
            for (total, word) in totals.iter_mut().zip(self.line(number)) {
                *total = u64::wrapping_add(*total, word.load(Ordering::Relaxed));
            }
        }
        for (which, total) in totals.iter_mut().enumerate().skip(OFTEN) {
            *total = self.seldom(which).load(Ordering::Relaxed);
        }
        totals
    }

    /// The word, behind the signature, of what is seldom counted.
    fn seldom(&self, which: usize) -> &AtomicU64 {
        &self.0.words()[1 + which - OFTEN]
    }

    fn line(&self, number: usize) -> &[AtomicU64] {
        let first = OFTEN * (1 + number);
        &self.0.words()[first..first + OFTEN]
    }
}

fn map(file: &File) -> io::Result<Mapping> {
    // A file that was longer keeps its length, and one of ours has this one.
    sys::reserve(file, BYTES)?;
    Mapping::new(file, BYTES as usize)
}
