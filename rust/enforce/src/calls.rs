//! The calls: hit, peek and reset of one table, and of several all or none.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use smallvec::{SmallVec, smallvec};

use crate::answer::{Answer, Survey};
use crate::clock::{self, Reading};
use crate::error::{Damage, Error};
use crate::hash::Place;
use crate::hold::Hold;
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

/// The answers of several tables, and whether all admitted.
pub type Ruling = (bool, Answers);

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
            loop {
                let table = self.latest();
                let place = table.place(key);
                let decided = Cell::new(0);
                let clock = || {
                    let at = noted(&decided, decision_time(&[table], supplied));
                    let charges = table.stands(at.now);
                    Reading { charges, ..at }
                };
                let answer = table.admit(&place, cost, clock);
                if !table.stands(decided.get()) {
                    table.is_there(decided.get(), patience)?;
                    continue;
                }
                if answer.is_some() {
                    return Ok(answer);
                }
                let Some(guard) = table.lock(patience)? else {
                    return Ok(None);
                };
                let (at, ruling) = settle(&[table], &[place], cost, supplied);
                drop(guard);
                if let Some((_, answers)) = ruling {
                    return Ok(answers.into_iter().next());
                }
                table.is_there(at, patience)?;
            }
        })
    }

    /// The answer that a hit would have, changing nothing; `remaining` is free now.
    ///
    /// `Ok(None)`: others changed the key all the time; see [`Answer::busy`].
    ///
    /// # Errors
    /// As for [`hit`](Self::hit).
    pub fn peek(
        &self,
        key: &[u8],
        cost: u64,
        now_ns: Option<u64>,
        patience: Duration,
    ) -> Result<Option<Answer>, Error> {
        let ruling = peek_all(&[self], key, cost, now_ns, patience)?;
        Ok(ruling.and_then(|(_, answers)| answers.into_iter().next()))
    }

    /// Frees the whole quota of `key`; false when the lock was not to be had within `patience`.
    ///
    /// # Errors
    /// `StoreError`: no lock can be had.
    pub fn reset(&self, key: &[u8], patience: Duration) -> Result<bool, Error> {
        guarded(&[self], || {
            let table = self.latest_seen(patience)?;
            let Some(_guard) = table.lock(patience)? else {
                return Ok(false);
            };
            if let Some(found) = table.find(&table.place(key)) {
                table.forget(found.slot);
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
            let table = self.latest_seen(patience)?;
            let Some(_guard) = table.lock(patience)? else {
                return Ok(false);
            };
            for slot in (0..table.shape.slots()).filter(|slot| !table.unowned(*slot)) {
                table.forget(slot);
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

    /// A hit without the lock; `None` when it takes the lock to decide.
    #[inline]
    fn admit(&self, place: &Place, cost: u64, clock: impl Fn() -> Reading) -> Option<Answer> {
        for _ in 0..ROUNDS {
            let found = self.find(place)?;
            let slot = self.slot(found.slot);
            let answer = slot.admit(cost, &clock)?;
            if self.still(found) {
                return Some(answer);
            }
        }
        None
    }

    /// True if the cost fits at about `now`, as far as one look can tell.
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

    /// The answer of a peek to a key without a slot.
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
) -> Result<Option<Ruling>, Error> {
    if let [table] = tables {
        let answer = table.hit(key, cost, now_ns, patience)?;
        return Ok(answer.map(|answer| (answer.admitted, smallvec![answer])));
    }
    guarded(tables, || {
        let supplied = asked(tables, cost, now_ns)?;
        loop {
            let tables: &Each<&Table> = &tables.iter().map(|table| table.latest()).collect();
            let ordered = in_order(tables)?;
            let places: Each<Place> = tables.iter().map(|table| table.place(key)).collect();
            let denied = deny(tables, &places, cost, supplied);
            let mut guards = Each::new();
            for table in ordered.iter().filter(|_| denied.is_none()) {
                match table.lock(patience)? {
                    Some(guard) => guards.push(guard),
                    None => return Ok(None),
                }
            }
            let (at, ruling) = denied.unwrap_or_else(|| settle(tables, &places, cost, supplied));
            drop(guards);
            if are_there(tables, at, patience)? && ruling.is_some() {
                return Ok(ruling);
            }
        }
    })
}

/// Says what `hit_all` would, changing nothing, by one reading of the clock or more.
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
    patience: Duration,
) -> Result<Option<Ruling>, Error> {
    guarded(tables, || {
        let supplied = asked(tables, cost, now_ns)?;
        loop {
            let tables: &Each<&Table> = &tables.iter().map(|table| table.latest()).collect();
            let seen = Cell::new(0);
            let clock = || noted(&seen, look_time(tables, supplied));
            let look = |table: &&Table| table.look(&table.place(key), cost, &clock);
            let answers: Option<Answers> = tables.iter().map(look).collect();
            if are_there(tables, seen.get(), patience)? {
                let admitted = |answers: &Answers| answers.iter().all(|answer| answer.admitted);
                return Ok(answers.map(|answers| (admitted(&answers), answers)));
            }
        }
    })
}

/// True if a decision counts that the tables make at `now`; see [`Table::is_there`].
fn are_there(tables: &[&Table], now: u64, patience: Duration) -> Result<bool, Error> {
    let mut all = true;
    for table in tables {
        all &= table.is_there(now, patience)?;
    }
    Ok(all)
}

/// The reading, whose time is noted.
#[inline]
fn noted(time: &Cell<u64>, at: Reading) -> Reading {
    time.set(at.now);
    at
}

/// The answer of the call, or the damage of a table.
#[inline]
pub(crate) fn guarded<T>(
    tables: &[&Table],
    call: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
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
    let is_in_order = |tables: &[&Table]| tables.windows(2).all(|two| two[0].id() < two[1].id());
    if !is_in_order(&ordered) {
        ordered.sort_by_key(|table| table.id());
    }
    if ordered.is_empty() || !is_in_order(&ordered) {
        return Err(Error::invalid(
            format!("hit_all got {} tables, none or one twice", tables.len()),
            "one or more tables, each once",
        ));
    }
    Ok(ordered)
}

/// Without the locks: the answers when one of the quotas denies, which is all it takes.
///
/// A cost that fits at a time just before seems to fit: only for what does not is the clock read again,
/// after each state.
fn deny(
    tables: &[&Table],
    places: &[Place],
    cost: u64,
    supplied: Option<u64>,
) -> Option<(u64, Option<Ruling>)> {
    let before = supplied.unwrap_or_else(clock::now_ns);
    let mut pairs = tables.iter().zip(places);
    if pairs.all(|(table, place)| table.seems_free(place, before, cost)) {
        return None;
    }
    let decided = Cell::new(0);
    let clock = || noted(&decided, decision_time(tables, supplied));
    let pairs = tables.iter().zip(places);
    let looks = pairs.map(|(table, place)| table.look(place, cost, &clock));
    let answers = looks.collect::<Option<Answers>>()?;
    let denied = answers.iter().any(Answer::denied);
    denied.then_some((decided.get(), Some((false, answers))))
}

/// Under the locks: decides, with every slot in hand, by one reading of the clock, which is told.
///
/// Is a look for one of the files due by then, nothing is decided, and nothing has happened.
pub(crate) fn settle(
    tables: &[&Table],
    places: &[Place],
    cost: u64,
    supplied: Option<u64>,
) -> (u64, Option<Ruling>) {
    let mut held: Each<Result<(usize, Hold), u64>> = Each::new();
    for (table, place) in tables.iter().zip(places) {
        let found = table.locate(place, supplied);
        held.push(found.map(|slot| (slot, table.slot(slot).freeze())));
    }
    let at = decision_time(tables, supplied);
    let fits = |(table, part): (&&Table, &Result<(usize, Hold), u64>)| match part {
        Ok((slot, hold)) => table.slot(*slot).survey(hold, at.now, cost).available_at <= at.now,
        Err(_) => false,
    };
    let stand = tables.iter().all(|table| table.stands(at.now));
    let admitted = stand && tables.iter().zip(&held).all(fits);
    let mut answers = Answers::new();
    for (table, part) in tables.iter().zip(&held) {
        answers.push(match part {
            Ok((slot, hold)) if admitted => {
                Answer::admitted(table.slot(*slot).commit(hold, at.now, cost), at)
            }
            Ok((slot, hold)) => {
                let slot = table.slot(*slot);
                let looked = Answer::looked(slot.survey(hold, at.now, cost), at);
                slot.thaw(hold);
                looked
            }
            Err(ready_at) => Answer::full(*ready_at, at),
        });
    }
    (at.now, stand.then_some((admitted, answers)))
}
