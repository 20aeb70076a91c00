//! A ceiling on the rate of all clients together: the twin of `transports/pacer.py`.

use std::sync::atomic::{AtomicI64, Ordering};

/// Hands out send slots at equal distances, in the order in which they are asked for.
///
/// Slots that nobody wanted are gone: no burst follows a pause.
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

    /// The next free slot: an instant not before `now_ns`, for this caller alone.
    pub fn reserve(&self, now_ns: i64) -> i64 {
        let after = |next_ns: i64| next_ns.max(now_ns).saturating_add(self.interval_ns);
        let before = self
            .next_ns
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next_ns| {
                Some(after(next_ns))
            })
            .unwrap_or(now_ns);
        before.max(now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_apart_and_unused_ones_are_gone() {
        let pacer = Pacer::new(10);
        assert_eq!(
            [pacer.reserve(0), pacer.reserve(0), pacer.reserve(3)],
            [0, 10, 20]
        );
        assert_eq!([pacer.reserve(100), pacer.reserve(100)], [100, 110]);
    }
}
