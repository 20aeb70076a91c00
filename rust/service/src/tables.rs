//! Tables that decide together: those of a promise, and of a former one that is still in force.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rateproof_enforce::{Answer, Error, PATIENCE, Quota, Ruling, Table, hit_all, now_ns, peek_all};

use crate::metrics::Meter;

const SECOND_NS: u64 = 1_000_000_000;

/// [`hit_all`] or [`peek_all`].
type Call = fn(&[&Table], &[u8], u64, Option<u64>, Duration) -> Result<Option<Ruling>, Error>;

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
        let ruling = self.decide(key, cost, hit_all);
        if let Some(meter) = &self.meter {
            meter.count(&ruling, key, began);
        }
        ruling
    }

    /// The answer that a hit would get, changing nothing.
    pub fn peek(&self, key: &[u8], cost: u64) -> Result<Option<Ruling>, Error> {
        self.decide(key, cost, peek_all)
    }

    /// Frees the whole quota of a key; false if a table could not be locked in time.
    pub fn reset(&self, key: &[u8]) -> Result<bool, Error> {
        self.together(|tables| {
            let reset = |all, table: &&Table| Ok(table.reset(key, PATIENCE)? && all);
            tables.iter().try_fold(true, reset)
        })
    }

    fn decide(&self, key: &[u8], cost: u64, call: Call) -> Result<Option<Ruling>, Error> {
        let wait = |(table, until): &(Arc<Table>, u64)| {
            let never = table.quota().burst < cost;
            never.then(|| until.saturating_sub(now_ns()))
        };
        let wait_ns = self.leaving.iter().filter_map(wait).max().unwrap_or(0);
        if wait_ns == 0 {
            return self.together(|tables| call(tables, key, cost, None, PATIENCE));
        }
        // A former quota can never let it pass: denied until that has left.
        let own: Vec<&Table> = self.own.iter().map(AsRef::as_ref).collect();
        let ruling = peek_all(&own, key, cost, None, PATIENCE)?;
        Ok(ruling.map(|(_, mut answers)| {
            answers.push(Answer {
                admitted: false,
                full: false,
                remaining: 0,
                retry_after_ns: wait_ns,
                reset_after_ns: wait_ns,
            });
            (false, answers)
        }))
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
