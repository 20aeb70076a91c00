//! The tables of a store: `memory://` of this process, or the folder of `shm://NAME`, which Python
//! applications open, too. As `location.py` has it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rateproof_enforce::{Counters, Quota, Table, effective_user};

use crate::policy::{Text, table_file};
use crate::tables::matters_ns;

const COUNTERS_FILE: &str = "counters.native";
const PATIENCE: Duration = Duration::from_secs(1);
/// The largest table that is made without a word, in bytes.
const MOST_SILENT: u64 = 256_000_000;
const PAUSE: Duration = Duration::from_millis(1);

/// The place of tables, and those that are open.
pub struct Store {
    folder: Option<PathBuf>,
    capacity: u64,
    tables: Vec<Open>,
    counters: Option<Arc<Counters>>,
}

/// An open table.
struct Open {
    table: Arc<Table>,
    /// When nobody else was seen to have it any more.
    unused_since: Option<u64>,
}

impl Store {
    /// The store of a URL; nothing is opened yet.
    ///
    /// # Errors
    /// Another scheme, or a name that cannot be a folder's.
    pub fn new(url: &str, capacity: u64) -> Result<Self, String> {
        let folder = match url.strip_prefix("shm://") {
            Some(name) => Some(folder_of(name).ok_or_else(|| {
                format!(
                    "store '{url}' (a name is 1 to 64 of A-Z a-z 0-9 . _ - and starts with no dot)"
                )
            })?),
            None if url == "memory://" => None,
            None => return Err(format!("store '{url}' (memory:// or shm://NAME)")),
        };
        Ok(Self {
            folder,
            capacity,
            tables: Vec::new(),
            counters: None,
        })
    }

    /// The tables of these quotas, made where there are none.
    ///
    /// # Errors
    /// The store cannot be used, or a table is another one.
    pub fn open(&mut self, quotas: &[Quota]) -> Result<Vec<Arc<Table>>, String> {
        let opened = self.open_within(quotas, PATIENCE)?;
        opened.ok_or_else(|| self.stays_locked())
    }

    /// The same, or `None` if another process has the lock for so long.
    pub fn open_within(
        &mut self,
        quotas: &[Quota],
        patience: Duration,
    ) -> Result<Option<Vec<Arc<Table>>>, String> {
        let _lock = match &self.folder {
            None => None,
            Some(folder) => match locked(folder, patience)? {
                None => return Ok(None),
                lock => lock,
            },
        };
        let opened = quotas.iter().map(|quota| self.table(*quota));
        opened.collect::<Result<_, _>>().map(Some)
    }

    fn stays_locked(&self) -> String {
        let folder = self.folder.as_deref().unwrap_or(Path::new(""));
        format!("{} stays locked by another process", folder.display())
    }

    /// The counters of all who share the store; those of memory nobody else could read.
    ///
    /// # Errors
    /// They cannot be opened.
    pub fn counters(&mut self) -> Result<Option<Arc<Counters>>, String> {
        if let (Some(folder), None) = (&self.folder, &self.counters) {
            let Some(_lock) = locked(folder, PATIENCE)? else {
                return Err(self.stays_locked());
            };
            let opened = Counters::open(Some(&folder.join(COUNTERS_FILE)), self.tables.is_empty());
            self.counters = Some(Arc::new(opened.map_err(|error| error.to_string())?));
        }
        Ok(self.counters.clone())
    }

    /// The table of a quota, if that is open.
    pub fn find(&self, quota: &Quota) -> Option<&Arc<Table>> {
        let mut tables = self.tables.iter().map(|open| &open.table);
        tables.find(|table| table.quota() == quota)
    }

    /// Gives up each table that nobody else has; one that is in no file only after as long as what it
    /// counted can matter. Whoever comes back to its quota is denied as if it had stayed.
    pub fn take_unused(&mut self, now_ns: u64) -> Vec<Arc<Table>> {
        let in_files = self.folder.is_some();
        let is_unused = |open: &mut Open| {
            if Arc::strong_count(&open.table) > 1 {
                open.unused_since = None;
                return false;
            }
            let since = *open.unused_since.get_or_insert(now_ns);
            in_files || now_ns.saturating_sub(since) > matters_ns(open.table.quota())
        };
        let unused = self.tables.extract_if(.., is_unused);
        unused.map(|open| open.table).collect()
    }

    /// Bytes of the table of a quota.
    ///
    /// # Errors
    /// There can be no such table.
    pub fn bytes(&self, quota: &Quota) -> Result<u64, String> {
        Table::bytes(*quota, self.capacity).map_err(|error| error.to_string())
    }

    fn table(&mut self, quota: Quota) -> Result<Arc<Table>, String> {
        let mut tables = self.tables.iter_mut();
        if let Some(open) = tables.find(|open| *open.table.quota() == quota) {
            open.unused_since = None;
            return Ok(Arc::clone(&open.table));
        }
        let path = self
            .folder
            .as_ref()
            .map(|folder| folder.join(table_file(&quota)));
        if path.as_deref().is_some_and(|path| !path.exists()) {
            let bytes = self.bytes(&quota)?;
            if bytes > MOST_SILENT {
                let (size, policy) = (size(bytes), Text(&quota));
                tell!("rateproof: making a table of {size} for {policy}");
            }
        }
        let table = Table::open(path.as_deref(), quota, self.capacity);
        let table = Arc::new(table.map_err(|error| error.to_string())?);
        self.tables.push(Open {
            table: Arc::clone(&table),
            unused_since: None,
        });
        Ok(table)
    }
}

/// A size, for people.
pub fn size(bytes: u64) -> String {
    match bytes.div_ceil(1_000_000) {
        megabytes @ ..1000 => format!("{megabytes} MB"),
        megabytes => format!("{:.1} GB", megabytes as f64 / 1e3),
    }
}

pub fn folder_of(name: &str) -> Option<PathBuf> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let right = (1..=64).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(known);
    let shared = Path::new("/dev/shm");
    let root = if shared.is_dir() {
        shared.to_owned()
    } else {
        std::env::temp_dir()
    };
    right.then(|| root.join(format!("rateproof-{}-{name}", effective_user())))
}

/// The folder, made if needed, with its lock held until the file is dropped; `None` if another has it
/// for so long.
fn locked(folder: &Path, patience: Duration) -> Result<Option<File>, String> {
    let failed = |error: std::io::Error| format!("cannot use {}: {error}", folder.display());
    let lock = folder.join("lock");
    let deadline = Instant::now() + patience;
    loop {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => check(folder)?,
            other => other.map_err(failed)?,
        }
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW);
        let file = match options.open(&lock) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            other => other.map_err(failed)?,
        };
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(PAUSE)
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        // Else it was removed while we waited.
        let held = file.metadata().map_err(failed)?.ino();
        if fs::symlink_metadata(&lock).is_ok_and(|found| found.ino() == held) {
            return Ok(Some(file));
        }
    }
}

fn check(folder: &Path) -> Result<(), String> {
    let Ok(status) = fs::symlink_metadata(folder) else {
        return Ok(());
    };
    let wrong = if !status.is_dir() {
        "is not a directory"
    } else if status.uid() != effective_user() {
        "belongs to another user"
    } else if status.mode() & 0o077 != 0 {
        "is open to others (its mode is not 700)"
    } else {
        return Ok(());
    };
    Err(format!("{} {wrong}", folder.display()))
}

#[cfg(test)]
mod tests {
    use rateproof_enforce::{Algorithm, PATIENCE};

    use super::*;

    /// A reload that goes back to a former quota in time finds what was admitted.
    #[test]
    fn a_table_that_nobody_has_is_given_up_once_nothing_that_it_counted_can_matter() {
        let quota = Quota::new(Algorithm::SLIDING_LOG, 1, 5 * 1_000_000_000);
        let mut store = Store::new("memory://", 16).expect("it is a store");
        let hit = |store: &mut Store| {
            let tables = store.open(&[quota]).expect("memory");
            let told = tables[0].hit(b"a", 1, None, PATIENCE).expect("it counts");
            told.map(|answer| answer.admitted)
        };
        assert_eq!(hit(&mut store), Some(true));
        let begun = 1_000_000_000_000;
        store.take_unused(begun);
        store.take_unused(begun + matters_ns(&quota));
        assert_eq!(hit(&mut store), Some(false), "it was asked for once more");
        let again = begun + matters_ns(&quota) + 1;
        store.take_unused(again);
        let held = store.open(&[quota]).expect("it is open");
        store.take_unused(again + 10 * matters_ns(&quota));
        drop(held);
        store.take_unused(again + 20 * matters_ns(&quota));
        assert!(
            store.find(&quota).is_some(),
            "it was not in use for a moment only"
        );
        store.take_unused(again + 21 * matters_ns(&quota) + 1);
        assert!(store.find(&quota).is_none());
    }
}
