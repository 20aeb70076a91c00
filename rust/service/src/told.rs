//! Policies that a command tells as text, and the tables opened for them: at most so many, since
//! whoever may send a command may invent one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::Duration;

use rateproof_enforce::{Algorithm, Quota, Table, now_ns};

use crate::policy::Text;
use crate::store::{Store, size};
use crate::tables::Tables;

/// The pause between two tries to open one while another event loop does.
const PAUSE: Duration = Duration::from_millis(1);
/// The most texts that one event loop remembers; many may mean the same policy.
const MOST_TEXTS: usize = 1024;
/// The largest table that a text opens, in bytes: while it is made, no event loop decides.
const MOST_BYTES: u64 = 64_000_000;

/// The store, and those of its tables that were opened for a text.
pub struct Told {
    most: usize,
    store: Mutex<(Store, Vec<Weak<Table>>)>,
    /// Somebody makes tables that may be large: no event loop waits for that.
    busy: AtomicBool,
}

impl Told {
    pub fn new(store: Store, most: usize) -> Self {
        Self {
            most,
            store: Mutex::new((store, Vec::new())),
            busy: AtomicBool::new(false),
        }
    }

    /// Does something with the store, while nobody else does; meanwhile no text opens a table.
    pub fn with_store<T>(&self, step: impl FnOnce(&mut Store) -> T) -> T {
        self.busy.store(true, Ordering::Release);
        let done = step(&mut self.locked().0);
        self.busy.store(false, Ordering::Release);
        done
    }

    /// Closes tables that nobody needs any more; nobody waits for that.
    pub fn close_unused(&self) {
        let unused = self.locked().0.take_unused(now_ns());
        drop(unused);
    }

    fn locked(&self) -> MutexGuard<'_, (Store, Vec<Weak<Table>>)> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tables(&self, quotas: &[Quota]) -> Result<Arc<Tables>, String> {
        let mut guard = loop {
            match self.store.try_lock() {
                Ok(guard) => break guard,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                Err(TryLockError::WouldBlock) if self.busy.load(Ordering::Acquire) => {
                    let error =
                        "ERR settings are read again, and meanwhile no policy is taken as text";
                    return Err(format!("{error}; try again"));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            }
        };
        let (store, opened) = &mut *guard;
        let new = quotas.iter().filter(|each| store.find(each).is_none());
        let new: Vec<&Quota> = new.collect();
        for quota in &new {
            bounded(store, quota).map_err(|error| format!("ERR {error}"))?;
        }
        opened.retain(|each| each.strong_count() > 0);
        if opened.len() + new.len() > self.most {
            let (opened, most) = (opened.len(), self.most);
            return Err(format!(
                "ERR {opened} tables are open for policies told as text: at most {most} (resp_tables)"
            ));
        }
        let found = store.open(quotas);
        let made = new.iter().filter_map(|quota| store.find(quota));
        opened.extend(made.map(Arc::downgrade));
        let opened = found.and_then(|found| Ok(Tables::new(found, store.counters()?, None)));
        opened.map(Arc::new).map_err(|error| format!("ERR {error}"))
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
}

impl Known {
    pub fn new(told: Arc<Told>) -> Self {
        Self {
            told,
            by_text: HashMap::new(),
            last: None,
        }
    }

    /// The tables of a text in pieces, which `read` reads if it was not met before.
    ///
    /// # Errors
    /// It cannot be read, the store cannot be used, or too many tables are open.
    pub fn tables(
        &mut self,
        pieces: &[&[u8]],
        read: impl FnOnce() -> Result<Vec<Quota>, String>,
    ) -> Result<&Arc<Tables>, String> {
        let is_text = |(text, _): &(Vec<u8>, Arc<Tables>)| {
            let mut pieces = pieces.iter();
            let rest = pieces.try_fold(&text[..], |rest, piece| rest.strip_prefix(*piece));
            rest.is_some_and(<[u8]>::is_empty)
        };
        if !self.last.as_ref().is_some_and(is_text) {
            let text = pieces.concat();
            if !self.by_text.contains_key(&text) {
                let tables = self.told.tables(&read()?)?;
                if self.by_text.len() == MOST_TEXTS {
                    self.by_text.clear();
                }
                self.by_text.insert(text.clone(), tables);
            }
            let found = self.by_text.get(&text).map(Arc::clone);
            self.last = found.map(|tables| (text, tables));
        }
        let last = self.last.as_ref().map(|(_, tables)| tables);
        last.ok_or_else(String::new)
    }
}
