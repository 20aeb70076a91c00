//! A ceiling on the rate of all clients together.

use std::sync::atomic::{AtomicI64, Ordering};

/// Grants send slots at equal distances, when their time has come and to whoever asks then.
///
/// A slot that nobody takes is gone, but for one: what a loop is late for one slot it may make up
/// with the next, so the rate holds on average and no burst follows a pause or a stall.
pub struct Pacer {
    interval_ns: i64,
    next_ns: AtomicI64,
}

impl Pacer {
    /// One slot every `interval_ns`, at least 1.
    pub fn new(interval_ns: i64) -> Self {
        Self {
            interval_ns: interval_ns.max(1),
            next_ns: AtomicI64::new(0),
        }
    }

    /// Takes the slot that is free at `now_ns`, and says since when it was.
    ///
    /// # Errors
    /// The instant at which the next slot is free.
    pub fn take(&self, now_ns: i64) -> Result<i64, i64> {
        self.next_ns
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next_ns| {
                let after_ns = next_ns.saturating_add(self.interval_ns);
                (next_ns <= now_ns).then(|| after_ns.max(now_ns))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_apart_and_only_one_that_was_missed_is_made_up_for() {
        let pacer = Pacer::new(10);
        assert_eq!(pacer.take(0), Ok(0));
        assert_eq!(pacer.take(3), Err(10));
        assert_eq!(pacer.take(12), Ok(10));
        assert_eq!(pacer.take(20), Ok(20), "lateness does not add up");
        assert_eq!(
            [pacer.take(100), pacer.take(100), pacer.take(100)],
            [Ok(30), Ok(100), Err(110)]
        );
    }
}
