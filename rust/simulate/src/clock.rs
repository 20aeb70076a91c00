//! CLOCK_MONOTONIC, the clock of every stamp, and a timer on it that wakes an event loop.

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn monotonic_ns() -> i64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds of processor time that the calling thread has used.
pub fn thread_cpu_ns() -> i64 {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: libc::clockid_t) -> i64 {
    // SAFETY: zeroed is a valid timespec, and both clocks exist on every Linux.
    let mut now: libc::timespec = unsafe { zeroed() };
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Becomes readable at an instant: `epoll_wait` alone counts whole milliseconds.
pub struct Alarm {
    descriptor: OwnedFd,
    set_for_ns: i64,
}

impl Alarm {
    /// An alarm that is not set.
    pub fn new() -> io::Result<Self> {
        // SAFETY: a plain call; the result is checked before it is owned.
        let descriptor = unsafe {
            libc::timerfd_create(
                libc::CLOCK_MONOTONIC,
                libc::TFD_NONBLOCK | libc::TFD_CLOEXEC,
            )
        };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and ours alone.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self {
            descriptor,
            set_for_ns: i64::MAX,
        })
    }

    /// Sets it for a monotonic instant, or for never (`i64::MAX`); setting it again replaces that.
    pub fn set(&mut self, instant_ns: i64) -> io::Result<()> {
        if instant_ns == self.set_for_ns {
            return Ok(());
        }
        self.set_for_ns = instant_ns;
        let instant_ns = if instant_ns == i64::MAX {
            0 // disarms
        } else {
            instant_ns.max(1)
        };
        // SAFETY: zeroed is a valid itimerspec, and the descriptor is a timerfd.
        let mut when: libc::itimerspec = unsafe { zeroed() };
        when.it_value.tv_sec = instant_ns / 1_000_000_000;
        when.it_value.tv_nsec = instant_ns % 1_000_000_000;
        let done = unsafe {
            libc::timerfd_settime(
                self.descriptor.as_raw_fd(),
                libc::TFD_TIMER_ABSTIME,
                &raw const when,
                std::ptr::null_mut(),
            )
        };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// For registering with an event loop, edge-triggered: it is never read.
    pub fn descriptor(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}
