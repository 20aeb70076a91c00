//! SIGHUP, SIGTERM and SIGINT, which one thread waits for from the start on: tables may take long to make,
//! and the first process of a container is ended by no signal that nobody waits for.

use std::mem::MaybeUninit;
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

static SERVES: AtomicBool = AtomicBool::new(false);

/// Holds them back from this thread and all that it starts, and has one wait for them: what asks to have
/// the settings read again (of those that come meanwhile one is enough), and what asks to end. Until
/// it [`serves`] the process ends at once.
pub fn awaited() -> (Receiver<()>, Receiver<()>) {
    let set = held();
    let (reload, reloads) = sync_channel(1);
    let (end, ends) = sync_channel(1);
    thread::spawn(move || {
        while next(&set) == Some(libc::SIGHUP) {
            let _ = reload.try_send(());
        }
        if !SERVES.load(Ordering::Acquire) {
            exit(0);
        }
        let _ = end.send(());
    });
    (reloads, ends)
}

/// From now on there is something to be answered before the process ends.
pub fn serves() {
    SERVES.store(true, Ordering::Release);
}

fn held() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` makes the set whole before anything reads it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in [libc::SIGHUP, libc::SIGTERM, libc::SIGINT] {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        set.assume_init()
    }
}

/// The next signal of these.
fn next(set: &libc::sigset_t) -> Option<libc::c_int> {
    let mut signal = 0;
    // SAFETY: both are whole, and outlive the call.
    let waited = unsafe { libc::sigwait(set, &raw mut signal) };
    (waited == 0).then_some(signal)
}
