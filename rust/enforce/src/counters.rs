//! Counters that threads and processes share, added to without contention.
//!
//! One page: a signature, and one line of words for each of a number of processors. Whoever
//! counts adds to the line of the processor that it runs on, so that two seldom meet; that the
//! sums are right does not depend on it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic;

use once_cell::race::OnceBox;

use crate::clock::now_ns;
use crate::error::Error;
use crate::file::{self, Backing};
use crate::mapping::Mapping;
use crate::sync::{AtomicU64, Ordering};
use crate::sys;
use crate::table::SEEN_NS;

/// Number of different things that are counted.
pub const COUNTS: usize = OFTEN + 2;

/// Those that each processor has a line of; the others have words behind the signature.
const OFTEN: usize = 8;

/// Events that are counted: `rateproof.enforce.counters.Count` says what each is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Decisions.
    Admitted = 0,
    /// As the one before.
    Denied,
    /// Admissions that left little.
    NearLimit,
    /// No room for a key.
    Full,
    /// The store failed.
    Error,
    /// Let pass by shadow mode alone.
    Shadow,
    /// Not counted against a quota.
    Exempt,
    /// Denials without a round trip.
    Cached,
    /// Times that a process found the store of these counters deleted.
    Deleted,
    /// No place for new keys of an address.
    Flood,
}

const SIGNATURE: u64 = u64::from_ne_bytes(*b"ratecnt\x01");
const LINES: usize = 63;
const BYTES: u64 = (8 * OFTEN * (1 + LINES)) as u64;

/// Counters, of this process and those it forks, or, with a path, of all who open the path.
///
/// Who finds that the path no longer leads to the file goes over to the one that it leads to, made
/// anew if need be: when a table of its store was deleted, where there are none each second, and
/// when the sums are asked for.
pub struct Counters {
    mapping: Mapping,
    backing: Option<Backing>,
    alone: bool,
    /// The `moment` of the last look for the file.
    seen: atomic::AtomicU64,
    /// A fork at any time finds it set or not.
    successor: OnceBox<Self>,
}

impl Counters {
    /// Opens the counters at `path`, making them where there are none; without a path, in memory.
    ///
    /// `alone`: this process has no tables beside them, which would notice that they are deleted.
    ///
    /// # Errors
    /// `StoreError`: the file cannot be made, or is not this user's alone. `StoreMismatch`: it is
    /// something else.
    pub fn open(path: Option<&Path>, alone: bool) -> Result<Self, Error> {
        Self::made(path, alone, false)
    }

    fn made(path: Option<&Path>, alone: bool, again: bool) -> Result<Self, Error> {
        let name = path.map_or_else(|| "in memory".to_owned(), |path| path.display().to_string());
        let failed = |error: io::Error| {
            Error::store(
                format!("cannot open counters {name}: {error}"),
                "more room, or another name",
            )
        };
        let backing = path.map(|path| file::named(path, again)).transpose()?;
        let mapping = match &backing {
            Some(backing) => map(&backing.file),
            None => sys::anonymous_file().and_then(|file| map(&file)),
        };
        let mapping = mapping.map_err(failed)?;
        let signature = &mapping.words()[0];
        match signature.compare_exchange(0, SIGNATURE, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) | Err(SIGNATURE) => Ok(Self {
                mapping,
                alone: alone && backing.is_some(),
                backing,
                seen: 0.into(),
                successor: OnceBox::new(),
            }),
            Err(_) => Err(Error::mismatch(
                format!("{name} holds no counters of the native core"),
                "choose another name, or remove the file while nothing uses it",
            )),
        }
    }

    /// One more of `which`, below [`COUNTS`].
    #[inline]
    pub fn add(&self, which: usize) {
        let counters = self.latest();
        let word = match which {
            0..OFTEN => &counters.line(1 + sys::processor() % LINES)[which],
            _ => counters.seldom(which),
        };
        word.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of each since the counters were made.
    #[must_use]
    pub fn totals(&self) -> [u64; COUNTS] {
        let newest = self.latest().looked_for();
        let mut totals = [0; COUNTS];
        for number in 1..=LINES {
            for (total, word) in totals.iter_mut().zip(newest.line(number)) {
                *total = u64::wrapping_add(*total, word.load(Ordering::Relaxed));
            }
        }
        for (which, total) in totals.iter_mut().enumerate().skip(OFTEN) {
            *total = newest.seldom(which).load(Ordering::Relaxed);
        }
        totals
    }

    fn seldom(&self, which: usize) -> &AtomicU64 {
        &self.mapping.words()[1 + which.min(COUNTS - 1) - OFTEN]
    }

    /// Those that count: these, or what came in their place.
    #[inline]
    fn latest(&self) -> &Self {
        let mut counters = self;
        while let Some(successor) = counters.successor.get() {
            counters = successor;
        }
        let moment = counters.moment();
        if counters.seen.load(Ordering::Relaxed) == moment {
            return counters;
        }
        counters.after(moment)
    }

    /// A number that is another one whenever it is time to look for the file.
    #[inline]
    fn moment(&self) -> u64 {
        match self.alone {
            true => now_ns() / SEEN_NS,
            false => file::removals(),
        }
    }

    /// `latest` when it is time to look for the file.
    #[cold]
    fn after(&self, moment: u64) -> &Self {
        self.seen.store(moment, Ordering::Relaxed);
        self.looked_for()
    }

    /// These, or what has come in their place if their file is gone.
    fn looked_for(&self) -> &Self {
        if let Some(backing) = self.backing.as_ref().filter(|backing| backing.is_removed())
            && let Ok(successor) = Self::made(backing.path.as_deref(), self.alone, true)
            && self.successor.set(Box::new(successor)).is_ok()
        {
            self.latest().add(Count::Deleted as usize);
            backing.give_up("counters");
        }
        self.successor.get().unwrap_or(self)
    }

    fn line(&self, number: usize) -> &[AtomicU64] {
        &self.mapping.words()[OFTEN * number..OFTEN * (number + 1)]
    }
}

fn map(file: &File) -> io::Result<Mapping> {
    // A file that was longer keeps its length, and one of ours has this one.
    sys::reserve(file, BYTES)?;
    Mapping::new(file, BYTES as usize)
}
