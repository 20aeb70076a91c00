//! Policies that a command tells as text, and the tables opened for them: at most so many, since
//! whoever may send a command may invent one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rateproof_enforce::Quota;

use crate::store::Store;
use crate::tables::Tables;

/// The most texts that one event loop remembers; many may mean the same policy.
const MOST_TEXTS: usize = 1024;

/// The store, and how many of its tables were opened for a text.
pub struct Told {
    most: usize,
    store: Mutex<(Store, usize)>,
}

impl Told {
    pub fn new(store: Store, most: usize) -> Self {
        Self {
            most,
            store: Mutex::new((store, 0)),
        }
    }

    /// Does something with the store, while nobody else does.
    pub fn with_store<T>(&self, step: impl FnOnce(&mut Store) -> T) -> T {
        step(&mut self.store.lock().unwrap_or_else(PoisonError::into_inner).0)
    }

    fn tables(&self, quotas: &[Quota]) -> Result<Arc<Tables>, String> {
        let mut guard = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let (store, opened) = &mut *guard;
        let before = store.open_tables();
        let new = quotas.iter().filter(|quota| !store.is_open(quota)).count();
        if *opened + new > self.most {
            let most = self.most;
            return Err(format!(
                "ERR {opened} tables are open for policies told as text: at most {most} (resp_tables)"
            ));
        }
        let found = store.open(quotas);
        *opened += store.open_tables() - before;
        let found = found.map_err(|error| format!("ERR {error}"))?;
        Ok(Arc::new(Tables::new(found, None)))
    }
}

/// All that an event loop remembers of them.
pub struct Known {
    told: Arc<Told>,
    by_text: HashMap<Vec<u8>, Arc<Tables>>,
}

impl Known {
    pub fn new(told: Arc<Told>) -> Self {
        Self {
            told,
            by_text: HashMap::new(),
        }
    }

    /// The tables of a text, which `read` reads if it was not met before.
    ///
    /// # Errors
    /// It cannot be read, the store cannot be used, or too many tables are open.
    pub fn tables(
        &mut self,
        text: &[u8],
        read: impl FnOnce() -> Result<Vec<Quota>, String>,
    ) -> Result<&Tables, String> {
        if !self.by_text.contains_key(text) {
            let tables = self.told.tables(&read()?)?;
            if self.by_text.len() == MOST_TEXTS {
                self.by_text.clear();
            }
            self.by_text.insert(text.to_vec(), tables);
        }
        let found = self.by_text.get(text);
        found.map(AsRef::as_ref).ok_or_else(String::new)
    }
}
