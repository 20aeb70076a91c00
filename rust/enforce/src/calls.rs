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

/// When several tables decided, whether they all admitted, and what each says.
type Ruling = (u64, bool, Answers);

/// The use of a table.
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
            loop {
                let table = self.latest();
                let place = table.place(key);
                let decided = Cell::new(0);
                let clock = || {
                    let at = decision_time(&[table], supplied);
                    decided.set(at.now);
                    at
                };
                if let Some(answer) = table.admit(&place, cost, clock) {
                    if table.stands(decided.get())? {
                        return Ok(Some(answer));
                    }
                    continue;
                }
                let Some(_guard) = table.lock(patience)? else {
                    return Ok(None);
                };
                let (at, _, answers) = settle(&[table], &[place], cost, supplied);
                if table.stands(at)? {
                    return Ok(answers.into_iter().next());
                }
            }
        })
    }

    /// The answer that a hit would have, changing nothing; `remaining` is free now.
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
            let table = self.latest();
            let clock = || look_time(&[table], supplied);
            Ok(table.look(&table.place(key), cost, &clock))
        })
    }

    /// Frees the whole quota of `key`; false when the lock was not to be had within `patience`.
    ///
    /// # Errors
    /// `StoreError`: no lock can be had.
    pub fn reset(&self, key: &[u8], patience: Duration) -> Result<bool, Error> {
        guarded(&[self], || {
            let table = self.latest_seen()?;
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
            let table = self.latest_seen()?;
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

    /// Number of slots that count something at `now_ns`, or now: it looks at every slot.
    ///
    /// # Errors
    /// `InvalidArgument`: the time. `StoreError`: it was deleted, and cannot be opened again.
    pub fn census(&self, now_ns: Option<u64>) -> Result<Census, Error> {
        guarded(&[self], || {
            let table = self.latest_seen()?;
            let now = look_time(&[table], clock::supplied(now_ns)?).now;
            let slots = 0..table.shape.slots();
            let live = |slot: &usize| table.is_live(*slot, now);
            Ok(Census {
                slots: slots.len() as u64,
                live: slots.filter(live).count() as u64,
            })
        })
    }

    /// As `census`, of `count` slots that are spread over the table, others for each `turn`.
    ///
    /// They are the multiples of the golden ratio, which fill the table evenly.
    ///
    /// # Errors
    /// `InvalidArgument`: the time.
    pub fn sample(&self, now_ns: Option<u64>, turn: u64, count: u64) -> Result<Census, Error> {
        let slots = self.slots();
        if count >= slots {
            return self.census(now_ns);
        }
        guarded(&[self], || {
            let table = self.latest_seen()?;
            let now = look_time(&[table], clock::supplied(now_ns)?).now;
            let spread = |step: u64| {
                let turned = step.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                ((u128::from(turned) * u128::from(slots)) >> 64) as usize
            };
            let live = |slot: &usize| table.is_live(*slot, now);
            let first = turn.wrapping_mul(count);
            let steps = (0..count).map(|step| spread(first.wrapping_add(step)));
            Ok(Census {
                live: steps.filter(live).count() as u64,
                slots: count,
            })
        })
    }

    /// True if anything in the slot counts at `now`.
    fn is_live(&self, slot: usize, now: u64) -> bool {
        !self.unowned(slot) && self.slot(slot).busy_until(now) > now
    }

    /// Number of places for keys.
    #[must_use]
    pub fn slots(&self) -> u64 {
        self.shape.slots() as u64
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
            let (at, admitted, answers) =
                denied.unwrap_or_else(|| settle(tables, &places, cost, supplied));
            let mut all = true;
            for table in tables {
                all &= table.stands(at)?;
            }
            if all {
                return Ok(Some((admitted, answers)));
            }
        }
    })
}

/// The answers that `hit_all` would have, changing nothing, by one reading of the clock or more.
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
        let tables: &Each<&Table> = &tables.iter().map(|table| table.latest()).collect();
        let look =
            |table: &&Table| table.look(&table.place(key), cost, &|| look_time(tables, supplied));
        Ok(tables.iter().map(look).collect())
    })
}

/// The answer of the call, or the damage of a table.
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
/// What fits at a time just before seems to fit: only for what does not is the clock read again,
/// after each state.
fn deny(tables: &[&Table], places: &[Place], cost: u64, supplied: Option<u64>) -> Option<Ruling> {
    let before = supplied.unwrap_or_else(clock::now_ns);
    let mut pairs = tables.iter().zip(places);
    if pairs.all(|(table, place)| table.seems_free(place, before, cost)) {
        return None;
    }
    let decided = Cell::new(0);
    let clock = || {
        let at = decision_time(tables, supplied);
        decided.set(at.now);
        at
    };
    let pairs = tables.iter().zip(places);
    let looks = pairs.map(|(table, place)| table.look(place, cost, &clock));
    let answers = looks.collect::<Option<Answers>>()?;
    let denied = answers.iter().any(Answer::denied);
    denied.then_some((decided.get(), false, answers))
}

/// Under the locks: decides, with every slot in hand, by one reading of the clock.
pub(crate) fn settle(
    tables: &[&Table],
    places: &[Place],
    cost: u64,
    supplied: Option<u64>,
) -> Ruling {
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
    let admitted = tables.iter().zip(&held).all(fits);
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
    (at.now, admitted, answers)
}
