//! Questions to tables: to decide, or what they would.

use std::time::Duration;

use rateproof_enforce::{self as core, Ruling};

/// A hit is counted, in the quota and in the counters; a peek is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    Hit,
    Peek,
}

impl Ask {
    /// Asks tables; `None` for want of the lock.
    pub fn of(
        self,
        tables: &[&core::Table],
        key: &[u8],
        cost: u64,
        now_ns: Option<u64>,
        patience: Duration,
    ) -> Result<Option<Ruling>, core::Error> {
        match self {
            Self::Hit => core::hit_all(tables, key, cost, now_ns, patience),
            Self::Peek => core::peek_all(tables, key, cost, now_ns, patience),
        }
    }
}
