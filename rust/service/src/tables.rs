//! Tables that decide together: those of a promise, and of a former one that is still in force.

use std::sync::Arc;
use std::time::Instant;

use rateproof_enforce::{Error, PATIENCE, Quota, Ruling, Table, hit_all, now_ns, peek_all};

use crate::metrics::Meter;

const SECOND_NS: u64 = 1_000_000_000;

/// The tables of a promise.
pub struct Tables {
    own: Vec<Arc<Table>>,
    /// Tables of quotas that left at a reload, and until when they stay in force.
    leaving: Vec<(Arc<Table>, u64)>,
    meter: Option<Meter>,
}

impl Tables {
    /// Puts these in place of former ones, which stay in force for as long as an admission now
    /// could matter, and a second.
    pub fn new(own: Vec<Arc<Table>>, former: Option<&Self>) -> Self {
        let mut leaving: Vec<(Arc<Table>, u64)> = Vec::new();
        if let Some(former) = former {
            let now = now_ns();
            let until = |quota: &Quota| now + longest_memory_ns(quota) + SECOND_NS;
            let before = former.leaving.iter().filter(|(_, until)| now < *until);
            leaving.extend(before.cloned());
            let after = |table: &Arc<Table>| (Arc::clone(table), until(table.quota()));
            leaving.extend(former.own.iter().map(after));
            leaving.retain(|(table, _)| own.iter().all(|own| own.quota() != table.quota()));
        }
        let meter = former.and_then(|former| former.meter.clone());
        Self {
            own,
            leaving,
            meter,
        }
    }

    /// Has what is decided counted: by the meter of the former ones, if there were any.
    pub fn counted(mut self, new: impl FnOnce() -> Meter, shadow: bool) -> Self {
        let meter = self.meter.take().unwrap_or_else(new);
        self.meter = Some(meter.of_shadow(shadow));
        self
    }

    pub fn meter(&self) -> Option<&Meter> {
        self.meter.as_ref()
    }

    /// The tables of the promise itself.
    pub fn own(&self) -> &[Arc<Table>] {
        &self.own
    }

    /// True if every table can be used.
    pub fn can_decide(&self) -> bool {
        self.own
            .iter()
            .all(|table| table.census(None, 0, 1).is_ok())
    }

    /// The most admissions at once.
    pub fn burst(&self) -> u64 {
        let bursts = self.own.iter().map(|table| table.quota().burst);
        bursts.min().unwrap_or_default()
    }

    /// Takes `cost` admissions of a key in all tables, or in none.
    pub fn hit(&self, key: &[u8], cost: u64) -> Result<Option<Ruling>, Error> {
        let began = Instant::now();
        let ruling = self.together(|tables| hit_all(tables, key, cost, None, PATIENCE));
        if let Some(meter) = &self.meter {
            meter.count(&ruling, key, began);
        }
        ruling
    }

    /// The answer that a hit would get, changing nothing.
    pub fn peek(&self, key: &[u8], cost: u64) -> Result<Option<Ruling>, Error> {
        self.together(|tables| peek_all(tables, key, cost, None, PATIENCE))
    }

    /// Frees the whole quota of a key; false if a table could not be locked in time.
    pub fn reset(&self, key: &[u8]) -> Result<bool, Error> {
        self.together(|tables| {
            let reset = |all, table: &&Table| Ok(table.reset(key, PATIENCE)? && all);
            tables.iter().try_fold(true, reset)
        })
    }

    fn together<T>(&self, call: impl FnOnce(&[&Table]) -> T) -> T {
        if let ([table], []) = (&self.own[..], &self.leaving[..]) {
            return call(&[table]);
        }
        let mut tables: Vec<&Table> = self.own.iter().map(AsRef::as_ref).collect();
        if !self.leaving.is_empty() {
            let now = now_ns();
            let held = self.leaving.iter().filter(|(_, until)| now < *until);
            tables.extend(held.map(|(table, _)| table.as_ref()));
        }
        call(&tables)
    }
}

/// No admission matters for longer: two windows of a counter or of a block, or a bucket's refill.
fn longest_memory_ns(quota: &Quota) -> u64 {
    let refill_ns = quota
        .burst
        .saturating_mul(quota.window_ns.div_ceil(quota.limit));
    refill_ns.max(2 * quota.window_ns + quota.parameter)
}
