//! The calls: hit, peek and reset of one table, and of several all or none.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use smallvec::{SmallVec, smallvec};

use crate::answer::{Answer, Survey};
use crate::clock::{self, Reading};
use crate::error::{Damage, Error};
use crate::hash::Place;
use crate::hold::Hold;
use crate::slot::Slot;
use crate::sync::coarse_ns;
use crate::table::{Table, decision_time, look_time, slots_of};

/// Rounds of one call that others may spoil before it goes on under the lock, or gives up there.
///
/// Each spoilt round is somebody else's progress, so the bound is met only by windows shorter
/// than the work of one round.
pub(crate) const ROUNDS: u32 = 10_000;

/// One thing for each table of a call: where there are few, it takes no memory of its own.
type Each<T> = SmallVec<[T; 4]>;

/// Each quota's answer to one call, in the order of its tables.
pub type Answers = Each<Answer>;

/// How much of a table is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// Slots that something is counted in: keys whose quota is not whole.
    pub live: u64,
    /// All slots, 1.75 for each key of the capacity.
    pub slots: u64,
}

impl Table {
    /// Takes `cost` admissions of `key`, all or none.
    ///
    /// `now_ns` is a reading of the caller's clock; without it CLOCK_MONOTONIC is read here, as
    /// late as each step of the proof asks for. A supplied reading older than the latest that the
    /// table has decided at counts as of that one. `Ok(None)`: a holder of the lock was in the
    /// way for longer than `patience`, and nothing has happened; see [`Answer::busy`].
    ///
    /// # Errors
    /// `InvalidArgument`, `NeverPossible`: the cost or the time. `StoreError`: no lock can be had.
    #[inline]
    pub fn hit(
        &self,
        key: &[u8],
        cost: u64,
        now_ns: Option<u64>,
        patience: Duration,
    ) -> Result<Option<Answer>, Error> {
        guarded(&[self], || {
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
        })
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
        guarded(&[self], || {
            let supplied = asked(&[self], cost, now_ns)?;
            Ok(self.look(&self.place(key), cost, &|| look_time(&[self], supplied)))
        })
    }

    /// Frees the whole quota of `key`; false when the lock was not to be had within `patience`.
    ///
    /// # Errors
    /// `StoreError`: no lock can be had.
    pub fn reset(&self, key: &[u8], patience: Duration) -> Result<bool, Error> {
        guarded(&[self], || {
            let place = self.place(key);
            let Some(_guard) = self.lock(patience)? else {
                return Ok(false);
            };
            if let Some(found) = self.find(&place) {
                self.forget(found.slot);
            }
            Ok(true)
        })
    }

    /// Frees the whole quota of every key; false when the lock was not to be had.
    ///
    /// # Errors
    /// `StoreError`: no lock can be had.
    pub fn clear(&self, patience: Duration) -> Result<bool, Error> {
        guarded(&[self], || {
            let Some(_guard) = self.lock(patience)? else {
                return Ok(false);
            };
            for slot in (0..self.shape.slots()).filter(|slot| !self.unowned(*slot)) {
                self.forget(slot);
            }
            Ok(true)
        })
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
        guarded(&[self], || {
            let now = look_time(&[self], clock::supplied(now_ns)?).now;
            let live =
                |slot: &usize| !self.unowned(*slot) && self.slot(*slot).busy_until(now) > now;
            Ok(Census {
                live: (0..self.shape.slots()).filter(live).count() as u64,
                slots: self.shape.slots() as u64,
            })
        })
    }

    /// A hit without the lock; `None` when it takes the lock to decide.
    #[inline]
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

    /// Whether the cost fits at about `now`, as far as one look can tell.
    fn seems_free(&self, place: &Place, now: u64, cost: u64) -> bool {
        let found = self.find(place);
        found.is_none_or(|found| self.slot(found.slot).seems_free(now, cost))
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
}

/// Takes `cost` admissions of `key` in every table, or in none.
///
/// First: whether all admitted. Then each quota's own answer, in the order of `tables`; what a
/// denied call leaves untouched is judged as by a peek. Locks are taken in the order of the
/// files' identities, so that two calls never wait for each other. `Ok(None)`: not all locks
/// could be had within `patience`, and nothing has happened; see [`Answer::busy`].
///
/// # Errors
/// `InvalidArgument`: no table, the same table twice, the cost or the time. `NeverPossible`: the
/// cost is above one of the bursts. `StoreError`: no lock can be had.
pub fn hit_all(
    tables: &[&Table],
    key: &[u8],
    cost: u64,
    now_ns: Option<u64>,
    patience: Duration,
) -> Result<Option<(bool, Answers)>, Error> {
    if let [table] = tables {
        let answer = table.hit(key, cost, now_ns, patience)?;
        return Ok(answer.map(|answer| (answer.admitted, smallvec![answer])));
    }
    guarded(tables, || {
        let supplied = asked(tables, cost, now_ns)?;
        let ordered = in_order(tables)?;
        let places: Each<Place> = tables.iter().map(|table| table.place(key)).collect();
        if let Some(answers) = deny(tables, &places, cost, supplied) {
            return Ok(Some((false, answers)));
        }
        let mut guards = Each::new();
        for table in ordered {
            match table.lock(patience)? {
                Some(guard) => guards.push(guard),
                None => return Ok(None),
            }
        }
        Ok(Some(settle(tables, &places, cost, supplied)))
    })
}

/// What `hit_all` would be told, changing nothing, by one reading of the clock or more.
///
/// `Ok(None)`: others changed the key all the time; see [`Answer::busy`].
///
/// # Errors
/// `InvalidArgument`, `NeverPossible`: as for [`hit_all`].
pub fn peek_all(
    tables: &[&Table],
    key: &[u8],
    cost: u64,
    now_ns: Option<u64>,
) -> Result<Option<Answers>, Error> {
    guarded(tables, || {
        let supplied = asked(tables, cost, now_ns)?;
        let look =
            |table: &&Table| table.look(&table.place(key), cost, &|| look_time(tables, supplied));
        Ok(tables.iter().map(look).collect())
    })
}

/// What the call answers, or that a table is damaged.
#[inline]
fn guarded<T>(tables: &[&Table], call: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // Nothing is half done: all of it is in the table, where others might die at any step, too.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        if !payload.is::<Damage>() {
            resume_unwind(payload);
        }
        let names: Vec<String> = tables.iter().map(|table| table.name()).collect();
        let names = names.join(" or ");
        Err(Error::store(
            format!("{names} is damaged: it was written to by something else"),
            "remove it while nothing uses it",
        ))
    })
}

/// Checks what is asked of several tables; the reading of the clock, if one was supplied.
fn asked(tables: &[&Table], cost: u64, now_ns: Option<u64>) -> Result<Option<u64>, Error> {
    for table in tables {
        table.check_cost(cost)?;
    }
    clock::supplied(now_ns)
}

/// The tables in the one order in which everybody takes their locks, each once.
fn in_order<'a>(tables: &[&'a Table]) -> Result<Each<&'a Table>, Error> {
    let mut ordered = Each::from_slice(tables);
    ordered.sort_by_key(|table| table.id());
    if ordered.is_empty() || ordered.windows(2).any(|pair| pair[0].id() == pair[1].id()) {
        return Err(Error::invalid(
            format!("hit_all got {} tables, none or one twice", tables.len()),
            "one or more tables, each once",
        ));
    }
    Ok(ordered)
}

/// Without the locks: the answers when one of the quotas denies, which is all it takes.
///
/// What fits at a time that is over fits now, as far as can be seen: only for what does not is the
/// clock read, which takes longer than all else.
fn deny(tables: &[&Table], places: &[Place], cost: u64, supplied: Option<u64>) -> Option<Answers> {
    let past = supplied.unwrap_or_else(coarse_ns);
    let mut pairs = tables.iter().zip(places);
    if pairs.all(|(table, place)| table.seems_free(place, past, cost)) {
        return None;
    }
    let look = |(table, place): (&&Table, &Place)| {
        table.look(place, cost, &|| decision_time(tables, supplied))
    };
    let answers: Option<Answers> = tables.iter().zip(places).map(look).collect();
    answers.filter(|answers| answers.iter().any(Answer::denied))
}

/// Under the locks: decides, with every slot in hand, by one reading of the clock.
pub(crate) fn settle(
    tables: &[&Table],
    places: &[Place],
    cost: u64,
    supplied: Option<u64>,
) -> (bool, Answers) {
    let frozen = tables.iter().zip(places).map(|(table, place)| {
        let slot = table.slot(table.locate(place, supplied)?);
        Ok((slot, slot.freeze()))
    });
    let parts: Each<Result<(Slot<'_>, Hold), u64>> = frozen.collect();
    let at = decision_time(tables, supplied);
    let found = |(slot, hold): &(Slot<'_>, Hold)| slot.survey(hold, at.now, cost);
    let fits = |part| found(part).available_at <= at.now;
    let admitted = parts.iter().all(|part| part.as_ref().is_ok_and(fits));
    let answer = |part: Result<(Slot<'_>, Hold), u64>| match part {
        Ok((slot, hold)) if admitted => Answer::admitted(slot.commit(&hold, at.now, cost), at),
        Ok(part) => {
            let looked = Answer::looked(found(&part), at);
            part.0.thaw(&part.1);
            looked
        }
        Err(ready_at) => Answer::full(ready_at, at),
    };
    (admitted, parts.into_iter().map(answer).collect())
}
