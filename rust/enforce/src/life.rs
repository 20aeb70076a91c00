//! The number of a process at a table, which the kernel takes back when the process dies.
//!
//! Number n is a lock on byte `FIRST + n` of the table's file, far behind its end. The lock
//! belongs to an open file description (`F_OFD_SETLK`), and the description to a mapping: its
//! descriptor is closed at once, so that no program can close it by number, and no child gets the
//! mapping (`MADV_DONTFORK`). So the lock is there exactly as long as the memory of the process,
//! whatever kills it, and anybody can look for it, from any PID namespace. A forked child finds
//! out that it has none (`MADV_WIPEONFORK`) and takes a number of its own.
//!
//! What remains is a process that forks in the microseconds in which another of its threads takes
//! a number: then the child has a copy of the description, and until it ends the parent, should it
//! die with the table's lock, is taken to be alive. Everybody else answers `full` for new keys
//! meanwhile.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::error::Error;
use crate::file::{Backing, FileId};
use crate::lock::{HOLDER, inherit};
use crate::sync;
use crate::sys;

/// The byte of number 0, which nobody has.
const FIRST: u64 = 1 << 62;

/// The number that this process has at a table, once it has asked for one.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// The number, and above it the generation of the process that it was given to.
    number: AtomicU64,
    /// Address at which that process has mapped the description that keeps the number.
    page: AtomicUsize,
}

impl Life {
    /// The process's number; `None` when the machine cannot give one for now.
    ///
    /// `word` is the table's lock, and `next` counts the numbers that were tried.
    pub(crate) fn number(
        &self,
        backing: &Backing,
        word: &sync::AtomicU64,
        next: &sync::AtomicU64,
    ) -> Result<Option<u64>, Error> {
        let failed = |error: io::Error| backing.cannot_lock(&error);
        let known = self.number.load(Ordering::Acquire);
        let generation = sys::generation().map_err(failed)?;
        if known / (HOLDER + 1) == generation {
            return Ok(Some(known & HOLDER));
        }
        let (number, page) = match register(backing, next) {
            Ok(registered) => registered,
            Err(error) if exhausted(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        inherit(word, number);
        let mine = (generation * (HOLDER + 1)) | number;
        let order = Ordering::AcqRel;
        match self
            .number
            .compare_exchange(known, mine, order, Ordering::Acquire)
        {
            Ok(_) => {
                self.page.store(page, Ordering::Release);
                Ok(Some(number))
            }
            // Another thread was faster.
            Err(theirs) => {
                sys::let_go(page);
                Ok(Some(theirs & HOLDER))
            }
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let generation = *self.number.get_mut() / (HOLDER + 1);
        if generation > 0 && sys::generation().is_ok_and(|now| now == generation) {
            sys::let_go(*self.page.get_mut());
        }
    }
}

/// True if no process has the number at the table.
pub(crate) fn dead(backing: &Backing, number: u64) -> Result<bool, Error> {
    let free = sys::is_byte_free(&backing.file, FIRST + number);
    // Looked at last: the descriptor may have come to lead elsewhere.
    let here = FileId::of(&backing.file).and_then(|found| match found == backing.id {
        true => free,
        false => Err(io::Error::other("its descriptor leads elsewhere")),
    });
    here.map_err(|error| backing.cannot_lock(&error))
}

/// Takes a number that nobody has; returns it, and where the mapping is that keeps it.
fn register(backing: &Backing, next: &sync::AtomicU64) -> io::Result<(u64, usize)> {
    let file = reopen(backing)?;
    loop {
        let number = 1 + next.fetch_add(1, Ordering::Relaxed) % HOLDER;
        if sys::lock_byte(&file, FIRST + number)? {
            return Ok((number, sys::keep(&file)?));
        }
    }
}

/// A description of the table's file that nobody shares.
fn reopen(backing: &Backing) -> io::Result<File> {
    // Through the descriptor, whatever has become of the name.
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let through = format!("/proc/self/fd/{}", backing.file.as_raw_fd());
    let file = match (options.open(through), &backing.path) {
        (Err(error), Some(path)) if error.kind() == io::ErrorKind::NotFound => options
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path),
        (other, _) => other,
    }?;
    if FileId::of(&file)? == backing.id {
        Ok(file)
    } else {
        Err(io::Error::other("its descriptor or path leads elsewhere"))
    }
}

/// True if the machine has run out of something for now. Of descriptors it is an error, which
/// names them: who has none left is not helped by waiting.
fn exhausted(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOMEM | libc::EINTR | libc::ENOLCK)
    )
}
