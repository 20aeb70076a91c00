//! A description of a table's file that is kept from one locking to the next: opening one takes
//! several times as long as locking it.
//!
//! A lock belongs to its description, and a forked child has copies of all of them. A copy that
//! it never uses would keep the lock of a parent that is killed. So the child closes what was
//! kept before it does anything else, and what was in use while the process forked is not kept.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;
use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use crate::file::FileId;
use crate::sys;

/// Tables of a process that keep one; any others open one each time.
const MOST: usize = 256;

/// In a place that no table has, and in one of a table that keeps nothing.
const UNUSED: RawFd = -2;
const EMPTY: RawFd = -1;

static PLACES: [Place; MOST] = [const { Place::unused() }; MOST];

/// Odd while the process forks.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// What one table keeps, and the file that it leads to.
#[derive(Debug)]
struct Place {
    descriptor: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
}

impl Place {
    const fn unused() -> Self {
        Self {
            descriptor: AtomicI32::new(UNUSED),
            device: AtomicU64::new(0),
            inode: AtomicU64::new(0),
        }
    }

    fn replace(&self, old: RawFd, new: RawFd) -> bool {
        self.descriptor
            .compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// Takes what is kept; a number that has come to mean another file is nobody's to close.
    fn empty(&self, then: RawFd) -> Option<File> {
        let kept = self.descriptor.swap(then, Ordering::SeqCst);
        let id = FileId {
            device: self.device.load(Ordering::SeqCst),
            inode: self.inode.load(Ordering::SeqCst),
        };
        sys::adopt(kept, |file| FileId::of(file).is_ok_and(|found| found == id))
    }
}

/// Where a table keeps a description.
#[derive(Debug)]
pub(crate) struct Spare(Option<&'static Place>);

impl Spare {
    pub(crate) fn new(id: FileId) -> Self {
        static WATCHED: Once = Once::new();
        WATCHED.call_once(|| sys::at_fork(count_fork, count_fork, close_all));
        let place = PLACES.iter().find(|place| place.replace(UNUSED, EMPTY));
        if let Some(place) = place {
            place.device.store(id.device, Ordering::SeqCst);
            place.inode.store(id.inode, Ordering::SeqCst);
        }
        Self(place)
    }

    pub(crate) fn take(&self) -> Option<File> {
        self.0?.empty(EMPTY)
    }

    /// Keeps a description that was in use since there had been so many forks.
    pub(crate) fn keep(&self, file: File, forks_before: u64) {
        let Some(place) = self.0 else { return };
        if place.replace(EMPTY, file.as_raw_fd()) {
            std::mem::forget(file);
            // Looked at last: a fork from here on finds it kept, and the child closes its copy.
            if forks() != forks_before || forks_before % 2 == 1 {
                place.empty(EMPTY);
            }
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        self.0.and_then(|place| place.empty(UNUSED));
    }
}

/// How often the process has begun or ended forking.
pub(crate) fn forks() -> u64 {
    FORKS.load(Ordering::SeqCst)
}

extern "C" fn count_fork() {
    FORKS.fetch_add(1, Ordering::SeqCst);
}

/// In the child, which has this one thread: nothing but system calls and atomics.
extern "C" fn close_all() {
    count_fork();
    for place in &PLACES {
        if place.descriptor.load(Ordering::SeqCst) >= 0 {
            place.empty(EMPTY);
        }
    }
}
