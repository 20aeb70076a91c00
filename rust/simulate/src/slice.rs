//! The slice of processor time that the scheduler gives an event loop at once.

use std::mem::zeroed;

/// The least that Linux grants.
const SLICE_NS: u64 = 100_000;

/// Asks for a short one for the calling thread: when it wakes up it then goes before threads with
/// longer ones, such as whoever takes the rows on the same core, and gets no larger share for it.
///
/// Linux before 6.12 knows no slices, and whoever runs a loop by other rules than the usual ones
/// keeps them: both go on as they were.
pub fn shorten() {
    let Some(mut attributes) = attributes() else {
        return;
    };
    if attributes.sched_policy == libc::SCHED_OTHER as u32 {
        attributes.sched_runtime = SLICE_NS;
        // SAFETY: a plain call that reads a struct of ours; 0 is the calling thread.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    }
}

/// Those of the calling thread, where the system tells.
fn attributes() -> Option<libc::sched_attr> {
    let size = size_of::<libc::sched_attr>();
    // SAFETY: integers may be 0; the call writes at most `size` bytes.
    let mut found: libc::sched_attr = unsafe { zeroed() };
    let done = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut found, size, 0) };
    (done == 0).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_priority_and_its_rules() {
        let rules = || attributes().map(|all| (all.sched_policy, all.sched_nice, all.sched_flags));
        let before = rules();
        shorten();
        assert_eq!(rules(), before);
    }
}
