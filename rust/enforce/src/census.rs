//! The use of a table: how many of its slots count something.

use crate::calls::guarded;
use crate::clock::{self, PATIENCE};
use crate::error::Error;
use crate::table::{Table, look_time};

/// The use of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// Slots that something is counted in: keys whose quota is not whole.
    pub live: u64,
    /// All slots, 1.75 for each key of the capacity.
    pub slots: u64,
}

impl Table {
    /// Number of slots that count something at `now_ns`, or now: of all, or of `count` that are spread
    /// over the table, others for each `turn`.
    ///
    /// These are the multiples of the golden ratio, which fill the table evenly.
    ///
    /// # Errors
    /// `InvalidArgument`: the time. `StoreError`: it was deleted, and cannot be opened again.
    pub fn census(&self, now_ns: Option<u64>, turn: u64, count: u64) -> Result<Census, Error> {
        guarded(&[self], || {
            let table = self.latest_seen(PATIENCE)?;
            let now = look_time(&[table], clock::supplied(now_ns)?).now;
            let all = table.slots();
            let slots = count.min(all);
            let first = turn.wrapping_mul(slots);
            let place = |step: u64| {
                let turned = first.wrapping_add(step).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let spread = (u128::from(turned) * u128::from(all)) >> 64;
                if slots == all { step } else { spread as u64 }
            };
            let live = |slot: &u64| table.is_live(*slot as usize, now);
            Ok(Census {
                live: (0..slots).map(place).filter(live).count() as u64,
                slots,
            })
        })
    }

    /// True if anything in the slot counts at `now`.
    fn is_live(&self, slot: usize, now: u64) -> bool {
        !self.unowned(slot) && self.slot(slot).busy_until(now) > now
    }

    /// Number of places for keys.
    #[must_use]
    pub fn slots(&self) -> u64 {
        self.shape.slots() as u64
    }
}
