//! The words of a file in memory.

use std::fs::File;
use std::io;

use crate::sync::AtomicU64;

/// The words of a table, in no file: those of a model are its own.
#[cfg(all(test, loom))]
pub(crate) struct Mapping(Vec<AtomicU64>);

#[cfg(all(test, loom))]
impl Mapping {
    pub(crate) fn new(_file: &File, bytes: usize) -> io::Result<Self> {
        let words = (0..bytes / 8).map(|_| AtomicU64::new(0));
        Ok(Self(words.collect()))
    }

    pub(crate) fn words(&self) -> &[AtomicU64] {
        &self.0
    }
}

#[cfg(not(all(test, loom)))]
pub(crate) use shared::Mapping;

#[cfg(not(all(test, loom)))]
#[allow(unsafe_code)]
mod shared {
    use std::ptr::NonNull;

    use super::{AtomicU64, File, io};
    use crate::sys;

    /// A shared, writable mapping of a whole file, seen only as atomic words.
    pub(crate) struct Mapping {
        start: NonNull<AtomicU64>,
        words: usize,
    }

    // SAFETY: the memory is reached only as `AtomicU64`, which threads may share, and it stays
    // mapped until the value is dropped.
    unsafe impl Send for Mapping {}
    // SAFETY: as above.
    unsafe impl Sync for Mapping {}

    impl Mapping {
        /// Maps the first `bytes` of `file`, which must be at least that long.
        pub(crate) fn new(file: &File, bytes: usize) -> io::Result<Self> {
            Ok(Self {
                start: sys::map(file, bytes)?.cast(),
                words: bytes / size_of::<AtomicU64>(),
            })
        }

        /// The mapped words.
        pub(crate) fn words(&self) -> &[AtomicU64] {
            // SAFETY: `start` is page-aligned and mapped for `words` words as long as `self`
            // lives; every bit pattern is a valid AtomicU64, and other processes reach it
            // atomically too.
            unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
        }
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            // SAFETY: mapped in `new` with this very length; no slice of it outlives `self`.
            unsafe { sys::unmap(self.start.cast(), self.words * size_of::<AtomicU64>()) };
        }
    }
}
