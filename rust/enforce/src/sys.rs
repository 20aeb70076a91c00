//! Every line of `unsafe` in this crate: the mapping and a handful of system calls.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

use crate::sync::AtomicU64;

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
        // SAFETY: a fresh shared mapping at an address of the kernel's choice aliases nothing.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast::<AtomicU64>())
            .ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Self {
            start,
            words: bytes / size_of::<AtomicU64>(),
        })
    }

    /// The mapped words.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: `start` is page-aligned and mapped for `words` words as long as `self` lives;
        // every bit pattern is a valid AtomicU64, and other processes reach it atomically too.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this very length; no slice of it outlives `self`.
        unsafe {
            libc::munmap(
                self.start.as_ptr().cast(),
                self.words * size_of::<AtomicU64>(),
            );
        }
    }
}

/// CLOCK_MONOTONIC in nanoseconds; 0 where it cannot be read (it always can).
pub(crate) fn monotonic_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    (time.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.tv_nsec as u64)
}

/// Locks the whole file for this open file description, or says that another one holds it.
pub(crate) fn try_flock(file: &File) -> io::Result<bool> {
    // SAFETY: a system call on a descriptor that `file` owns.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(false),
        _ => Err(error),
    }
}

/// Lets go of the lock, whoever else holds a copy of the descriptor.
pub(crate) fn unlock(file: &File) {
    // SAFETY: a system call on a descriptor that `file` owns.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) };
}

/// Makes the file `bytes` long and backs all of it, so that no later touch can fault.
#[cfg(target_os = "linux")]
pub(crate) fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    let length =
        libc::off_t::try_from(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    loop {
        // SAFETY: a system call on a descriptor that `file` owns.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
            0 => return Ok(()),
            libc::EINTR => {}
            code => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

/// Makes the file `bytes` long and backs all of it, so that no later touch can fault.
#[cfg(not(target_os = "linux"))]
pub(crate) fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let zeros = [0u8; 1 << 16];
    let mut at = file.metadata()?.len();
    while at < bytes {
        let step = (bytes - at).min(zeros.len() as u64);
        file.write_all_at(&zeros[..step as usize], at)?;
        at += step;
    }
    Ok(())
}

/// A file without a name, shared with the children that this process forks.
#[cfg(target_os = "linux")]
pub(crate) fn anonymous_file() -> io::Result<File> {
    use std::os::fd::FromRawFd;
    // SAFETY: the name is a C string; the new descriptor belongs to nobody else.
    unsafe {
        match libc::memfd_create(c"rateproof".as_ptr(), libc::MFD_CLOEXEC) {
            -1 => Err(io::Error::last_os_error()),
            descriptor => Ok(File::from_raw_fd(descriptor)),
        }
    }
}

/// A file without a name, shared with the children that this process forks.
#[cfg(not(target_os = "linux"))]
pub(crate) fn anonymous_file() -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The user whose files this process makes.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}
