//! Tables that decide together: those of a promise, and of a former one that is still in force.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rateproof_enforce::{
    Answer, Answers, Count, Counters, Error, ErrorKind, PATIENCE, Quota, Ruling, Table, hit_all,
    now_ns, peek_all,
};

use crate::metrics::{Meter, Outcome};

const SECOND_NS: u64 = 1_000_000_000;

/// Whole seconds of a wait, at least 1.
#[must_use]
pub fn seconds_of(wait_ns: u64) -> u64 {
    wait_ns.div_ceil(SECOND_NS).max(1)
}

/// The time for which an admission can matter, and a second.
pub fn matters_ns(quota: &Quota) -> u64 {
    quota.memory_ns() + SECOND_NS
}

/// [`hit_all`] or [`peek_all`].
type Call = fn(&[&Table], &[u8], u64, Option<u64>, Duration) -> Result<Option<Ruling>, Error>;

/// The reason why nothing was decided.
pub enum Fault {
    /// No room for the key, or no lock in time: seconds until it makes sense to try again.
    Full(u64),
    /// The store failed, which was said.
    Failed,
    /// A mistake of whoever asked.
    Asked(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        if MISTAKES.contains(&error.kind) {
            return Self::Asked(error.to_string());
        }
        tell!("rateproof: {error}");
        Self::Failed
    }
}

/// Errors that are mistakes of whoever asks, and no decisions: a cost that can never pass.
const MISTAKES: [ErrorKind; 2] = [ErrorKind::InvalidArgument, ErrorKind::NeverPossible];

/// The tables of a promise.
pub struct Tables {
    own: Vec<Arc<Table>>,
    /// Those of quotas that left at a reload.
    leaving: Vec<Leaving>,
    /// It lets everything pass.
    pub shadow: bool,
    meter: Option<Meter>,
    /// Those of the store.
    counters: Option<Arc<Counters>>,
}

/// The table of a quota that left at a reload, and until when it stays in force.
#[derive(Clone)]
struct Leaving {
    table: Arc<Table>,
    until: Arc<AtomicU64>,
}

/// It is not known yet until when.
const UNTOLD: u64 = u64::MAX;

impl Leaving {
    fn of(table: &Arc<Table>) -> Self {
        let until = Arc::new(AtomicU64::new(UNTOLD));
        Self {
            table: Arc::clone(table),
            until,
        }
    }

    fn longest_ns(&self) -> u64 {
        matters_ns(self.table.quota())
    }

    /// The time for which it is still in force.
    fn left_ns(&self) -> u64 {
        match self.until.load(Ordering::Acquire) {
            UNTOLD => self.longest_ns(),
            until => until.saturating_sub(now_ns()),
        }
    }
}

impl Tables {
    /// Puts these in place of former ones, which stay in force until they are `replaced` and
    /// nothing that they admitted can matter any more.
    pub fn new(
        own: Vec<Arc<Table>>,
        counters: Option<Arc<Counters>>,
        former: Option<&Self>,
    ) -> Self {
        let mut leaving: Vec<Leaving> = Vec::new();
        if let Some(former) = former {
            let before = former.leaving.iter().filter(|each| each.left_ns() > 0);
            leaving.extend(before.cloned());
            leaving.extend(former.own.iter().map(Leaving::of));
            leaving.retain(|left| own.iter().all(|own| own.quota() != left.table.quota()));
        }
        Self {
            own,
            leaving,
            shadow: false,
            meter: former.and_then(|former| former.meter.clone()),
            counters,
        }
    }

    /// Has what is decided counted by limit, too: by the meter of the former ones, if there were any.
    pub fn metered(mut self, new: impl FnOnce() -> Meter, shadow: bool) -> Self {
        let _ = self.meter.get_or_insert_with(new);
        self.shadow = shadow;
        self
    }

    /// Nobody decides by the former ones alone any more.
    pub fn replaced(&self) {
        for each in &self.leaving {
            let until = now_ns() + each.longest_ns();
            let _ = each
                .until
                .compare_exchange(UNTOLD, until, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// True if a former promise is still in force.
    pub fn leaves_something(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// True if a former promise is kept that is in force no longer.
    pub fn keep_what_has_left(&self) -> bool {
        self.leaving.iter().any(|each| each.left_ns() == 0)
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
        let began = self.meter.as_ref().map(|_| Instant::now());
        let ruling = self.decide(key, cost, hit_all);
        self.count(&ruling, key, began);
        ruling
    }

    /// Denies a key that may have no place for so long.
    pub fn refuse(&self, key: &[u8], wait_ns: u64) -> Ruling {
        let answers = Answers::from_elem(Answer::without_room(wait_ns), self.own.len());
        let ruling = Ok(Some((false, answers.clone())));
        self.count(&ruling, key, Some(Instant::now()));
        if let Some(counters) = &self.counters {
            counters.add(Count::Flood as usize);
        }
        (false, answers)
    }

    /// Counts a decision: by limit, and for all who share the store.
    pub fn count(
        &self,
        ruling: &Result<Option<Ruling>, Error>,
        key: &[u8],
        began: Option<Instant>,
    ) {
        if matches!(ruling, Err(error) if MISTAKES.contains(&error.kind)) {
            return;
        }
        let full = match ruling {
            Ok(Some((_, answers))) => answers.iter().any(|answer| answer.full),
            Ok(None) => true,
            Err(_) => false,
        };
        let outcome = match ruling {
            Err(_) => Outcome::Error,
            Ok(Some((true, _))) => Outcome::Admitted,
            Ok(_) if self.shadow => Outcome::Shadow,
            Ok(_) if full => Outcome::Full,
            Ok(_) => Outcome::Denied,
        };
        if let (Some(meter), Some(began)) = (&self.meter, began) {
            meter.count(outcome, key, began);
        }
        let Some(counters) = &self.counters else {
            return;
        };
        let add = |count: Count| counters.add(count as usize);
        match (outcome, ruling) {
            (Outcome::Error, _) => add(Count::Error),
            (Outcome::Admitted, Ok(Some((_, answers)))) => {
                add(Count::Admitted);
                let mut pairs = answers.iter().zip(&self.own);
                if pairs.any(|(answer, table)| 5 * answer.remaining < table.quota().burst) {
                    add(Count::NearLimit);
                }
            }
            (Outcome::Shadow, _) => {
                add(Count::Admitted);
                add(Count::Shadow);
            }
            _ => add(Count::Denied),
        }
        if full {
            add(Count::Full);
        }
    }

    /// The ruling, if the key could be counted, or need not.
    pub fn ruled(&self, ruling: Result<Option<Ruling>, Error>) -> Result<Ruling, Fault> {
        let busy = || (false, Answers::from_elem(Answer::busy(), self.own.len()));
        let (admitted, answers) = ruling?.unwrap_or_else(busy);
        let longest = answers.iter().map(|answer| answer.retry_after_ns).max();
        if !admitted && !self.shadow && answers.iter().any(|answer| answer.full) {
            return Err(Fault::Full(seconds_of(longest.unwrap_or(0))));
        }
        Ok((admitted, answers))
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
        let wait = |left: &Leaving| {
            let never = left.table.quota().burst < cost;
            never.then(|| left.left_ns())
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
            let held = self.leaving.iter().filter(|left| left.left_ns() > 0);
            tables.extend(held.map(|left| left.table.as_ref()));
        }
        call(&tables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rateproof_enforce::Algorithm;

    fn tables(limit: u64, former: Option<&Tables>) -> Tables {
        let quota = Quota::new(Algorithm::SLIDING_LOG, limit, 1);
        let table = Table::open(None, quota, 16).expect("memory");
        Tables::new(vec![Arc::new(table)], None, former)
    }

    /// Else what the former ones admit until then would outlive them.
    #[test]
    fn the_time_of_former_tables_begins_once_nobody_decides_by_them_alone() {
        let former = tables(2, None);
        let new = tables(3, Some(&former));
        let left = &new.leaving[0];
        assert_eq!(left.until.load(Ordering::Acquire), UNTOLD);
        assert_eq!(left.left_ns(), left.longest_ns());
        new.replaced();
        let until = left.until.load(Ordering::Acquire);
        assert!(until >= now_ns() && until <= now_ns() + left.longest_ns());
        new.replaced();
        assert_eq!(until, left.until.load(Ordering::Acquire));
    }

    #[test]
    fn no_lock_in_time_is_a_fault_unless_everything_passes() {
        let mut tables = tables(2, None);
        assert!(matches!(tables.ruled(Ok(None)), Err(Fault::Full(1))));
        tables.shadow = true;
        let told = tables.ruled(Ok(None));
        assert!(matches!(told, Ok((false, answers)) if answers.len() == 1));
    }
}
