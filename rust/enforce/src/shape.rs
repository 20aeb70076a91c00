//! The geometry of a table: where each word of the file stands.

use crate::clock::MAX_WINDOW_NS;
use crate::error::Error;

/// The largest limit.
pub const MAX_LIMIT: u64 = 65_536;
/// The largest capacity.
pub const MAX_CAPACITY: u64 = 1 << 26;
/// The largest table in bytes.
pub const MAX_BYTES: u64 = 1 << 36;

/// Slots in a bucket.
pub(crate) const BUCKET: usize = 8;
/// Words in the header page.
pub(crate) const HEADER_WORDS: usize = 512;
/// Words in a cache line.
const LINE: u64 = 8;

/// Limit, window and capacity, and the layout that follows from them.
///
/// The file is the header page, one tag word a slot, and `limit` permit cells a slot, padded to
/// whole cache lines. There are 1.6 slots for each key of the capacity: with two candidate
/// buckets of 8, a table filled to 62 % finds no place for fewer than one key in a million
/// (simulated: 4·10⁻⁷ at 70 %, 10⁻⁵ at 75 %).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) limit: u64,
    pub(crate) window_ns: u64,
    pub(crate) capacity: u64,
    pub(crate) buckets: usize,
    /// Words from one slot's first cell to the next one's.
    pub(crate) stride: usize,
    /// The length of the file.
    pub(crate) bytes: u64,
}

impl Shape {
    /// Checks the arguments and lays the table out.
    pub(crate) fn new(limit: u64, window_ns: u64, capacity: u64) -> Result<Self, Error> {
        let check = |name, value, max: u64| {
            match value {
                0 => Err(()),
                value if value > max => Err(()),
                _ => Ok(()),
            }
            .map_err(|()| Error::invalid(format!("{name} is {value}"), format!("from 1 to {max}")))
        };
        check("limit", limit, MAX_LIMIT)?;
        check("window_ns", window_ns, MAX_WINDOW_NS)?;
        check("capacity", capacity, MAX_CAPACITY)?;
        // No overflow: at most 2²⁷ slots of 2¹⁶ + 1 words.
        let buckets = (capacity * 8).div_ceil(5 * BUCKET as u64);
        let slots = buckets * BUCKET as u64;
        let stride = limit.next_multiple_of(LINE);
        let bytes = 8 * (HEADER_WORDS as u64 + slots * (1 + stride));
        if bytes > MAX_BYTES {
            return Err(Error::invalid(
                format!("limit {limit} and capacity {capacity} would take {bytes} bytes"),
                format!("a smaller limit or capacity: at most {MAX_BYTES} bytes"),
            ));
        }
        Ok(Self {
            limit,
            window_ns,
            capacity,
            buckets: buckets as usize,
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

    /// The first cell of `slot`; its cells are the next `limit` words.
    pub(crate) fn cell_index(&self, slot: usize) -> usize {
        HEADER_WORDS + self.slots() + slot * self.stride
    }
}
