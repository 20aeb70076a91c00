//! A handful of system calls. All `unsafe` of this crate is here and in `mapping.rs`.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::ptr::NonNull;

/// Maps the first `bytes` of `file`, shared and writable.
#[cfg(not(all(test, loom)))]
pub(crate) fn map(file: &File, bytes: usize) -> io::Result<NonNull<libc::c_void>> {
    // SAFETY: a fresh mapping at an address of the kernel's choice aliases nothing.
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
    NonNull::new(start).ok_or_else(|| io::Error::other("mapped at address 0"))
}

/// Has the line of a word brought near; the word may be read before it is there.
pub(crate) fn prefetch<T>(word: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint that reads nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(word).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = word;
}

/// CLOCK_MONOTONIC in nanoseconds; 0 where it cannot be read (it always can).
#[cfg(not(all(test, loom)))]
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

/// The file of a descriptor, if that is open and passes the check; else it is left alone.
pub(crate) fn adopt(descriptor: RawFd, check: impl Fn(&File) -> bool) -> Option<File> {
    if descriptor < 0 {
        return None;
    }
    // SAFETY: not closed here unless it passes, and then it belongs to the caller.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(descriptor) });
    check(&file).then(|| ManuallyDrop::into_inner(file))
}

/// Has the functions called before every fork, after it, and after it in the child.
pub(crate) fn at_fork(before: extern "C" fn(), after: extern "C" fn(), in_child: extern "C" fn()) {
    // SAFETY: they take nothing, do nothing but system calls and atomics, and live for ever.
    unsafe { libc::pthread_atfork(Some(before), Some(after), Some(in_child)) };
}

/// Makes the file `bytes` long and backs all of it, so that no later touch can fault.
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

/// A file without a name, shared with the children that this process forks.
pub(crate) fn anonymous_file() -> io::Result<File> {
    // SAFETY: the name is a C string; the new descriptor belongs to nobody else.
    unsafe {
        match libc::memfd_create(c"rateproof".as_ptr(), libc::MFD_CLOEXEC) {
            -1 => Err(io::Error::last_os_error()),
            descriptor => Ok(File::from_raw_fd(descriptor)),
        }
    }
}

/// Ends the process as a kill does: nothing of it runs any more.
#[cfg(all(test, not(loom)))]
pub(crate) fn die() -> ! {
    // SAFETY: a signal to this very process; should it not be dead yet, it ends here.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGKILL);
        libc::_exit(1)
    }
}

/// Runs `work` in a forked child: whether it came to its end, or was killed.
#[cfg(all(test, not(loom)))]
pub(crate) fn survived(work: impl FnOnce()) -> bool {
    let mut status = 0;
    // SAFETY: the child runs on as this one thread, and ends without touching what it shares.
    unsafe {
        match libc::fork() {
            0 => {
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                libc::_exit(i32::from(done.is_err()))
            }
            child => assert_eq!(libc::waitpid(child, &raw mut status, 0), child),
        }
    }
    let killed = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL;
    assert!(killed || status == 0, "the child failed: {status}");
    !killed
}

/// The user whose files this process makes.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// The processor that the caller runs on; 0 where that cannot be told.
pub(crate) fn processor() -> usize {
    // SAFETY: it takes nothing; where the kernel cannot tell it answers -1.
    usize::try_from(unsafe { libc::sched_getcpu() }).unwrap_or(0)
}
