//! Tests that stop the protocol between two of its steps, as a kill or a scheduler would.

use std::time::{Duration, Instant};

use crate::answer::Answer;
use crate::hash::Place;
use crate::quota::{Algorithm, Quota};
use crate::slot::Slot;
use crate::table::Table;

const W: u64 = 1_000_000;
const NONE: Duration = Duration::ZERO;

/// A table of each algorithm: what follows holds for all of them.
fn tables(limit: u64) -> impl Iterator<Item = Table> {
    Algorithm::ALL.into_iter().map(move |algorithm| {
        let quota = Quota::new(algorithm, limit, W);
        Table::open(None, quota, 1).expect("a table in memory")
    })
}

fn log(limit: u64) -> Table {
    Table::open(None, Quota::sliding_log(limit, W), 1).expect("a table in memory")
}

fn hit(table: &Table, key: &[u8], cost: u64, now_ns: u64) -> Answer {
    let answer = table.hit(key, cost, Some(now_ns), NONE);
    answer.expect("valid").expect("no holder in the way")
}

/// The number of the key's slot, under no lock: the tests are alone.
fn locate(table: &Table, key: &[u8], now_ns: u64) -> usize {
    table.locate(&table.place(key), Some(now_ns)).expect("room")
}

/// The key's slot.
fn slot<'a>(table: &'a Table, key: &[u8], now_ns: u64) -> Slot<'a> {
    table.slot(locate(table, key, now_ns))
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
fn nobody_is_denied_because_of_a_slot_in_hand() {
    for table in tables(3) {
        let slot = slot(&table, b"a", 10);
        let holder = table.lock(NONE).expect("locks").expect("is free");
        let hold = slot.freeze();
        for cost in 1..=3 {
            assert_eq!(table.hit(b"a", cost, Some(20), NONE), Ok(None));
            let peek = table
                .peek(b"a", cost, Some(20), Duration::ZERO)
                .expect("valid");
            assert!(peek.expect("takes no lock").admitted);
        }
        slot.thaw(&hold);
        drop(holder);
        assert!(hit(&table, b"a", 3, 20).admitted);
    }
}

#[test]
fn a_denial_waits_for_no_holder() {
    for table in tables(3) {
        assert!(hit(&table, b"a", 3, 10).admitted);
        let _holder = table.lock(NONE).expect("locks").expect("is free");
        slot(&table, b"a", 10).freeze();
        for cost in 1..=3 {
            let answer = table.hit(b"a", cost, Some(20), NONE).expect("valid");
            assert!(answer.expect("takes no lock").denied());
        }
    }
}

#[test]
fn who_is_late_for_a_slot_that_was_given_away_is_not_admitted_by_it() {
    for table in tables(2) {
        let keys = crowd(&table, 10);
        let found = table.find(&table.place(&keys[0])).expect("it was admitted");
        for n in 0u8..8 {
            assert!(hit(&table, &[b'n', n], 1, 10 + 2 * W).admitted);
        }
        // The late one now takes an admission of the new owner, and finds out.
        let at = crate::clock::read(Some(11 + 2 * W), |_| 0);
        let answer = table.slot(found.slot).admit(1, || at);
        assert!(answer.expect("nobody in the way").admitted);
        assert!(!table.still(found));
    }
}

#[test]
fn a_slot_that_came_back_to_its_first_owner_is_not_the_slot_that_was_found() {
    for table in tables(2) {
        let keys = crowd(&table, 10);
        let found = table.find(&table.place(&keys[0])).expect("admitted");
        let place = |key: &[u8]| table.place(key);
        assert!(table.reclaim(found.slot, &place(b"other"), Some(10 + 2 * W)));
        assert!(table.reclaim(found.slot, &place(&keys[0]), Some(10 + 2 * W)));
        assert!(!table.still(found));
    }
}

#[test]
fn a_slot_that_counts_something_is_not_given_away() {
    for table in tables(3) {
        let place: Place = table.place(b"other");
        let taken = locate(&table, b"a", 10);
        assert!(hit(&table, b"a", 1, 10).admitted);
        let before = table.peek(b"a", 1, Some(10), Duration::ZERO);
        assert!(!table.reclaim(taken, &place, Some(10)));
        assert_eq!(table.peek(b"a", 1, Some(10), Duration::ZERO), before);
        assert!(table.reclaim(taken, &place, Some(10 + 2 * W)));
    }
}

#[test]
fn a_reading_older_than_a_decision_counts_as_of_the_decision() {
    let table = log(2);
    assert!(hit(&table, b"a", 1, 6 * W).admitted);
    let older = hit(&table, b"b", 1, 5 * W);
    assert_eq!(older.reset_after_ns, 6 * W + W - 5 * W);
    // What only looks binds nobody.
    table
        .peek(b"a", 1, Some(9 * W), Duration::ZERO)
        .expect("valid");
    assert_eq!(hit(&table, b"b", 1, 6 * W).reset_after_ns, W);
}

#[test]
fn a_reading_older_than_a_state_never_undoes_what_that_counts() {
    // One that was supplied, on a table whose others read the clock inside.
    for table in tables(3) {
        let slot = slot(&table, b"a", 5 * W);
        let admit = |now| {
            let at = crate::clock::read(Some(now), |_| 0);
            // The first of a block is admitted in hand.
            let in_hand = || Answer::admitted(slot.commit(&slot.freeze(), now, 1), at);
            slot.admit(1, || at).unwrap_or_else(in_hand)
        };
        let (first, older) = (admit(6 * W), admit(6 * W - 1));
        assert!(first.admitted && older.admitted);
        assert!(older.reset_after_ns > first.reset_after_ns);
        assert!(admit(6 * W).admitted);
        assert!(admit(6 * W - 1).denied());
        let later = admit(6 * W);
        assert!(later.denied() && later.reset_after_ns >= W);
    }
}

#[test]
fn a_reading_older_than_a_reclaim_by_the_clock_inside_counts_as_of_the_reclaim() {
    for table in tables(2) {
        let slot = locate(&table, b"a", 10);
        assert!(table.reclaim(slot, &table.place(b"b"), Some(20 * W)));
        let lifted = hit(&table, b"a", 1, 15 * W);
        let as_of_then = hit(&table, b"c", 1, 20 * W);
        assert_eq!(lifted.reset_after_ns, as_of_then.reset_after_ns + 5 * W);
    }
}

#[test]
fn a_reading_older_than_a_reclaim_counts_as_of_the_reclaim() {
    let table = log(2);
    for _ in 0..2 {
        assert!(hit(&table, b"a", 1, 600).admitted);
    }
    // Everybody is idle at 600 + W; eight others take all slots, that of `a` too, for a moment.
    for n in 0u8..8 {
        locate(&table, &[b'n', n], 600 + W);
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
    let table = Table::open(None, Quota::sliding_log(3, 1 << 50), 100).expect("a table");
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
    assert_eq!(table.reset(b"a", NONE), Ok(false));
    assert!(start.elapsed() >= patience);
    assert!(start.elapsed() < patience + Duration::from_secs(60));
}
