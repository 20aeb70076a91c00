//! Several admissions at once: all of them or none, over one table or several.

use std::time::Duration;

use crate::answer::Answer;
use crate::clock::{self, Reading};
use crate::error::Error;
use crate::hash::Place;
use crate::lock::Guard;
use crate::slot::{Hold, Slot};
use crate::table::Table;

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
) -> Result<Option<(bool, Vec<Answer>)>, Error> {
    for table in tables {
        table.check_cost(cost)?;
    }
    if let [table] = tables {
        let answer = table.hit(key, cost, now_ns, patience)?;
        return Ok(answer.map(|answer| (answer.admitted, vec![answer])));
    }
    let ordered = in_order(tables)?;
    let supplied = clock::supplied(now_ns)?;
    let places: Vec<Place> = tables.iter().map(|table| table.place(key)).collect();
    if let Some(answers) = deny(tables, &places, cost, supplied) {
        return Ok(Some((false, answers)));
    }
    let Some(_guards) = lock_all(&ordered, patience)? else {
        return Ok(None);
    };
    Ok(Some(settle(tables, &places, cost, supplied)))
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
) -> Result<Option<Vec<Answer>>, Error> {
    for table in tables {
        table.check_cost(cost)?;
    }
    let supplied = clock::supplied(now_ns)?;
    let looks = tables.iter().map(|table| {
        let place = table.place(key);
        table.look(&place, cost, &|| look_time(tables, supplied))
    });
    Ok(looks.collect())
}

/// The tables in the one order in which everybody takes their locks, each once.
fn in_order<'a>(tables: &[&'a Table]) -> Result<Vec<&'a Table>, Error> {
    let mut ordered = tables.to_vec();
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
fn deny(
    tables: &[&Table],
    places: &[Place],
    cost: u64,
    supplied: Option<u64>,
) -> Option<Vec<Answer>> {
    let looks = tables.iter().zip(places);
    let answers: Option<Vec<Answer>> = looks
        .map(|(table, place)| table.look(place, cost, &|| decision_time(tables, supplied)))
        .collect();
    answers.filter(|answers| answers.iter().any(Answer::denied))
}

/// Takes every table's lock.
fn lock_all<'a>(
    ordered: &[&'a Table],
    patience: Duration,
) -> Result<Option<Vec<Guard<'a>>>, Error> {
    let mut doors = Vec::with_capacity(ordered.len());
    for table in ordered {
        match table.door()? {
            Some(door) => doors.push(door),
            None => return Ok(None),
        }
    }
    let mut guards = Vec::with_capacity(ordered.len());
    for (table, door) in ordered.iter().zip(doors) {
        match table.enter(door, patience)? {
            Some(guard) => guards.push(guard),
            None => return Ok(None),
        }
    }
    Ok(Some(guards))
}

/// Under the locks: decides, with every slot in hand, by one reading of the clock.
pub(crate) fn settle(
    tables: &[&Table],
    places: &[Place],
    cost: u64,
    supplied: Option<u64>,
) -> (bool, Vec<Answer>) {
    let pairs = tables.iter().zip(places);
    let frozen = pairs.map(|(table, place)| {
        let slot = table.slot(table.locate(place, supplied)?);
        Ok((slot, slot.freeze()))
    });
    let parts: Vec<Result<(Slot<'_>, Hold), u64>> = frozen.collect();
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

/// The time to decide at, asked for after the states were read.
///
/// A supplied reading is no earlier than any that one of the tables has decided at, and from here
/// on they decide at none that is earlier.
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
