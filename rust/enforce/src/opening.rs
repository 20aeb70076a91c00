//! From a file to a table: made, cleared or accepted, and mapped.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::file::{ATTEMPTS, Backing, FileId, named};
use crate::hash::Seed;
use crate::header::{self, State};
use crate::mapping::Mapping;
use crate::origin::Origin;
use crate::quota::Quota;
use crate::shape::{HEADER_WORDS, Shape};
use crate::sync::random;
use crate::sys;

/// Longest wait of an opening for another process that makes or serialises the same table.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

const PAUSE: Duration = Duration::from_micros(200);

/// A file that nobody else opens meanwhile, until it is dropped.
struct Alone<'a>(&'a File);

impl<'a> Alone<'a> {
    fn with(backing: &'a Backing, patience: Duration) -> Result<Self, Error> {
        let start = Instant::now();
        while let Err(error) = backing.file.try_lock() {
            if let TryLockError::Error(error) = error {
                return Err(backing.cannot_lock(&error));
            }
            if start.elapsed() > patience {
                return Err(Error::store(
                    format!("cannot open {}: another process opens it", backing.name()),
                    "end or resume the process that does",
                ));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(Self(&backing.file))
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        // Not left to closing: a child that was forked meanwhile has a copy of the description.
        let _ = self.0.unlock();
    }
}

/// Opens the table at `path`, making it where there is none.
///
/// With `again` its folder is made, too, and the table may have been removed since it was opened.
pub(crate) fn open(
    path: &Path,
    shape: &Shape,
    patience: Duration,
    again: bool,
) -> Result<(Backing, Mapping), Error> {
    for _ in 0..ATTEMPTS {
        let backing = named(path, again)?;
        let guard = Alone::with(&backing, patience)?;
        // Whoever made the file may have removed it again before the lock was ours.
        if again || !backing.is_removed() {
            let mapping = settle(&backing, shape)?;
            drop(guard);
            return Ok((backing, mapping));
        }
    }
    Err(Error::store(
        format!(
            "cannot open table {}: it keeps being replaced",
            path.display()
        ),
        "remove tables only while nothing uses them",
    ))
}

/// The quota and the capacity that the file at `path` says it is a table of; it is not made.
pub(crate) fn kept(path: &Path) -> Result<(Quota, u64), Error> {
    let page = File::open(path).and_then(|file| first_page(&file));
    let page = page.map_err(|error| {
        Error::store(
            format!("cannot read table {}: {error}", path.display()),
            "a table that is there",
        )
    })?;
    header::kept(&page).ok_or_else(|| {
        Error::mismatch(
            format!("{} is not a table that this core reads", path.display()),
            "a table of this version",
        )
    })
}

/// Under the lock: makes the file a table, or checks that it is the one asked for.
fn settle(backing: &Backing, shape: &Shape) -> Result<Mapping, Error> {
    let here = Origin::here();
    let length = backing
        .file
        .metadata()
        .map_err(|error| backing.failed("read", &error))?
        .len();
    let page = first_page(&backing.file).map_err(|error| backing.failed("read", &error))?;
    let state = header::inspect(&page, length, shape, &here, &backing.name())?;
    let made = made(backing, shape, &state, length, &here);
    if state == State::Blank && made.is_err() {
        // It may be too large for what room there is.
        let _ = backing.file.set_len(0);
    }
    made
}

fn made(
    backing: &Backing,
    shape: &Shape,
    state: &State,
    length: u64,
    here: &Origin,
) -> Result<Mapping, Error> {
    if *state == State::Blank {
        // Nobody has a blank file mapped, so it may still change its length.
        let resize = || {
            backing.file.write_all_at(&header::claim(), 0)?;
            if length > shape.bytes {
                backing.file.set_len(shape.bytes)?;
            }
            sys::reserve(&backing.file, shape.bytes)
        };
        let megabytes = shape.bytes as f64 / 1e6;
        let verb = format!("reserve {megabytes:.1} MB for");
        resize().map_err(|error| backing.failed(&verb, &error))?;
    }
    let mapping = map(backing, shape)?;
    if *state != State::Ready {
        if length > 0 {
            header::clear(mapping.words());
        }
        header::write(mapping.words(), shape, new_seed()?, here);
    }
    Ok(mapping)
}

/// A table in memory, shared with the children that this process forks.
///
/// Its memory is taken page by page as slots are first used, and is nobody's file: no reserving.
pub(crate) fn anonymous(shape: &Shape) -> Result<(Backing, Mapping), Error> {
    let made = || {
        let file = sys::anonymous_file()?;
        file.set_len(shape.bytes)?;
        let id = FileId::of(&file)?;
        Ok(Backing {
            file,
            path: None,
            id,
        })
    };
    let backing = made().map_err(|error: io::Error| {
        Error::store(
            format!("cannot make a table in memory: {error}"),
            "a smaller capacity, a named table, or RATEPROOF_CORE=python",
        )
    })?;
    let mapping = map(&backing, shape)?;
    header::write(mapping.words(), shape, new_seed()?, &Origin::here());
    Ok((backing, mapping))
}

fn map(backing: &Backing, shape: &Shape) -> Result<Mapping, Error> {
    let bytes = usize::try_from(shape.bytes)
        .map_err(|_| backing.failed("map", &io::Error::from_raw_os_error(libc::EFBIG)))?;
    Mapping::new(&backing.file, bytes).map_err(|error| backing.failed("map", &error))
}

fn new_seed() -> Result<Seed, Error> {
    let word = || {
        random().map_err(|error| {
            Error::store(
                format!("no randomness for a table: {error}"),
                "wait until the machine has started up",
            )
        })
    };
    Ok(Seed(word()?, word()?))
}

/// The first page as words; what is missing reads as 0.
fn first_page(mut file: &File) -> io::Result<[u64; HEADER_WORDS]> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(8 * HEADER_WORDS as u64).read_to_end(&mut bytes)?;
    bytes.resize(8 * HEADER_WORDS, 0);
    let (words, _) = bytes.as_chunks();
    Ok(std::array::from_fn(|n| u64::from_ne_bytes(words[n])))
}
