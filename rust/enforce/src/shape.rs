//! The geometry of a table: where each word of the file stands.

use std::fmt;
use std::ops::Range;

use crate::error::Error;
use crate::kernel::Kernel;
use crate::quota::{Quota, within};

/// The largest capacity.
pub const MAX_CAPACITY: u64 = 1 << 26;
/// The largest table in bytes.
pub const MAX_BYTES: u64 = 1 << 36;

/// Slots in a bucket.
pub(crate) const BUCKET: usize = if cfg!(loom) { 2 } else { 8 };
/// Words in the header page.
pub(crate) const HEADER_WORDS: usize = if cfg!(loom) { 24 } else { 512 };
/// Words in a cache line.
const LINE: u64 = 8;

/// A quota, a capacity, and the layout that follows from them.
///
/// The file is the header page, one tag word a slot, and each slot's state: one word, or of a
/// sliding log the cursor and `limit` permit cells, or of blocks a word and a start for each, padded to whole cache lines. There are 1.75
/// slots for each key of the capacity: with two candidate buckets of 8, a table in which 57 % are
/// live and change owners all the time finds no place for fewer than one key in a million
/// (simulated).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) quota: Quota,
    pub(crate) capacity: u64,
    pub(crate) buckets: usize,
    /// Words that the state of one slot takes.
    words: usize,
    /// Words from one slot's state to the next one's.
    stride: usize,
    /// The length of the file.
    pub(crate) bytes: u64,
}

impl Shape {
    /// Checks the arguments and lays the table out.
    pub(crate) fn new(quota: Quota, capacity: u64) -> Result<Self, Error> {
        quota.check()?;
        within("capacity", capacity, MAX_CAPACITY)?;
        let words = match quota.algorithm.0.kernel {
            Kernel::Ring => 1 + quota.limit,
            Kernel::Blocks => 2 + quota.parameter,
            Kernel::Word(_) => 1,
        };
        let stride = if words > 1 {
            words.next_multiple_of(LINE)
        } else {
            1
        };
        let buckets = (capacity * 7).div_ceil(4 * BUCKET as u64);
        // No overflow: at most 2²⁷ slots of 2¹⁶ + 9 words.
        let slots = buckets * BUCKET as u64;
        let bytes = 8 * (HEADER_WORDS as u64 + slots * (1 + stride));
        if bytes > MAX_BYTES {
            return Err(Error::invalid(
                format!(
                    "limit {} and capacity {capacity} would take {bytes} bytes",
                    quota.limit
                ),
                format!("a smaller limit or capacity: at most {MAX_BYTES} bytes"),
            ));
        }
        Ok(Self {
            quota,
            capacity,
            buckets: buckets as usize,
            words: words as usize,
            stride: stride as usize,
            bytes,
        })
    }

    /// The number of slots.
    pub(crate) fn slots(&self) -> usize {
        self.buckets * BUCKET
    }

    /// The word that names the owner of `slot`.
    pub(crate) fn tag_index(&self, slot: usize) -> usize {
        HEADER_WORDS + slot
    }

    /// The words that hold the state of `slot`.
    pub(crate) fn state(&self, slot: usize) -> Range<usize> {
        let first = HEADER_WORDS + self.slots() + slot * self.stride;
        first..first + self.words
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}, capacity {}", self.quota, self.capacity)
    }
}
