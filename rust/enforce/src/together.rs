//! Several admissions at once: all of them or none, over one table or several.

use std::time::Duration;

use crate::answer::Answer;
use crate::clock::{self, Reading};
use crate::error::Error;
use crate::hash::Place;
use crate::lock::Guard;
use crate::slot::{Hold, Survey};
use crate::table::{ROUNDS, Table};

/// Takes `cost` admissions of `key` in every table, or in none.
///
/// First: whether all admitted. Then each quota's own answer, in the order of `tables`; what a
/// denied call leaves untouched is judged as by a peek. Locks are taken in the order of the
/// files' identities, so that two calls never wait for each other. `Ok(None)`: not all locks
/// could be had within `patience`, and nothing has happened; see [`Answer::busy`].
///
/// # Errors
/// `InvalidArgument`: no table, the same table twice, the cost or the time. `NeverPossible`: the
/// cost is above one of the limits. `StoreError`: no lock can be had.
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
    Ok(settle(tables, &places, cost, supplied))
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
    let pairs = || tables.iter().zip(places);
    pairs().find_map(|(table, place)| table.deny(place, cost, supplied))?;
    let answers: Option<Vec<Answer>> = pairs()
        .map(|(table, place)| table.look(place, cost, supplied))
        .collect();
    // Looked at again, so that all the answers are there; one of them must still deny.
    answers.filter(|answers| {
        answers
            .iter()
            .any(|answer| !answer.admitted && !answer.full)
    })
}

/// Takes every table's lock.
fn lock_all(ordered: &[&Table], patience: Duration) -> Result<Option<Vec<Guard>>, Error> {
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

/// Under the locks: decides. `None` when others spoilt every round.
pub(crate) fn settle(
    tables: &[&Table],
    places: &[Place],
    cost: u64,
    supplied: Option<u64>,
) -> Option<(bool, Vec<Answer>)> {
    let read = || clock::read(supplied, || floor(tables));
    let located: Vec<Result<usize, u64>> = tables
        .iter()
        .zip(places)
        .map(|(table, place)| table.locate(place, supplied))
        .collect();
    let slots: Vec<(&Table, usize)> = tables
        .iter()
        .zip(&located)
        .filter_map(|(table, slot)| slot.ok().map(|slot| (*table, slot)))
        .collect();
    if slots.len() < tables.len() {
        let at = read();
        let judge = |(table, slot): (&&Table, &Result<usize, u64>)| match slot {
            Ok(slot) => Answer::judged(&table.cells(*slot).survey(at.now, cost), cost, at),
            Err(ready_at) => Answer::full(*ready_at, at),
        };
        return Some((false, tables.iter().zip(&located).map(judge).collect()));
    }
    for _ in 0..ROUNDS {
        let at = read();
        if take_all(&slots, cost, at) {
            let told = |survey: &Survey| Answer::admitted(survey.free, survey.all_free_at, at);
            return Some((
                true,
                survey_all(&slots, cost, at).iter().map(told).collect(),
            ));
        }
        let surveys = survey_all(&slots, cost, at);
        // The clock is read after the last cell: what is denied is denied as of now.
        let later = read();
        if surveys.iter().any(|survey| survey.available_at > later.now) {
            let told = |survey: &Survey| Answer::judged(survey, cost, later);
            return Some((false, surveys.iter().map(told).collect()));
        }
    }
    None
}

/// Takes the cells in hand, in every slot or in none, and makes them admissions at `at`.
fn take_all(slots: &[(&Table, usize)], cost: u64, at: Reading) -> bool {
    let mut holds: Vec<Hold> = Vec::with_capacity(slots.len());
    for (table, slot) in slots {
        holds.push(table.cells(*slot).take(at.now, cost));
        if holds.last().is_some_and(|hold| hold.len() < cost) {
            break;
        }
    }
    let fits = holds.len() == slots.len() && holds.iter().all(|hold| hold.len() == cost);
    for ((table, slot), hold) in slots.iter().zip(holds) {
        let cells = table.cells(*slot);
        if fits {
            cells.commit(hold, at.now);
        } else {
            cells.release(hold);
        }
    }
    fits
}

fn survey_all(slots: &[(&Table, usize)], cost: u64, at: Reading) -> Vec<Survey> {
    slots
        .iter()
        .map(|(table, slot)| table.cells(*slot).survey(at.now, cost))
        .collect()
}

fn floor(tables: &[&Table]) -> u64 {
    tables.iter().map(|table| table.floor()).max().unwrap_or(0)
}
