//! The table of one quota: its words in memory, its lock and its time.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic;
use std::time::Duration;

use once_cell::race::OnceBox;

use crate::clock::{self, MAX_NOW_NS, Reading};
use crate::error::{Error, ErrorKind};
use crate::file::{Backing, FileId};
use crate::hash::{Place, Seed};
use crate::header::{self, WORD_FLOOR, WORD_LOCK, WORD_NUMBERS};
use crate::kernel::Figures;
use crate::life::{self, Life};
use crate::lock::{self, Guard};
use crate::mapping::Mapping;
use crate::opening;
use crate::quota::Quota;
use crate::shape::{BUCKET, Shape};
use crate::slot::Slot;
use crate::sync::{AtomicU64, Ordering};
use crate::sys;

/// For how long after it was seen in its place a file counts without another look.
pub(crate) const SEEN_NS: u64 = 1_000_000_000;

/// A quota for each of about `capacity` keys.
///
/// Shared by all threads of a process, by the children it forks, and, with a path, by all
/// processes of one user that open the same path. One that is deleted while it is open counts for a
/// second more at most: then its users go over to the one that is there, made anew if need be.
pub struct Table {
    mapping: Mapping,
    backing: Backing,
    life: Life,
    pub(crate) shape: Shape,
    figures: Figures,
    seed: Seed,
    seen_until: atomic::AtomicU64,
    /// A fork at any time finds it set or not.
    successor: OnceBox<Self>,
}

impl Table {
    /// Opens the table at `path`, making it where there is none; without a path, one in memory.
    ///
    /// # Errors
    /// `InvalidArgument`: the quota or the capacity is out of bounds. `StoreError`: the file
    /// cannot be made, is not this user's alone, or there is no room for it. `StoreMismatch`: it
    /// is a table of another shape, or no table.
    pub fn open(path: Option<&Path>, quota: Quota, capacity: u64) -> Result<Self, Error> {
        let shape = Shape::new(quota, capacity)?;
        let opened = match path {
            Some(path) => opening::open(path, &shape, opening::PATIENCE, false),
            None => opening::anonymous(&shape),
        };
        Self::of(shape, opened?)
    }

    /// The bytes that a table takes.
    ///
    /// # Errors
    /// `InvalidArgument`: the quota or the capacity is out of bounds.
    pub fn bytes(quota: Quota, capacity: u64) -> Result<u64, Error> {
        Ok(Shape::new(quota, capacity)?.bytes)
    }

    fn of(shape: Shape, (backing, mapping): (Backing, Mapping)) -> Result<Self, Error> {
        let seed = header::seed(mapping.words());
        let seen_until = if backing.path.is_some() { 0 } else { u64::MAX };
        let table = Self {
            mapping,
            backing,
            life: Life::default(),
            shape,
            figures: shape.quota.figures(),
            seed,
            seen_until: atomic::AtomicU64::new(seen_until),
            successor: OnceBox::new(),
        };
        // If it cannot be locked here (no /proc), better to hear of it now than at the first key.
        table.number()?;
        Ok(table)
    }

    /// Opens the table at `path` whatever its quota and capacity are; there is one.
    ///
    /// # Errors
    /// As for `open`, and `StoreError` where there is none.
    pub fn existing(path: &Path) -> Result<Self, Error> {
        let (quota, capacity) = opening::kept(path)?;
        Self::open(Some(path), quota, capacity)
    }

    /// About how many keys there is room for.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.shape.capacity
    }

    /// The one that counts: this table, or what its users went over to.
    #[inline]
    pub(crate) fn latest(&self) -> &Self {
        let mut table = self;
        while let Some(successor) = table.successor.get() {
            table = successor;
        }
        table
    }

    /// True if a decision counts that the table makes at `now`: it was seen in its place less than a
    /// second before, or later.
    #[inline]
    pub(crate) fn stands(&self, now: u64) -> bool {
        now < self.seen_until.load(Ordering::Relaxed)
    }

    /// `stands`, after a look for the file if one is due. If not, `latest` is another table from here
    /// on; it is an error if that takes more patience.
    #[inline]
    pub(crate) fn is_there(&self, now: u64, patience: Duration) -> Result<bool, Error> {
        if self.stands(now) {
            return Ok(true);
        }
        self.look_for_file(now, patience)
    }

    #[cold]
    fn look_for_file(&self, now: u64, patience: Duration) -> Result<bool, Error> {
        let path = self.backing.path.as_deref();
        let Some(path) = path.filter(|_| self.backing.is_removed()) else {
            self.seen_until.fetch_max(now + SEEN_NS, Ordering::Relaxed);
            return Ok(true);
        };
        let opened = match patience {
            Duration::ZERO => Err(Error::store("it takes time to make it again", "patience")),
            _ => opening::open(path, &self.shape, patience, true),
        };
        let successor = opened.and_then(|opened| Self::of(self.shape, opened));
        let successor = successor.map_err(|error| Error {
            message: format!(
                "{} was deleted while it was open: {}",
                self.name(),
                error.message
            ),
            ..error
        })?;
        // It was in its place when it was opened, which was after `now`.
        successor.seen_until.store(now + SEEN_NS, Ordering::Relaxed);
        if self.successor.set(Box::new(successor)).is_ok() {
            self.backing.give_up("table");
        }
        Ok(false)
    }

    /// `latest`, after a look for its file.
    pub(crate) fn latest_seen(&self, patience: Duration) -> Result<&Self, Error> {
        self.latest().look_for_file(0, patience)?;
        Ok(self.latest())
    }

    /// The quota that it promises each key.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.shape.quota
    }

    #[inline]
    pub(crate) fn check_cost(&self, cost: u64) -> Result<(), Error> {
        let Quota { limit, burst, .. } = self.shape.quota;
        let name = if burst == limit { "limit" } else { "burst" };
        match cost {
            0 => Err(Error::invalid("cost is 0", format!("from 1 to {burst}"))),
            cost if cost > burst => Err(Error::new(
                ErrorKind::NeverPossible,
                format!("cost is {cost}, the {name} is {burst}"),
                format!("no wait would ever let it pass: a smaller cost, or a larger {name}"),
            )),
            _ => Ok(()),
        }
    }

    /// Takes the table's lock; `None` when patience ran out or there was no descriptor for it.
    pub(crate) fn lock(&self, patience: Duration) -> Result<Option<Guard<'_>>, Error> {
        let Some(me) = self.number()? else {
            return Ok(None);
        };
        let dead = |number| life::dead(&self.backing, number);
        lock::take(self.header(WORD_LOCK), me, patience, dead)
    }

    /// The number of this process, by which it holds the lock.
    fn number(&self) -> Result<Option<u64>, Error> {
        let (word, next) = (self.header(WORD_LOCK), self.header(WORD_NUMBERS));
        self.life.number(&self.backing, word, next)
    }

    /// Its name in a message.
    pub(crate) fn name(&self) -> String {
        self.backing.name()
    }

    pub(crate) fn id(&self) -> FileId {
        self.backing.id
    }

    #[inline]
    pub(crate) fn place(&self, key: &[u8]) -> Place {
        let place = Place::of(key, self.seed, self.shape.buckets);
        // On a table beyond the caches all four lines arrive at once, and mostly nothing else is
        // needed: most keys have the slot that they are given first.
        for bucket in place.buckets {
            let slot = slots_of(bucket).start + place.way;
            sys::prefetch(self.tag(slot));
            sys::prefetch(&self.mapping.words()[self.shape.state(slot).start]);
        }
        place
    }

    /// The latest reading that the table was reclaimed or, if supplied, decided at.
    pub(crate) fn floor(&self) -> u64 {
        self.header(WORD_FLOOR).load(Ordering::Acquire) & MAX_NOW_NS
    }

    /// From here on no supplied reading counts as of before `now`.
    pub(crate) fn raise(&self, now: u64) {
        if self.floor() < now {
            self.header(WORD_FLOOR).fetch_max(now, Ordering::AcqRel);
        }
    }

    #[inline]
    pub(crate) fn slot(&self, slot: usize) -> Slot<'_> {
        Slot::of(&self.figures, &self.mapping.words()[self.shape.state(slot)])
    }

    pub(crate) fn header(&self, index: usize) -> &AtomicU64 {
        &self.mapping.words()[index]
    }

    pub(crate) fn tag(&self, slot: usize) -> &AtomicU64 {
        &self.mapping.words()[self.shape.tag_index(slot)]
    }

    /// True if the slot has never had an owner.
    pub(crate) fn unowned(&self, slot: usize) -> bool {
        self.tag(slot).load(Ordering::Acquire) == 0
    }
}

/// The slots of a bucket.
pub(crate) fn slots_of(bucket: usize) -> Range<usize> {
    bucket * BUCKET..(bucket + 1) * BUCKET
}

/// The time to decide at, asked for after the states were read.
///
/// A supplied reading is no earlier than any that one of the tables has decided at, and from here
/// on they decide at none that is earlier.
#[inline]
pub(crate) fn decision_time(tables: &[&Table], supplied: Option<u64>) -> Reading {
    clock::read(supplied, |reading| {
        let floors = tables.iter().map(|table| table.floor());
        let now = floors.fold(reading, u64::max);
        for table in tables {
            table.raise(now);
        }
        now
    })
}

/// The time to look at, which binds nobody: no earlier than any that one of the tables has decided
/// at.
pub(crate) fn look_time(tables: &[&Table], supplied: Option<u64>) -> Reading {
    clock::read(supplied, |_| {
        tables.iter().map(|table| table.floor()).max().unwrap_or(0)
    })
}
