//! SIGHUP, SIGTERM and SIGINT, which one thread waits for.

use std::mem::MaybeUninit;

/// These signals, held back from every thread that is started later.
pub struct Signals(libc::sigset_t);

impl Signals {
    /// Holds SIGHUP back until it is waited for: before there is anything to be read again it would end
    /// the process, as the others do.
    pub fn hold_reload() {
        hold(&[libc::SIGHUP]);
    }

    /// Holds all of them back.
    pub fn held() -> Self {
        Self(hold(&[libc::SIGHUP, libc::SIGTERM, libc::SIGINT]))
    }

    /// Waits for the next one: true if it is SIGHUP, false if it says to end.
    pub fn asks_for_reload(&self) -> bool {
        let mut signal = 0;
        // SAFETY: both are whole, and outlive the call.
        let waited = unsafe { libc::sigwait(&raw const self.0, &raw mut signal) };
        waited == 0 && signal == libc::SIGHUP
    }
}

fn hold(signals: &[libc::c_int]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` makes the set whole before anything reads it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        set.assume_init()
    }
}
