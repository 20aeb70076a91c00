//! The first page of a table: what it is, and whose.

use crate::error::Error;
use crate::hash::Seed;
use crate::origin::Origin;
use crate::quota::{Algorithm, Quota};
use crate::shape::{HEADER_WORDS, Shape};
use crate::sync::{AtomicU64, Ordering};

/// "ratetab" and the layout's version, in one word.
const SIGNATURE: u64 = u64::from_ne_bytes([b'r', b'a', b't', b'e', b't', b'a', b'b', VERSION]);
const VERSION: u8 = 4;

// The words of the page; the others are kept for later and are 0.
const WORD_SIGNATURE: usize = 0;
const WORD_READY: usize = 1;
const WORD_LIMIT: usize = 2;
const WORD_WINDOW: usize = 3;
const WORD_CAPACITY: usize = 4;
const WORD_SEED: usize = 5;
const WORD_BOOT: usize = 7;
/// The latest reading at which a slot was reclaimed or a supplied reading decided at.
pub(crate) const WORD_FLOOR: usize = 9;
const WORD_ALGORITHM: usize = 11;
const WORD_BURST: usize = 12;
const WORD_NAMESPACE: usize = 13;
const WORD_OFFSET: usize = 14;
const WORD_PARAMETER: usize = 15;
/// The lock, on a cache line of its own, and how many numbers processes have asked for.
pub(crate) const WORD_LOCK: usize = 16;
pub(crate) const WORD_NUMBERS: usize = 17;

/// The states of a file that was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Never a table, or one whose maker died before it was ready: make it one.
    Blank,
    /// A table, but its stamps are of another boot: clear it.
    Stale,
    /// A table, ready for use.
    Ready,
}

/// Decides what a file is from its length and its first page (missing bytes read as 0).
pub(crate) fn inspect(
    page: &[u64; HEADER_WORDS],
    length: u64,
    shape: &Shape,
    here: &Origin,
    name: &str,
) -> Result<State, Error> {
    let other = "choose another name, or remove the file while nothing uses it";
    let foreign = |what: &str| Error::mismatch(format!("{name} {what}"), other);
    if length == 0 {
        return Ok(State::Blank);
    }
    let signature = page[WORD_SIGNATURE];
    if signature != SIGNATURE {
        let [family @ .., version] = signature.to_ne_bytes();
        return Err(foreign(&if family == SIGNATURE.to_ne_bytes()[..7] {
            format!("is a table of layout {version}, this core reads layout {VERSION}")
        } else {
            "is not a rateproof table of the native core".to_owned()
        }));
    }
    if page[WORD_READY] == 0 {
        return Ok(State::Blank);
    }
    if length < 8 * HEADER_WORDS as u64 {
        return Err(foreign(&format!("is truncated to {length} bytes")));
    }
    let found = match kept(page) {
        Some((quota, capacity)) => format!("{quota}, capacity {capacity}"),
        None => "an unknown algorithm".to_owned(),
    };
    if found != shape.to_string() {
        return Err(foreign(&format!(
            "has {found}, but was opened with {shape}"
        )));
    }
    if length != shape.bytes {
        return Err(foreign(&format!(
            "has {length} bytes, a table of its shape has {}",
            shape.bytes
        )));
    }
    let written = Origin {
        boot: [page[WORD_BOOT], page[WORD_BOOT + 1]],
        namespace: page[WORD_NAMESPACE],
        offset_ns: page[WORD_OFFSET].cast_signed(),
    };
    if written.is_over(here) {
        return Ok(State::Stale);
    }
    if !written.agrees(here) {
        return Err(Error::mismatch(
            format!("{name} is kept by the clock of {written}, this process reads that of {here}"),
            "run all of its users in one time namespace, or give them stores of their own",
        ));
    }
    Ok(State::Ready)
}

/// The quota and the capacity of a page's table.
pub(crate) fn kept(page: &[u64; HEADER_WORDS]) -> Option<(Quota, u64)> {
    let quota = Quota {
        algorithm: *Algorithm::ALL.get(page[WORD_ALGORITHM] as usize)?,
        limit: page[WORD_LIMIT],
        window_ns: page[WORD_WINDOW],
        burst: page[WORD_BURST],
        parameter: page[WORD_PARAMETER],
    };
    Some((quota, page[WORD_CAPACITY]))
}

/// Writes the page over cleared words, readiness last.
pub(crate) fn write(words: &[AtomicU64], shape: &Shape, seed: Seed, here: &Origin) {
    let put = |index: usize, value: u64| words[index].store(value, Ordering::Release);
    put(WORD_SIGNATURE, SIGNATURE);
    put(WORD_ALGORITHM, shape.quota.algorithm.number());
    put(WORD_LIMIT, shape.quota.limit);
    put(WORD_WINDOW, shape.quota.window_ns);
    put(WORD_BURST, shape.quota.burst);
    put(WORD_PARAMETER, shape.quota.parameter);
    put(WORD_CAPACITY, shape.capacity);
    put(WORD_SEED, seed.0);
    put(WORD_SEED + 1, seed.1);
    put(WORD_BOOT, here.boot[0]);
    put(WORD_BOOT + 1, here.boot[1]);
    put(WORD_NAMESPACE, here.namespace);
    put(WORD_OFFSET, here.offset_ns.cast_unsigned());
    put(WORD_READY, 1);
}

/// The bytes of a file from the first moment that it is to become a table.
///
/// Written before the file grows, it tells a table whose maker died from a stranger's file.
pub(crate) fn claim() -> [u8; 8] {
    SIGNATURE.to_ne_bytes()
}

/// Unmakes a table: it is blank from the first step on, and all zeros at the end.
pub(crate) fn clear(words: &[AtomicU64]) {
    words[WORD_SIGNATURE].store(SIGNATURE, Ordering::Release);
    words[WORD_READY].store(0, Ordering::Release);
    for word in &words[WORD_READY..] {
        word.store(0, Ordering::Release);
    }
}

/// The seed of a ready table.
pub(crate) fn seed(words: &[AtomicU64]) -> Seed {
    let get = |index: usize| words[index].load(Ordering::Acquire);
    Seed(get(WORD_SEED), get(WORD_SEED + 1))
}
