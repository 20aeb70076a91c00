//! The protocol under a model checker: every interleaving of its steps, and every value that the
//! orderings allow a load to see. Each model fails when the step is left out that it is about.
//!
//! `make models`
//!
//! The clock ticks with every look at it, and only so: no window passes but by `let_pass`. A call
//! that does not get the lock at once says so and has done nothing.

use std::time::Duration;

use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;

use crate::calls::hit_all;
use crate::lock;
use crate::quota::{Algorithm, Quota};
use crate::sync::{AtomicU64, CLOCK, LEFT_OUT, Ordering, Step};
use crate::table::Table;

const W: u64 = 1 << 20;

fn let_pass(window_ns: u64) {
    CLOCK.fetch_add(window_ns, Ordering::Relaxed);
}

/// Runs every interleaving with at most three preemptions.
fn explore(left_out: Option<Step>, model: impl Fn() + Send + Sync + 'static) {
    LEFT_OUT.set(left_out);
    explore_bounded(3, model);
}

fn explore_bounded(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// A table with two slots.
fn table(algorithm: Algorithm, limit: u64) -> Arc<Table> {
    let quota = Quota::new(algorithm, limit, W);
    Arc::new(Table::open(None, quota, 1).expect("a table"))
}

/// True if it was admitted; `None` when the lock was taken.
fn hit(table: &Table, key: &[u8], cost: u64) -> Option<bool> {
    let answer = table.hit(key, cost, None, Duration::ZERO).expect("valid");
    answer.map(|answer| answer.admitted && !answer.full)
}

/// Gives the key a slot that was used before and is idle again.
fn settle(table: &Table, key: &[u8]) {
    assert_eq!(hit(table, key, 1), Some(true));
    let_pass(2 * W);
}

/// The cost that was admitted.
fn admitted(outcomes: &[(u64, Option<bool>)]) -> u64 {
    let passed = outcomes.iter().filter(|(_, told)| *told == Some(true));
    passed.map(|(cost, _)| cost).sum()
}

/// Hits of these costs at once on one key of a quota.
fn race(algorithm: Algorithm, limit: u64, costs: &[u64]) {
    let table = table(algorithm, limit);
    settle(&table, b"a");
    let call = |cost: &u64| {
        let (table, cost) = (Arc::clone(&table), *cost);
        thread::spawn(move || {
            (
                cost,
                table.hit(b"a", cost, None, Duration::ZERO).expect("valid"),
            )
        })
    };
    let others: Vec<_> = costs[1..].iter().map(call).collect();
    let mine = table
        .hit(b"a", costs[0], None, Duration::ZERO)
        .expect("valid");
    let mut outcomes = vec![(costs[0], mine)];
    outcomes.extend(
        others
            .into_iter()
            .map(|thread| thread.join().expect("no panic")),
    );
    // One after the other: who was told that more is left came first.
    outcomes.sort_by_key(|(_, told)| told.map(|answer| limit - answer.remaining));
    let mut used = 0;
    for (cost, answer) in outcomes
        .iter()
        .filter_map(|(cost, told)| Some((cost, (*told)?)))
    {
        if answer.admitted {
            used += cost;
            assert!(used <= limit, "more than the limit: {outcomes:?}");
            assert_eq!(answer.remaining, limit - used, "{outcomes:?}");
        }
    }
    for (cost, told) in &outcomes {
        let denied = told.is_some_and(|answer| !answer.admitted);
        assert!(
            !denied || used + cost > limit,
            "denied what could pass: {outcomes:?}"
        );
        let opens = algorithm == Algorithm::SLIDING_BLOCKS;
        let waits = opens || costs.iter().any(|cost| *cost > 1);
        assert!(told.is_some() || waits, "blocked: {outcomes:?}");
    }
}

#[test]
fn models_admit_exactly_the_limit() {
    for algorithm in Algorithm::ALL {
        explore(None, move || race(algorithm, 1, &[1, 1]));
    }
    explore_bounded(2, || race(Algorithm::SLIDING_LOG, 2, &[1, 1, 1]));
}

#[test]
fn models_of_several_at_once_are_all_or_nothing() {
    for algorithm in Algorithm::ALL {
        explore(None, move || race(algorithm, 3, &[2, 1]));
        explore(None, move || race(algorithm, 3, &[2, 2]));
    }
}

#[test]
#[should_panic(expected = "more than the limit")]
fn models_of_a_log_fail_without_the_mark() {
    explore(Some(Step::Mark), || {
        race(Algorithm::SLIDING_LOG, 2, &[2, 1])
    });
}

/// One hit of a key at once with hits that never leave two of its two cells busy.
fn pass_through_laps() {
    let table = table(Algorithm::SLIDING_LOG, 2);
    settle(&table, b"a");
    let other = {
        let table = Arc::clone(&table);
        thread::spawn(move || {
            assert_eq!(hit(&table, b"a", 1), Some(true));
            let_pass(W);
            assert_eq!(hit(&table, b"a", 1), Some(true));
            let_pass(W);
            assert_eq!(hit(&table, b"a", 1), Some(true));
        })
    };
    let told = hit(&table, b"a", 1);
    assert_eq!(told, Some(true), "denied what could pass");
    other.join().expect("no panic");
}

#[test]
fn models_of_a_log_deny_nobody_for_a_cell_of_another_lap() {
    // Of the four hits no three lie within a window: cells are free all the time.
    explore(None, pass_through_laps);
}

#[test]
#[should_panic(expected = "denied what could pass")]
fn models_of_a_log_fail_without_the_second_look_at_the_cursor() {
    explore(Some(Step::Recursor), pass_through_laps);
}

/// A hit of a block at once with one that opens the next; then all that are left.
fn pass_into_a_block() {
    let table = table(Algorithm::SLIDING_BLOCKS, 2);
    settle(&table, b"a");
    let first = (1, hit(&table, b"a", 1));
    let other = {
        let table = Arc::clone(&table);
        thread::spawn(move || {
            let_pass(W / 60 + 1);
            (1, hit(&table, b"a", 1))
        })
    };
    let mine = (1, hit(&table, b"a", 1));
    let other = other.join().expect("no panic");
    let last = (1, hit(&table, b"a", 1));
    let admitted = admitted(&[first, mine, other, last]);
    assert!(admitted <= 2, "more than the limit");
    assert_eq!(admitted, 2, "denied what could pass");
}

#[test]
fn models_of_blocks_open_one_while_another_is_counted() {
    explore(None, pass_into_a_block);
}

#[test]
#[should_panic(expected = "more than the limit")]
fn models_of_blocks_fail_without_the_mark() {
    explore(Some(Step::Mark), pass_into_a_block);
}

/// A table of two slots in use, and a key that is given the idle one of `a`.
fn table_with_thief(algorithm: Algorithm) -> (Arc<Table>, u8) {
    let table = table(algorithm, 1);
    settle(&table, b"a");
    settle(&table, b"x");
    let taker = table
        .find(&table.place(b"a"))
        .expect("it was admitted")
        .slot;
    let wants_it = |name: &u8| table.place(&[*name]).way == taker;
    let thief = (b'A'..=b'Z').find(wants_it).expect("half of them do");
    (table, thief)
}

/// A late hit of a key whose slot is given to another, while the key is given another slot.
fn give_away(algorithm: Algorithm) {
    let (table, thief) = table_with_thief(algorithm);
    let other = {
        let table = Arc::clone(&table);
        thread::spawn(move || {
            hit(&table, &[thief], 1);
            hit(&table, b"a", 1)
        })
    };
    let late = hit(&table, b"a", 1);
    let again = other.join().expect("no panic");
    assert!(
        late != Some(true) || again != Some(true),
        "more than the limit: an admission was forgotten"
    );
}

/// Two windows pass while a key is being given the slot of another, which is admitted to it.
fn give_away_slowly(algorithm: Algorithm) {
    let (table, thief) = table_with_thief(algorithm);
    let other = {
        let table = Arc::clone(&table);
        thread::spawn(move || {
            let_pass(2 * W);
            hit(&table, b"a", 1)
        })
    };
    hit(&table, &[thief], 1);
    let told = other.join().expect("no panic");
    assert!(
        told != Some(true) || hit(&table, b"a", 1) != Some(true),
        "more than the limit: an admission was forgotten"
    );
}

const KINDS: [Algorithm; 2] = [Algorithm::SLIDING_LOG, Algorithm::TOKEN_BUCKET];

#[test]
fn models_of_a_slot_given_away_forget_no_admission() {
    for algorithm in KINDS {
        explore(None, move || give_away(algorithm));
    }
}

#[test]
#[should_panic(expected = "an admission was forgotten")]
fn models_of_a_log_given_away_fail_without_the_mark() {
    explore(Some(Step::Mark), || give_away(Algorithm::SLIDING_LOG));
}

#[test]
#[should_panic(expected = "an admission was forgotten")]
fn models_of_a_word_given_away_fail_without_the_mark() {
    explore(Some(Step::Mark), || give_away(Algorithm::TOKEN_BUCKET));
}

#[test]
#[should_panic(expected = "an admission was forgotten")]
fn models_of_a_log_given_away_fail_without_the_second_look_at_the_word() {
    explore(Some(Step::Recheck), || give_away(Algorithm::SLIDING_LOG));
}

#[test]
#[should_panic(expected = "an admission was forgotten")]
fn models_of_a_word_given_away_fail_without_the_second_look_at_the_word() {
    explore(Some(Step::Recheck), || give_away(Algorithm::TOKEN_BUCKET));
}

#[test]
fn models_of_a_slot_given_away_slowly_forget_no_admission() {
    for algorithm in Algorithm::ALL {
        explore(None, move || give_away_slowly(algorithm));
    }
}

#[test]
#[should_panic(expected = "an admission was forgotten")]
fn models_of_a_window_given_away_fail_without_the_reading_of_the_frozen_slot() {
    explore(Some(Step::Reading), || {
        give_away_slowly(Algorithm::FIXED_WINDOW)
    });
}

#[test]
#[should_panic(expected = "an admission was forgotten")]
fn models_of_a_counter_given_away_fail_without_the_reading_of_the_frozen_slot() {
    explore(Some(Step::Reading), || {
        give_away_slowly(Algorithm::SLIDING_COUNTER)
    });
}

#[test]
fn models_of_one_key_claimed_by_two_give_it_one_slot() {
    for algorithm in KINDS {
        explore(None, move || {
            let table = table(algorithm, 1);
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || (1, hit(&table, b"a", 1)))
            };
            let mine = (1, hit(&table, b"a", 1));
            let outcomes = [mine, other.join().expect("no panic")];
            let last = (1, hit(&table, b"a", 1));
            assert_eq!(admitted(&outcomes) + admitted(&[last]), 1);
        });
    }
}

/// A hit of two quotas at once with a hit of one of them, each of which has room for one.
fn share(algorithm: Algorithm) {
    let (first, second) = (table(algorithm, 1), table(algorithm, 1));
    settle(&first, b"a");
    settle(&second, b"a");
    let other = {
        let second = Arc::clone(&second);
        thread::spawn(move || hit(&second, b"a", 1))
    };
    let told = hit_all(&[&first, &second], b"a", 1, None, Duration::ZERO).expect("valid");
    let both = told.is_some_and(|(admitted, _)| admitted);
    let alone = other.join().expect("no panic") == Some(true);
    assert!(!(both && alone), "more than the limit");
    assert!(both || alone, "denied what could pass");
    assert_eq!(hit(&first, b"a", 1), Some(!both), "not all or nothing");
}

#[test]
fn models_of_two_quotas_are_all_or_nothing() {
    for algorithm in KINDS {
        explore(None, move || share(algorithm));
    }
}

#[test]
#[should_panic(expected = "more than the limit")]
fn models_of_two_quotas_fail_without_the_mark_on_a_word() {
    explore(Some(Step::Mark), || share(Algorithm::TOKEN_BUCKET));
}

/// The lock was left by one who died, number 9: one who has seen that, while another process is
/// given that number and takes the lock.
fn leave_behind() {
    let [word, alive, inside] = [9, 0, 0].map(|value| Arc::new(AtomicU64::new(value)));
    let enter = {
        let (word, inside) = (Arc::clone(&word), Arc::clone(&inside));
        move |me, alive: &AtomicU64| {
            // The kernel is asked, and knows the latest: a load might not.
            let dead = |number| Ok(number == 9 && alive.fetch_add(0, Ordering::Relaxed) == 0);
            if let Some(_guard) = lock::take(&word, me, Duration::ZERO, dead).expect("asks") {
                assert_eq!(
                    inside.fetch_add(1, Ordering::Relaxed),
                    0,
                    "two have the lock"
                );
                inside.fetch_add(u64::MAX, Ordering::Relaxed);
            }
        }
    };
    let other = {
        let (enter, alive) = (enter.clone(), Arc::clone(&alive));
        thread::spawn(move || enter(1, &alive))
    };
    alive.store(1, Ordering::Relaxed);
    lock::inherit(&word, 9);
    enter(9, &alive);
    other.join().expect("no panic");
}

#[test]
fn models_of_a_lock_left_by_the_dead_let_in_one_at_a_time() {
    explore(None, leave_behind);
}

#[test]
#[should_panic(expected = "two have the lock")]
fn models_of_a_lock_left_by_the_dead_fail_without_its_turn() {
    explore(Some(Step::Turn), leave_behind);
}
