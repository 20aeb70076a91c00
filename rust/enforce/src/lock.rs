//! The lock of a table: released by the kernel, whatever becomes of its holder.
//!
//! Every acquisition takes `flock` on a description of the table's file that nobody else uses
//! meanwhile. So the lock excludes threads as well as processes, a forked child shares none of it
//! (see `spare.rs`), and no state in memory can be left behind: the kernel lets go when the holder
//! dies. What remains is a process that forks in the microseconds in which another of its threads
//! holds the lock, and is killed within those same microseconds: then the child's copy of the
//! description keeps the lock until the child runs another program or ends. Everybody else answers
//! `full` for new keys meanwhile.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::file::{Backing, FileId};
use crate::spare::forks;
use crate::sync::{Ordering, fence};
use crate::sys;

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
pub(crate) struct Guard<'a>(Description<'a>);

impl<'a> Guard<'a> {
    /// The kernel's lock orders what its holders do; the fences say so in the language's terms.
    fn new(description: Description<'a>) -> Self {
        fence(Ordering::SeqCst);
        Self(description)
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        fence(Ordering::SeqCst);
        // Not left to closing: a child that was forked meanwhile has a copy of the description.
        sys::unlock(self.0.file());
    }
}

/// A description of a table's file that nobody else uses; kept for the next when dropped.
#[derive(Debug)]
struct Description<'a> {
    backing: &'a Backing,
    /// There until it is dropped.
    file: Option<File>,
    forks_before: u64,
}

impl<'a> Description<'a> {
    fn open(backing: &'a Backing) -> io::Result<Self> {
        let forks_before = forks();
        let file = match backing.spare.take() {
            Some(file) => file,
            None => reopen(backing)?,
        };
        Ok(Self {
            backing,
            file: Some(file),
            forks_before,
        })
    }

    fn file(&self) -> &File {
        self.file.as_ref().expect("there until it is dropped")
    }
}

impl Drop for Description<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.backing.spare.keep(file, self.forks_before);
        }
    }
}

/// What leads to a table's lock. Opened before the first of several locks is taken, so that each
/// is held the shorter.
#[derive(Debug)]
pub(crate) struct Door<'a>(Description<'a>);

impl<'a> Door<'a> {
    /// `None` when the process or the machine has run out of descriptors for now.
    pub(crate) fn open(backing: &'a Backing) -> Result<Option<Self>, Error> {
        match Description::open(backing) {
            Ok(description) => Ok(Some(Self(description))),
            Err(error) if exhausted(&error) => Ok(None),
            Err(error) => Err(failed(backing, &error)),
        }
    }

    /// Takes the lock, or `None` when patience ran out; `turns` tells how often it was taken.
    pub(crate) fn lock(
        self,
        patience: Duration,
        turns: impl Fn() -> u64,
    ) -> Result<Option<Guard<'a>>, Error> {
        for _ in 0..QUICK_TRIES {
            if self.attempt()? {
                return Ok(Some(Guard::new(self.0)));
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
                return Ok(Some(Guard::new(self.0)));
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
        sys::try_flock(self.0.file()).map_err(|error| failed(self.0.backing, &error))
    }
}

/// Opens the door and takes the lock of a table that may not be one yet.
pub(crate) fn acquire(backing: &Backing, patience: Duration) -> Result<Option<Guard<'_>>, Error> {
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
fn through_descriptor(backing: &Backing) -> io::Result<File> {
    use std::os::fd::AsRawFd;
    File::open(format!("/proc/self/fd/{}", backing.file.as_raw_fd()))
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::opening;
    use crate::quota::Quota;
    use crate::shape::Shape;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn a_copy_of_the_description_in_a_forked_child_does_not_keep_the_lock() {
        let shape = Shape::new(Quota::sliding_log(1, 1), 1).expect("valid");
        let (backing, _mapping) = opening::open(None, &shape).expect("a table");
        let guard = acquire(&backing, NOW).expect("locks").expect("is free");
        let _copy = guard
            .0
            .file()
            .try_clone()
            .expect("a copy, as a fork would make");
        assert!(acquire(&backing, NOW).expect("locks").is_none());
        drop(guard);
        assert!(acquire(&backing, NOW).expect("locks").is_some());
    }

    /// How many descriptors of the process lead to the table's file.
    fn descriptors(backing: &Backing) -> usize {
        let all = std::fs::read_dir("/proc/self/fd").expect("/proc");
        let files = all.filter_map(|entry| File::open(entry.ok()?.path()).ok());
        let ours = |file: &File| FileId::of(file).is_ok_and(|id| id == backing.id);
        files.filter(ours).count()
    }

    #[test]
    fn a_forked_child_has_no_description_that_its_parent_locks() {
        // In a child, where no other test forks.
        assert!(sys::survived(|| {
            let shape = Shape::new(Quota::sliding_log(1, 1), 1).expect("valid");
            let (backing, _mapping) = opening::open(None, &shape).expect("a table");
            drop(acquire(&backing, NOW).expect("locks").expect("is free"));
            assert_eq!(
                descriptors(&backing),
                2,
                "its own, and the one that is kept"
            );
            assert!(sys::survived(|| assert_eq!(descriptors(&backing), 1)));
            assert_eq!(descriptors(&backing), 2);
            // One that is in use while the process forks is not kept.
            let guard = acquire(&backing, NOW).expect("locks").expect("is free");
            assert!(sys::survived(|| assert_eq!(descriptors(&backing), 2)));
            drop(guard);
            assert_eq!(descriptors(&backing), 1);
        }));
    }
}
