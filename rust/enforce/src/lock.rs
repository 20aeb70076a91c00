//! The lock of a table: released by the kernel, whatever becomes of its holder.
//!
//! Every acquisition opens the table's file anew and takes `flock` on that description. So the
//! lock excludes threads as well as processes, a forked child shares none of it, and no state in
//! memory can be left behind: the kernel lets go when the holder dies. What remains is a process
//! that forks in the microseconds in which another of its threads holds the lock, and is killed
//! within those same microseconds: then the child's copy of the description keeps the lock until
//! the child runs another program or ends. Everybody else answers `full` for new keys meanwhile.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::file::{Backing, FileId};
use crate::sys;

/// How long a call waits while the lock does not change hands before it answers without one.
///
/// A holder is done within microseconds, so one that is not for so long has been stopped. Where
/// holders come and go, a call that has bad luck waits on, at most ten times as long for a lock.
pub const PATIENCE: Duration = Duration::from_millis(100);

/// The most that a call waits for one lock, in patiences.
const ROUNDS: u32 = 10;

/// Attempts before the first sleep.
const QUICK_TRIES: u32 = 8;
const FIRST_SLEEP: Duration = Duration::from_micros(20);
const LONGEST_SLEEP: Duration = Duration::from_micros(160);

/// The most that one sleep counts as waiting. One that took longer met a machine that stood still
/// or was overloaded, and then the holder had no time either.
const LONGEST_COUNTED: Duration = Duration::from_millis(5);

/// The lock, until it is dropped.
#[derive(Debug)]
pub(crate) struct Guard(File);

impl Drop for Guard {
    fn drop(&mut self) {
        // Not left to close: a child that was forked meanwhile has a copy of the description.
        sys::unlock(&self.0);
    }
}

/// A description of a table's file that nobody else shares, and its lock.
///
/// Opened before the first of several locks is taken, so that each is held the shorter.
#[derive(Debug)]
pub(crate) struct Door<'a> {
    backing: &'a Backing,
    file: File,
}

impl<'a> Door<'a> {
    /// `None` when the process or the machine has run out of descriptors for now.
    pub(crate) fn open(backing: &'a Backing) -> Result<Option<Self>, Error> {
        match reopen(backing) {
            Ok(file) => Ok(Some(Self { backing, file })),
            Err(error) if exhausted(&error) => Ok(None),
            Err(error) => Err(failed(backing, &error)),
        }
    }

    /// Takes the lock, or `None` when patience ran out; `turns` tells how often it was taken.
    pub(crate) fn lock(
        self,
        patience: Duration,
        turns: impl Fn() -> u64,
    ) -> Result<Option<Guard>, Error> {
        for _ in 0..QUICK_TRIES {
            if self.attempt()? {
                return Ok(Some(Guard(self.file)));
            }
            std::hint::spin_loop();
        }
        let mut sleep = FIRST_SLEEP;
        let mut turn = turns();
        let (mut waited, mut in_vain) = (Duration::ZERO, Duration::ZERO);
        while in_vain < patience && waited < patience * ROUNDS {
            let start = Instant::now();
            std::thread::sleep(sleep);
            if self.attempt()? {
                return Ok(Some(Guard(self.file)));
            }
            sleep = (sleep * 2).min(LONGEST_SLEEP);
            let slept = start.elapsed().min(LONGEST_COUNTED);
            waited += slept;
            in_vain += slept;
            if turns() != turn {
                turn = turns();
                in_vain = Duration::ZERO;
            }
        }
        Ok(None)
    }

    fn attempt(&self) -> Result<bool, Error> {
        sys::try_flock(&self.file).map_err(|error| failed(self.backing, &error))
    }
}

/// Opens the door and takes the lock of a table that may not be one yet.
pub(crate) fn acquire(backing: &Backing, patience: Duration) -> Result<Option<Guard>, Error> {
    match Door::open(backing)? {
        Some(door) => door.lock(patience, || 0),
        None => Ok(None),
    }
}

/// A description of the table's file that nobody shares.
fn reopen(backing: &Backing) -> io::Result<File> {
    let file = match through_descriptor(backing) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => through_path(backing)?,
        other => other?,
    };
    if FileId::of(&file)? == backing.id {
        Ok(file)
    } else {
        Err(io::Error::other("its descriptor or path leads elsewhere"))
    }
}

/// Reaches the file whatever has become of its name.
#[cfg(target_os = "linux")]
fn through_descriptor(backing: &Backing) -> io::Result<File> {
    use std::os::fd::AsRawFd;
    File::open(format!("/proc/self/fd/{}", backing.file.as_raw_fd()))
}

#[cfg(not(target_os = "linux"))]
fn through_descriptor(_backing: &Backing) -> io::Result<File> {
    Err(io::ErrorKind::NotFound.into())
}

fn through_path(backing: &Backing) -> io::Result<File> {
    let path = backing
        .path
        .as_ref()
        .ok_or_else(|| io::Error::other("/proc is not mounted"))?;
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

/// Whether the process or the machine has run out of something for now.
fn exhausted(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EINTR)
    )
}

fn failed(backing: &Backing, error: &io::Error) -> Error {
    Error::store(
        format!("cannot lock {}: {error}", backing.name()),
        "open the table in the process and as the user that uses it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file;
    use crate::shape::Shape;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn a_copy_of_the_description_in_a_forked_child_does_not_keep_the_lock() {
        let shape = Shape::new(1, 1, 1).expect("valid");
        let (backing, _mapping) = file::open(None, &shape).expect("a table");
        let guard = acquire(&backing, NOW).expect("locks").expect("is free");
        let _copy = guard.0.try_clone().expect("a copy, as a fork would make");
        assert!(acquire(&backing, NOW).expect("locks").is_none());
        drop(guard);
        assert!(acquire(&backing, NOW).expect("locks").is_some());
    }
}
