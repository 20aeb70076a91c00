//! A handful of system calls. All `unsafe` of this crate is here and in `mapping.rs`.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// Maps the first `bytes` of `file`, shared and writable.
#[cfg(not(all(test, loom)))]
pub(crate) fn map(file: &File, bytes: usize) -> io::Result<std::ptr::NonNull<libc::c_void>> {
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
    std::ptr::NonNull::new(start).ok_or_else(|| io::Error::other("mapped at address 0"))
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

/// Unmaps what `map` has mapped.
///
/// # Safety
/// Nothing may use it any more.
#[cfg(not(all(test, loom)))]
pub(crate) unsafe fn unmap(start: std::ptr::NonNull<libc::c_void>, bytes: usize) {
    // SAFETY: the caller's.
    unsafe { libc::munmap(start.as_ptr(), bytes) };
}

/// Locks one byte for this open file description, or says that another one holds it.
pub(crate) fn lock_byte(file: &File, byte: u64) -> io::Result<bool> {
    let asked = one_byte(byte)?;
    // SAFETY: a system call on a descriptor that `file` owns, with a valid argument.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const asked) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

/// True if no other open file description has locked the byte.
pub(crate) fn is_byte_free(file: &File, byte: u64) -> io::Result<bool> {
    let mut asked = one_byte(byte)?;
    // SAFETY: a system call on a descriptor that `file` owns, with a valid place for the answer.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut asked) } {
        0 => Ok(i32::from(asked.l_type) == libc::F_UNLCK),
        _ => Err(io::Error::last_os_error()),
    }
}

fn one_byte(byte: u64) -> io::Result<libc::flock> {
    let start = libc::off_t::try_from(byte).map_err(io::Error::other)?;
    Ok(libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: 1,
        l_pid: 0,
    })
}

/// Keeps an open file description for as long as this process has its memory, whatever becomes of
/// the descriptor, and not in its children; returns what to let go of.
pub(crate) fn keep(file: &File) -> io::Result<usize> {
    mapped(
        libc::PROT_NONE,
        libc::MAP_SHARED,
        file.as_raw_fd(),
        libc::MADV_DONTFORK,
    )
}

/// Lets go of what `keep` returned, in the process that kept it.
pub(crate) fn let_go(page: usize) {
    // SAFETY: nothing was ever read there.
    unsafe { libc::munmap(page as *mut libc::c_void, PAGE) };
}

/// The number of this process among those that forked from one another, from 1.
pub(crate) fn generation() -> io::Result<u64> {
    static WORD: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());
    static PROCESSES: AtomicU64 = AtomicU64::new(1);
    let mut word = WORD.load(Ordering::Acquire);
    if word.is_null() {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let made = mapped(access, flags, -1, libc::MADV_WIPEONFORK)? as *mut AtomicU64;
        let null = std::ptr::null_mut();
        word = match WORD.compare_exchange(null, made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => made,
            // Another thread was faster.
            Err(theirs) => {
                let_go(made as usize);
                theirs
            }
        };
    }
    // SAFETY: mapped for ever, and 0 at first as in every child.
    let word = unsafe { &*word };
    match word.load(Ordering::Relaxed) {
        0 => {
            let number = PROCESSES.fetch_add(1, Ordering::Relaxed);
            let set = word.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed);
            Ok(set.map_or_else(|theirs| theirs, |_| number))
        }
        number => Ok(number),
    }
}

const PAGE: usize = 4096;

/// A page that is treated as advised when the process forks.
fn mapped(access: i32, flags: i32, descriptor: RawFd, advice: i32) -> io::Result<usize> {
    // SAFETY: a fresh mapping at an address of the kernel's choice aliases nothing.
    unsafe {
        let page = libc::mmap(std::ptr::null_mut(), PAGE, access, flags, descriptor, 0);
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        if libc::madvise(page, PAGE, advice) != 0 {
            let error = io::Error::last_os_error();
            libc::munmap(page, PAGE);
            return Err(error);
        }
        Ok(page as usize)
    }
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
    // By its number: a libc of 2012 has no name for it, and a program is linked against that.
    // SAFETY: the name is a C string; the new descriptor belongs to nobody else.
    unsafe {
        let name = c"rateproof".as_ptr();
        match libc::syscall(libc::SYS_memfd_create, name, libc::MFD_CLOEXEC) {
            -1 => Err(io::Error::last_os_error()),
            descriptor => Ok(File::from_raw_fd(descriptor as i32)),
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
#[must_use]
pub fn effective_user() -> u32 {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// The processor that the caller runs on; 0 where that cannot be told.
pub(crate) fn processor() -> usize {
    // SAFETY: it takes nothing; where the kernel cannot tell it answers -1.
    usize::try_from(unsafe { libc::sched_getcpu() }).unwrap_or(0)
}
