//! Policies that a command tells as text, and the tables opened for them: at most so many, since
//! whoever may send a command may invent one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use rateproof_enforce::{Algorithm, Quota, Table, now_ns};

use crate::policy::Text;
use crate::store::{Store, size};
use crate::tables::Tables;

/// The longest time for which a text waits for the store, while its event loop goes on.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most texts that one event loop remembers; many may mean the same policy.
const MOST_TEXTS: usize = 1024;
/// The largest table that a text opens, in bytes: while it is made, no event loop decides.
const MOST_BYTES: u64 = 64_000_000;

/// The reason why a text is not taken.
pub struct Untaken(pub String);

/// The store, and those of its tables that were opened for a text.
pub struct Told {
    most: usize,
    store: Mutex<(Store, Vec<Weak<Table>>)>,
}

impl Told {
    pub fn new(store: Store, most: usize) -> Self {
        Self {
            most,
            store: Mutex::new((store, Vec::new())),
        }
    }

    /// Does something with the store, while nobody else does; meanwhile no text opens a table.
    pub fn with_store<T>(&self, step: impl FnOnce(&mut Store) -> T) -> T {
        step(&mut self.locked().0)
    }

    /// Closes tables that nobody needs any more; nobody waits for that.
    pub fn close_unused(&self) {
        let unused = self.locked().0.take_unused(now_ns());
        drop(unused);
    }

    fn locked(&self) -> MutexGuard<'_, (Store, Vec<Weak<Table>>)> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tables of these quotas; `None` while somebody else has the store.
    fn tables(&self, quotas: &[Quota]) -> Result<Option<Arc<Tables>>, String> {
        let mut guard = match self.store.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        let (store, opened) = &mut *guard;
        let new = quotas.iter().filter(|each| store.find(each).is_none());
        let new: Vec<&Quota> = new.collect();
        for quota in &new {
            bounded(store, quota)?;
        }
        opened.retain(|each| each.strong_count() > 0);
        if opened.len() + new.len() > self.most {
            let (opened, most) = (opened.len(), self.most);
            return Err(format!(
                "{opened} tables are open for policies told as text: at most {most} (resp_tables)"
            ));
        }
        let found = store.open_within(quotas, Duration::ZERO);
        let made = new.iter().filter_map(|quota| store.find(quota));
        opened.extend(made.map(Arc::downgrade));
        let Some(found) = found? else {
            return Ok(None);
        };
        let tables = Tables::new(found, store.counters()?, None);
        Ok(Some(Arc::new(tables)))
    }
}

/// Refuses a quota whose table is too large to be made for a text.
fn bounded(store: &Store, quota: &Quota) -> Result<(), String> {
    // No table is smaller than a bucket's, however large the capacity.
    let least = store.bytes(&Quota::new(Algorithm::TOKEN_BUCKET, 1, 1_000_000_000))?;
    let (bytes, most) = (store.bytes(quota)?, least.max(MOST_BYTES));
    if bytes <= most {
        return Ok(());
    }
    let (bytes, most, policy) = (size(bytes), size(most), Text(quota));
    Err(format!(
        "{policy} takes a table of {bytes}: told as text at most {most}; sliding-blocks takes \
         less, and a limit with a name ([limits]) is not bound"
    ))
}

/// All that an event loop remembers of them.
pub struct Known {
    told: Arc<Told>,
    by_text: HashMap<Vec<u8>, Arc<Tables>>,
    /// The text that was met last: mostly it is the next one, too.
    last: Option<(Vec<u8>, Arc<Tables>)>,
    /// The first and the last of the looks for a store that somebody else had.
    in_vain: Option<(Instant, Instant)>,
    /// Whoever asked last has to ask again.
    pub waits: bool,
}

impl Known {
    pub fn new(told: Arc<Told>) -> Self {
        Self {
            told,
            by_text: HashMap::new(),
            last: None,
            in_vain: None,
            waits: false,
        }
    }

    /// The tables of a text in pieces, which `read` reads if it was not met before.
    ///
    /// # Errors
    /// It cannot be read, the store cannot be used, or too many tables are open; or it `waits` for a store
    /// that somebody else has, which is the error only where that takes too long.
    pub fn tables<E: From<Untaken>>(
        &mut self,
        pieces: &[&[u8]],
        read: impl FnOnce() -> Result<Vec<Quota>, E>,
    ) -> Result<&Arc<Tables>, E> {
        let is_text = |(text, _): &(Vec<u8>, Arc<Tables>)| {
            let mut pieces = pieces.iter();
            let rest = pieces.try_fold(&text[..], |rest, piece| rest.strip_prefix(*piece));
            rest.is_some_and(<[u8]>::is_empty)
        };
        if !self.last.as_ref().is_some_and(is_text) {
            let text = pieces.concat();
            if !self.by_text.contains_key(&text) {
                let opened = self.told.tables(&read()?).map_err(Untaken)?;
                let tables = opened.ok_or_else(|| self.look_again())?;
                self.in_vain = None;
                if self.by_text.len() == MOST_TEXTS {
                    self.by_text.clear();
                }
                self.by_text.insert(text.clone(), tables);
            }
            let found = self.by_text.get(&text).map(Arc::clone);
            self.last = found.map(|tables| (text, tables));
        }
        let last = self.last.as_ref().map(|(_, tables)| tables);
        last.ok_or_else(|| Untaken(String::new()).into())
    }

    fn look_again(&mut self) -> Untaken {
        let now = Instant::now();
        let looked = self.in_vain.filter(|(_, last)| now - *last < PATIENCE);
        let begun = looked.map_or(now, |(begun, _)| begun);
        self.in_vain = Some((begun, now));
        self.waits = now - begun < PATIENCE;
        let why = "settings are read again, or another process has it";
        Untaken(format!("the store stays locked: {why}; try again"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_for_the_store_is_refused_once_that_takes_too_long() {
        let store = Store::new("memory://", 16).expect("it is a store");
        let told = Arc::new(Told::new(store, 1));
        let mut known = Known::new(Arc::clone(&told));
        let quota = Quota::new(Algorithm::SLIDING_LOG, 3, 1_000_000_000);
        let ask = |known: &mut Known| {
            let tables = known.tables(&[b"3 per 1s"], || Ok::<_, Untaken>(vec![quota]));
            let taken = tables.map(|_| ()).map_err(|Untaken(reason)| reason);
            (taken, std::mem::take(&mut known.waits))
        };
        told.with_store(|_| {
            assert!(ask(&mut known).1);
            let now = Instant::now();
            known.in_vain = Some((now - PATIENCE, now + 60 * PATIENCE));
            let (refused, waits) = ask(&mut known);
            assert!(refused.is_err_and(|reason| reason.contains("try again")) && !waits);
            // Looks of long ago are no wait.
            known.in_vain = Some((now - 2 * PATIENCE, now - 2 * PATIENCE));
            assert!(ask(&mut known).1);
        });
        assert_eq!(ask(&mut known), (Ok(()), false));
    }
}
