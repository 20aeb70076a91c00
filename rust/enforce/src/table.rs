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
use crate::shape::Shape;
use crate::slot::Cells;
use crate::sync::{AtomicU64, Ordering};
use crate::sys::Mapping;
use crate::together;

/// Rounds of one call that others may spoil before it goes on under the lock, or gives up there.
///
/// Each spoilt round is somebody else's progress, so the bound is met only by windows shorter
/// than the work of one round.
pub(crate) const ROUNDS: u32 = 10_000;

/// A quota of `limit` admissions per `window_ns` for each of about `capacity` keys.
///
/// Shared by all threads of a process, by the children it forks, and, with a path, by all
/// processes of one user that open the same path.
pub struct Table {
    mapping: Mapping,
    backing: Backing,
    shape: Shape,
    seed: Seed,
}

impl Table {
    /// Opens the table at `path`, making it where there is none; without a path, one in memory.
    ///
    /// # Errors
    /// `InvalidArgument`: limit, window or capacity out of bounds. `StoreError`: the file cannot
    /// be made, is not this user's alone, or there is no room for it. `StoreMismatch`: it is a
    /// table of another shape, or no table.
    pub fn open(
        path: Option<&Path>,
        limit: u64,
        window_ns: u64,
        capacity: u64,
    ) -> Result<Self, Error> {
        let shape = Shape::new(limit, window_ns, capacity)?;
        let (backing, mapping) = file::open(path, &shape)?;
        let seed = header::seed(mapping.words());
        Ok(Self {
            mapping,
            backing,
            shape,
            seed,
        })
    }

    /// Admissions in any half-open window.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.shape.limit
    }

    /// The window in nanoseconds.
    #[must_use]
    pub fn window_ns(&self) -> u64 {
        self.shape.window_ns
    }

    /// Keys that find room at the same time, but for one in a million.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.shape.capacity
    }

    /// Takes `cost` admissions of `key`, all or none.
    ///
    /// `now_ns` is a reading of the caller's monotonic clock; without it CLOCK_MONOTONIC is read
    /// here, as late as each step of the proof asks for. A supplied reading older than the
    /// table's latest reclaim counts as of that. `Ok(None)`: a holder of the lock was in
    /// the way for longer than `patience`, and nothing has happened; see [`Answer::busy`].
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
        let unlocked = if cost == 1 {
            self.admit_one(&place, supplied)
        } else {
            self.deny(&place, cost, supplied)
        };
        if unlocked.is_some() {
            return Ok(unlocked);
        }
        let Some(_guard) = self.lock(patience)? else {
            return Ok(None);
        };
        let settled = together::settle(&[self], &[place], cost, supplied);
        Ok(settled.and_then(|(_, answers)| answers.into_iter().next()))
    }

    /// What a hit would be told, changing nothing; `remaining` is what is free now.
    ///
    /// # Errors
    /// As [`Table::hit`].
    pub fn peek(
        &self,
        key: &[u8],
        cost: u64,
        now_ns: Option<u64>,
        patience: Duration,
    ) -> Result<Option<Answer>, Error> {
        self.check_cost(cost)?;
        let supplied = clock::supplied(now_ns)?;
        let place = self.place(key);
        if let Some(answer) = self.look(&place, cost, supplied) {
            return Ok(Some(answer));
        }
        let Some(_guard) = self.lock(patience)? else {
            return Ok(None);
        };
        // What a dead holder left is the only thing that could still be in the way.
        if let Some(found) = self.find(&place) {
            self.cells(found.slot).recover();
        }
        Ok(self.look(&place, cost, supplied))
    }

    /// Frees the whole quota of `key`; false when the lock was not to be had within `patience`.
    ///
    /// # Errors
    /// `InvalidArgument`: the time. `StoreError`: no lock can be had.
    pub fn reset(
        &self,
        key: &[u8],
        now_ns: Option<u64>,
        patience: Duration,
    ) -> Result<bool, Error> {
        let supplied = clock::supplied(now_ns)?;
        let place = self.place(key);
        let Some(_guard) = self.lock(patience)? else {
            return Ok(false);
        };
        if let Some(found) = self.find(&place) {
            let cells = self.cells(found.slot);
            cells.recover();
            cells.forget(self.read(supplied).now);
        }
        Ok(true)
    }

    /// A hit of cost 1 without the lock; `None` when it takes the lock to decide.
    fn admit_one(&self, place: &Place, supplied: Option<u64>) -> Option<Answer> {
        for _ in 0..ROUNDS {
            let found = self.find(place)?;
            let at = self.read(supplied);
            let pass = self.cells(found.slot).admit(at.now);
            if pass.taken {
                if self.still(found) {
                    return Some(Answer::admitted(pass.free, pass.all_free_at, at));
                }
                continue;
            }
            if pass.provisional {
                return None;
            }
            let later = self.read(supplied);
            if pass.available_at > later.now && self.still(found) {
                return Some(Answer::denied(
                    0,
                    pass.available_at,
                    pass.all_free_at,
                    later,
                ));
            }
        }
        None
    }

    /// The denial of a hit of any cost without the lock; `None` when it is not to be denied, or
    /// takes the lock to decide.
    pub(crate) fn deny(&self, place: &Place, cost: u64, supplied: Option<u64>) -> Option<Answer> {
        self.look(place, cost, supplied)
            .filter(|answer| !answer.admitted && !answer.full)
    }

    /// A peek without the lock; `None` when it takes the lock to decide.
    pub(crate) fn look(&self, place: &Place, cost: u64, supplied: Option<u64>) -> Option<Answer> {
        for _ in 0..ROUNDS {
            let Some(found) = self.find(place) else {
                return Some(self.look_for_room(place, supplied));
            };
            let at = self.read(supplied);
            let survey = self.cells(found.slot).survey(at.now, cost);
            let later = self.read(supplied);
            let decided = survey.free >= cost || survey.available_at > later.now;
            if survey.free < cost && survey.provisional {
                return None;
            }
            if decided && self.still(found) {
                return Some(Answer::judged(&survey, cost, later));
            }
        }
        None
    }

    /// What a peek says of a key without a slot.
    fn look_for_room(&self, place: &Place, supplied: Option<u64>) -> Answer {
        let at = self.read(supplied);
        let mut ready_at = u64::MAX;
        for slot in place.buckets.into_iter().flat_map(slots_of) {
            if self.tag(slot).load(Ordering::Acquire) == 0 || self.cells(slot).idle(at.now) {
                return Answer::admitted(self.shape.limit, 0, at);
            }
            ready_at = ready_at.min(self.cells(slot).survey(at.now, 1).all_free_at);
        }
        Answer::full(ready_at, at)
    }

    pub(crate) fn check_cost(&self, cost: u64) -> Result<(), Error> {
        let limit = self.shape.limit;
        match cost {
            0 => Err(Error::invalid("cost is 0", format!("from 1 to {limit}"))),
            cost if cost > limit => Err(Error::new(
                ErrorKind::NeverPossible,
                format!("cost is {cost}, the limit is {limit}"),
                "no wait would ever let it pass: a smaller cost, or a larger limit",
            )),
            _ => Ok(()),
        }
    }

    /// Takes the table's lock; `None` when patience ran out or there was no descriptor for it.
    pub(crate) fn lock(&self, patience: Duration) -> Result<Option<Guard>, Error> {
        match self.door()? {
            Some(door) => self.enter(door, patience),
            None => Ok(None),
        }
    }

    pub(crate) fn door(&self) -> Result<Option<Door<'_>>, Error> {
        Door::open(&self.backing)
    }

    pub(crate) fn enter(&self, door: Door<'_>, patience: Duration) -> Result<Option<Guard>, Error> {
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
        Place::of(key, self.seed, self.shape.buckets)
    }

    /// The latest time at which a slot of this table was reclaimed.
    pub(crate) fn floor(&self) -> u64 {
        self.header(WORD_FLOOR).load(Ordering::Acquire)
    }

    pub(crate) fn cells(&self, slot: usize) -> Cells<'_> {
        let first = self.shape.cell_index(slot);
        let cells = &self.mapping.words()[first..first + self.shape.limit as usize];
        Cells::new(cells, self.shape.window_ns)
    }

    pub(crate) fn read(&self, supplied: Option<u64>) -> Reading {
        clock::read(supplied, || self.floor())
    }

    pub(crate) fn header(&self, index: usize) -> &AtomicU64 {
        &self.mapping.words()[index]
    }

    pub(crate) fn tag(&self, slot: usize) -> &AtomicU64 {
        &self.mapping.words()[self.shape.tag_index(slot)]
    }
}
