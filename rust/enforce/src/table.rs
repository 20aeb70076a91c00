//! The table: hit, peek and reset of one quota.

use std::path::Path;
use std::time::Duration;

use crate::answer::Answer;
use crate::clock::{self, Reading};
use crate::error::{Error, ErrorKind};
use crate::file::{self, Backing, FileId};
use crate::hash::{Place, Seed};
use crate::header::{self, WORD_FLOOR, WORD_TURNS};
use crate::lock::{Door, Guard};
use crate::owners::slots_of;
use crate::quota::Quota;
use crate::shape::Shape;
use crate::slot::{Kind, Slot, Survey};
use crate::sync::{AtomicU64, Mapping, Ordering};
use crate::sys;
use crate::together::{decision_time, look_time, settle};

/// Rounds of one call that others may spoil before it goes on under the lock, or gives up there.
///
/// Each spoilt round is somebody else's progress, so the bound is met only by windows shorter
/// than the work of one round.
pub(crate) const ROUNDS: u32 = 10_000;

/// A quota for each of about `capacity` keys.
///
/// Shared by all threads of a process, by the children it forks, and, with a path, by all
/// processes of one user that open the same path.
pub struct Table {
    mapping: Mapping,
    backing: Backing,
    shape: Shape,
    kind: Kind,
    seed: Seed,
}

/// How much of a table is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// Slots that something is counted in: keys whose quota is not whole.
    pub live: u64,
    /// All slots, 1.75 for each key of the capacity.
    pub slots: u64,
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
        let (backing, mapping) = file::open(path, &shape)?;
        let seed = header::seed(mapping.words());
        Ok(Self {
            mapping,
            backing,
            shape,
            kind: Kind::of(&quota),
            seed,
        })
    }

    /// What it promises each key.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.shape.quota
    }

    /// Keys that find room at the same time, but for one in a million.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.shape.capacity
    }

    /// Takes `cost` admissions of `key`, all or none.
    ///
    /// `now_ns` is a reading of the caller's clock; without it CLOCK_MONOTONIC is read here, as
    /// late as each step of the proof asks for. A supplied reading older than the latest that the
    /// table has decided at counts as of that one. `Ok(None)`: a holder of the lock was in the
    /// way for longer than `patience`, and nothing has happened; see [`Answer::busy`].
    ///
    /// # Errors
    /// `InvalidArgument`, `NeverPossible`: the cost or the time. `StoreError`: no lock can be had.
    pub fn hit(
        &self,
        key: &[u8],
        cost: u64,
        now_ns: Option<u64>,
        patience: Duration,
    ) -> Result<Option<Answer>, Error> {
        self.check_cost(cost)?;
        let supplied = clock::supplied(now_ns)?;
        let place = self.place(key);
        if let Some(answer) = self.admit(&place, cost, supplied) {
            return Ok(Some(answer));
        }
        let Some(_guard) = self.lock(patience)? else {
            return Ok(None);
        };
        let (_, answers) = settle(&[self], &[place], cost, supplied);
        Ok(answers.into_iter().next())
    }

    /// What a hit would be told, changing nothing; `remaining` is what is free now.
    ///
    /// `Ok(None)`: others changed the key all the time; see [`Answer::busy`].
    ///
    /// # Errors
    /// `InvalidArgument`, `NeverPossible`: the cost or the time.
    pub fn peek(
        &self,
        key: &[u8],
        cost: u64,
        now_ns: Option<u64>,
    ) -> Result<Option<Answer>, Error> {
        self.check_cost(cost)?;
        let supplied = clock::supplied(now_ns)?;
        Ok(self.look(&self.place(key), cost, &|| look_time(&[self], supplied)))
    }

    /// Frees the whole quota of `key`; false when the lock was not to be had within `patience`.
    ///
    /// # Errors
    /// `StoreError`: no lock can be had.
    pub fn reset(&self, key: &[u8], patience: Duration) -> Result<bool, Error> {
        let place = self.place(key);
        let Some(_guard) = self.lock(patience)? else {
            return Ok(false);
        };
        if let Some(found) = self.find(&place) {
            self.forget(found.slot);
        }
        Ok(true)
    }

    /// Frees the whole quota of every key; false when the lock was not to be had.
    ///
    /// # Errors
    /// `StoreError`: no lock can be had.
    pub fn clear(&self, patience: Duration) -> Result<bool, Error> {
        let Some(_guard) = self.lock(patience)? else {
            return Ok(false);
        };
        for slot in (0..self.shape.slots()).filter(|slot| !self.unowned(*slot)) {
            self.forget(slot);
        }
        Ok(true)
    }

    /// Under the lock: frees the whole quota of a slot's owner.
    fn forget(&self, slot: usize) {
        let slot = self.slot(slot);
        slot.recover();
        slot.forget(&slot.freeze());
    }

    /// How many slots count something at `now_ns`, or now: it looks at every slot.
    ///
    /// # Errors
    /// `InvalidArgument`: the time.
    pub fn census(&self, now_ns: Option<u64>) -> Result<Census, Error> {
        let now = look_time(&[self], clock::supplied(now_ns)?).now;
        let live = |slot: &usize| !self.unowned(*slot) && self.slot(*slot).busy_until(now) > now;
        Ok(Census {
            live: (0..self.shape.slots()).filter(live).count() as u64,
            slots: self.shape.slots() as u64,
        })
    }

    /// A hit without the lock; `None` when it takes the lock to decide.
    fn admit(&self, place: &Place, cost: u64, supplied: Option<u64>) -> Option<Answer> {
        for _ in 0..ROUNDS {
            let found = self.find(place)?;
            let slot = self.slot(found.slot);
            let answer = slot.admit(cost, || decision_time(&[self], supplied))?;
            if self.still(found) {
                return Some(answer);
            }
        }
        None
    }

    /// A peek, by what `clock` reads; `None` when others spoilt every round.
    pub(crate) fn look(
        &self,
        place: &Place,
        cost: u64,
        clock: &dyn Fn() -> Reading,
    ) -> Option<Answer> {
        for _ in 0..ROUNDS {
            let Some(found) = self.find(place) else {
                return Some(self.look_for_room(place, clock()));
            };
            let slot = self.slot(found.slot);
            let answer = slot.look(cost, clock);
            if self.still(found) {
                return Some(answer);
            }
        }
        None
    }

    /// What a peek says of a key without a slot.
    fn look_for_room(&self, place: &Place, at: Reading) -> Answer {
        let mut ready_at = u64::MAX;
        for slot in place.buckets.into_iter().flat_map(slots_of) {
            let idle_at = match self.unowned(slot) {
                true => 0,
                false => self.slot(slot).busy_until(at.now),
            };
            ready_at = ready_at.min(idle_at);
        }
        if ready_at > at.now {
            return Answer::full(ready_at, at);
        }
        let whole = Survey {
            free: self.shape.quota.burst,
            available_at: at.now,
            all_free_at: at.now,
        };
        Answer::looked(whole, at)
    }

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
        match self.door()? {
            Some(door) => self.enter(door, patience),
            None => Ok(None),
        }
    }

    pub(crate) fn door(&self) -> Result<Option<Door<'_>>, Error> {
        Door::open(&self.backing)
    }

    pub(crate) fn enter<'a>(
        &self,
        door: Door<'a>,
        patience: Duration,
    ) -> Result<Option<Guard<'a>>, Error> {
        let turns = self.header(WORD_TURNS);
        let guard = door.lock(patience, || turns.load(Ordering::Relaxed))?;
        if guard.is_some() {
            turns.fetch_add(1, Ordering::Relaxed);
        }
        Ok(guard)
    }

    pub(crate) fn id(&self) -> FileId {
        self.backing.id
    }

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
        self.header(WORD_FLOOR).load(Ordering::Acquire)
    }

    /// From here on no supplied reading counts as of before `now`.
    pub(crate) fn raise(&self, now: u64) {
        if self.floor() < now {
            self.header(WORD_FLOOR).fetch_max(now, Ordering::AcqRel);
        }
    }

    pub(crate) fn slot(&self, slot: usize) -> Slot<'_> {
        self.kind
            .slot(&self.mapping.words()[self.shape.state(slot)])
    }

    fn header(&self, index: usize) -> &AtomicU64 {
        &self.mapping.words()[index]
    }

    pub(crate) fn tag(&self, slot: usize) -> &AtomicU64 {
        &self.mapping.words()[self.shape.tag_index(slot)]
    }

    /// Whether the slot has never had an owner.
    pub(crate) fn unowned(&self, slot: usize) -> bool {
        self.tag(slot).load(Ordering::Acquire) == 0
    }
}
