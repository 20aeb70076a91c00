//! Tests that stop the protocol between two of its steps, as a kill or a scheduler would.

use std::mem::forget;
use std::time::{Duration, Instant};

use crate::answer::Answer;
use crate::clock::BIAS;
use crate::hash::Place;
use crate::table::Table;

const W: u64 = 1_000;
const NONE: Duration = Duration::ZERO;

fn table(limit: u64, capacity: u64) -> Table {
    Table::open(None, limit, W, capacity).expect("a table in memory")
}

fn hit(table: &Table, key: &[u8], cost: u64, now_ns: u64) -> Answer {
    let answer = table.hit(key, cost, Some(now_ns), NONE);
    answer.expect("valid").expect("no holder in the way")
}

/// How many hits of cost 1 are admitted in a row.
fn admissions(table: &Table, key: &[u8], now_ns: u64) -> u64 {
    (0..)
        .find(|_| !hit(table, key, 1, now_ns).admitted)
        .expect("a limit")
}

/// The key's slot, under no lock: the tests are alone.
fn slot(table: &Table, key: &[u8], now_ns: u64) -> usize {
    let place = table.place(key);
    table.locate(&place, Some(BIAS + now_ns)).expect("room")
}

/// Keys enough to own each of the 8 slots of the smallest table, admitted once each.
fn crowd(table: &Table, now_ns: u64) -> Vec<Vec<u8>> {
    let keys: Vec<Vec<u8>> = (0u8..8).map(|n| vec![b'k', n]).collect();
    for key in &keys {
        assert!(hit(table, key, 1, now_ns).admitted);
    }
    keys
}

#[test]
fn who_dies_with_cells_in_hand_burns_nothing() {
    let table = table(5, 8);
    let cells = table.cells(slot(&table, b"a", 10));
    forget(cells.take(BIAS + 10, 3));
    assert_eq!(admissions(&table, b"a", 20), 5);
    assert_eq!(admissions(&table, b"a", 20 + W), 5);
}

#[test]
fn who_dies_while_turning_cells_into_stamps_burns_what_is_turned() {
    let table = table(5, 8);
    let cells = table.cells(slot(&table, b"a", 10));
    cells.commit(cells.take(BIAS + 10, 1), BIAS + 10);
    forget(cells.take(BIAS + 10, 2));
    assert_eq!(admissions(&table, b"a", 20), 4);
    assert_eq!(admissions(&table, b"a", 10 + W), 1);
}

#[test]
fn nobody_is_denied_because_of_cells_in_hand() {
    let table = table(3, 8);
    let cells = table.cells(slot(&table, b"a", 10));
    let holder = table.lock(NONE).expect("locks").expect("is free");
    let hold = cells.take(BIAS + 10, 3);
    for cost in 1..=3 {
        assert_eq!(table.hit(b"a", cost, Some(20), NONE), Ok(None));
        assert_eq!(table.peek(b"a", cost, Some(20), NONE), Ok(None));
    }
    cells.release(hold);
    drop(holder);
    assert!(hit(&table, b"a", 3, 20).admitted);
}

#[test]
fn cells_in_hand_do_not_stop_an_admission_that_needs_none_of_them() {
    let table = table(3, 8);
    let cells = table.cells(slot(&table, b"a", 10));
    let _holder = table.lock(NONE).expect("locks").expect("is free");
    forget(cells.take(BIAS + 10, 2));
    assert!(hit(&table, b"a", 1, 20).admitted);
}

#[test]
fn who_dies_between_sealing_and_publishing_costs_the_owner_nothing() {
    let table = table(2, 1);
    crowd(&table, 10);
    forget(table.cells(slot(&table, b"k\0", 10)).seal(BIAS + 10 + W));
    assert_eq!(admissions(&table, b"k\0", 10 + W), 2);
}

#[test]
fn who_dies_after_publishing_costs_the_new_owner_nothing() {
    let table = table(2, 1);
    crowd(&table, 10);
    let taken = slot(&table, b"k\0", 10);
    forget(table.cells(taken).seal(BIAS + 10 + W));
    table.publish(taken, &table.place(b"new"));
    assert_eq!(slot(&table, b"new", 10 + W), taken);
    assert_eq!(admissions(&table, b"new", 10 + W), 2);
}

#[test]
fn a_live_cell_keeps_the_slot_and_every_stamp_in_it() {
    let table = table(3, 1);
    let cells = table.cells(slot(&table, b"a", 10));
    assert!(hit(&table, b"a", 1, 10).admitted);
    assert!(hit(&table, b"a", 1, 500).admitted);
    let before = cells.survey(BIAS + 500, 3);
    assert!(cells.seal(BIAS + 10 + W).is_none());
    assert_eq!(cells.survey(BIAS + 500, 3), before);
}

#[test]
fn who_is_late_for_a_slot_that_was_given_away_is_not_admitted_by_it() {
    let table = table(2, 1);
    let keys = crowd(&table, 10);
    let place = table.place(&keys[0]);
    let found = table.find(&place).expect("it was admitted");
    for n in 0u8..8 {
        assert!(hit(&table, &[b'n', n], 1, 10 + W).admitted);
    }
    // The late one now swaps a cell of the new owner, and finds out.
    let pass = table.cells(found.slot).admit(BIAS + 11 + W);
    assert!(pass.taken);
    assert!(!table.still(found));
}

#[test]
fn a_slot_that_came_back_to_its_first_owner_is_not_the_slot_that_was_found() {
    let table = table(2, 1);
    let keys = crowd(&table, 10);
    let found = table.find(&table.place(&keys[0])).expect("admitted");
    let place = |key: &[u8]| table.place(key);
    assert!(table.reclaim(found.slot, &place(b"other"), BIAS + 10 + W));
    assert!(table.reclaim(found.slot, &place(&keys[0]), BIAS + 10 + W));
    assert!(!table.still(found));
}

#[test]
fn no_cell_is_free_between_sealing_and_publishing() {
    let table = table(4, 1);
    let cells = table.cells(slot(&table, b"a", 10));
    let hold = cells.seal(BIAS + 10).expect("idle");
    let pass = cells.admit(BIAS + 10 + 5 * W);
    assert!(!pass.taken && pass.provisional);
    cells.release(hold);
    assert!(cells.admit(BIAS + 10).taken);
}

#[test]
fn a_reading_older_than_a_reclaim_counts_as_of_the_reclaim() {
    let table = table(2, 1);
    for _ in 0..2 {
        assert!(hit(&table, b"a", 1, 600).admitted);
    }
    // Everybody is idle at 1600; eight others take all slots, that of `a` too, for a moment.
    for n in 0u8..8 {
        let place: Place = table.place(&[b'n', n]);
        assert!(table.locate(&place, Some(BIAS + 600 + W)).is_ok());
    }
    // By its own reading two admissions are still live. They are forgotten, so it is lifted.
    let answer = hit(&table, b"a", 1, 700);
    assert!(answer.admitted);
    assert_eq!(answer.reset_after_ns, (600 + W) + W - 700);
    assert!(hit(&table, b"a", 1, 600 + W).admitted);
    assert!(!hit(&table, b"a", 1, 600 + 2 * W - 1).admitted);
}

#[test]
fn a_holder_that_stands_still_blocks_only_who_needs_the_lock() {
    let table = Table::open(None, 3, 1 << 50, 100).expect("a table");
    let patience = Duration::from_millis(30);
    let hit = |key: &[u8], cost| table.hit(key, cost, None, patience).expect("valid");
    assert!(hit(b"a", 1).expect("no lock needed").admitted);
    let _holder = table.lock(NONE).expect("locks").expect("is free");
    assert!(hit(b"a", 1).expect("no lock needed").admitted);
    assert!(!hit(b"a", 2).expect("no lock needed").admitted);
    assert!(hit(b"a", 1).expect("no lock needed").admitted);
    assert!(!hit(b"a", 1).expect("no lock needed").admitted);
    assert!(!hit(b"a", 3).expect("no lock needed").admitted);
    let start = Instant::now();
    assert_eq!(hit(b"new", 1), None);
    assert_eq!(table.reset(b"a", None, NONE), Ok(false));
    assert!(start.elapsed() >= patience);
    assert!(start.elapsed() < patience + Duration::from_secs(2));
}
