//! Threads on one table: exact quotas, whoever is interrupted where.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rateproof_enforce::{Algorithm, Answer, Quota, Table, hit_all};

const HOUR: u64 = 3_600_000_000_000;
/// A window in which no token comes back, and that no test sees the end of.
const AGES: u64 = 1 << 58;
const THREADS: u64 = 8;
/// Whoever holds the lock may be put off for long on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A call that admitted: when it began and when it had returned, in nanoseconds.
type Interval = (u64, u64);

/// True if more than `limit` admissions certainly fell into one window.
fn exceeded(mut admitted: Vec<Interval>, limit: usize, window_ns: u64) -> bool {
    // In order of their ends: limit + 1 in a row that all began after the first could have been.
    admitted.sort_unstable_by_key(|(_, end)| *end);
    admitted.windows(limit + 1).any(|run| {
        let begin = run.iter().map(|(begin, _)| *begin).min().unwrap_or(0);
        let end = run.iter().map(|(_, end)| *end).max().unwrap_or(u64::MAX);
        end - begin < window_ns
    })
}

#[test]
fn one_key_hammered_by_threads_is_admitted_exactly_n_times() {
    let log = |limit| Quota::sliding_log(limit, HOUR);
    let other = |algorithm| Quota::new(algorithm, 10_000, AGES);
    let quotas = [1, 5, 8, 9, 100].map(log);
    for quota in quotas.into_iter().chain(Algorithm::ALL.map(other)) {
        let table = Table::open(None, quota, 64).expect("a table");
        let left = Mutex::new(Vec::new());
        let start = Barrier::new(THREADS as usize);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..2_000 {
                        let answer = table.hit(b"a", 1, None, PATIENCE).expect("valid");
                        let answer = answer.expect("nobody stands still");
                        assert!(!answer.full);
                        if answer.admitted {
                            left.lock().expect("no panic").push(answer.remaining);
                        }
                    }
                });
            }
        });
        // As many as the limit, and each was told exactly what it left.
        let mut left = left.into_inner().expect("no panic");
        left.sort_unstable();
        assert!(left.into_iter().eq(0..quota.limit), "{quota}");
    }
}

#[test]
fn the_stamps_of_a_hammered_key_never_stand_too_close() {
    let (limit, window_ns) = (3, 500_000);
    let table = Table::open(None, Quota::sliding_log(limit, window_ns), 64).expect("a table");
    let epoch = Instant::now();
    let mut stamps: Vec<u64> = thread::scope(|scope| {
        let hammer = || {
            let mut stamps = Vec::new();
            while epoch.elapsed() < Duration::from_millis(400) {
                let now = epoch.elapsed().as_nanos() as u64;
                let answer = table.hit(b"a", 1, Some(now), PATIENCE).expect("valid");
                // Its reading may have been overtaken: the window's end tells the stamp.
                let stamp = |told: Answer| now + told.reset_after_ns - window_ns;
                stamps.extend(answer.filter(|answer| answer.admitted).map(stamp));
            }
            stamps
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(hammer)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    stamps.sort_unstable();
    assert!(stamps.len() > 10, "only {} admissions", stamps.len());
    let apart = |run: &[u64]| run[limit as usize] - run[0] >= window_ns;
    assert!(stamps.windows(limit as usize + 1).all(apart));
}

#[test]
fn slots_that_change_owners_all_the_time_lose_no_admission() {
    // 24 keys take turns in 8 slots, each idle a moment after it was used.
    let (limit, window_ns, keys) = (2, 40_000, 24u8);
    let table = Table::open(None, Quota::sliding_log(limit, window_ns), 1).expect("a table");
    let epoch = Instant::now();
    let ns = || epoch.elapsed().as_nanos() as u64;
    let logs: Vec<(u8, Interval)> = thread::scope(|scope| {
        let hammer = |seed: u64| {
            let mut log = Vec::new();
            let mut random = seed;
            while epoch.elapsed() < Duration::from_millis(1_500) {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(seed);
                let key = ((random >> 33) % u64::from(keys)) as u8;
                for _ in 0..=(random >> 60) {
                    let begin = ns();
                    let answer = table.hit(&[key], 1, None, PATIENCE).expect("valid");
                    if answer.is_some_and(|answer| answer.admitted) {
                        log.push((key, (begin, ns())));
                    }
                }
            }
            log
        };
        let threads: Vec<_> = (0..THREADS)
            .map(|seed| scope.spawn(move || hammer(2 * seed + 1)))
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    for key in 0..keys {
        let of_key = |(owner, interval): &(u8, Interval)| (*owner == key).then_some(*interval);
        let admitted: Vec<Interval> = logs.iter().filter_map(of_key).collect();
        assert!(admitted.len() > 4, "key {key}: {}", admitted.len());
        assert!(!exceeded(admitted, limit as usize, window_ns), "key {key}");
    }
}

/// Releases the costs at once, each on its own thread, many times; returns who was admitted.
fn race(costs: &[u64], limit: u64, rounds: u32, check: impl Fn(&[(u64, bool)])) {
    let table = Table::open(None, Quota::sliding_log(limit, HOUR), 20_000).expect("a table");
    let gate = Barrier::new(costs.len());
    let told: Vec<Vec<bool>> = thread::scope(|scope| {
        let call = |cost: u64| {
            let (gate, table) = (&gate, &table);
            move || {
                let hit = |round: u32| {
                    gate.wait();
                    let answer = table.hit(&round.to_le_bytes(), cost, None, PATIENCE);
                    answer
                        .expect("valid")
                        .expect("nobody stands still")
                        .admitted
                };
                (0..rounds).map(hit).collect()
            }
        };
        let threads: Vec<_> = costs.iter().map(|cost| scope.spawn(call(*cost))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    for round in 0..rounds as usize {
        let outcome: Vec<(u64, bool)> = costs
            .iter()
            .zip(&told)
            .map(|(cost, told)| (*cost, told[round]))
            .collect();
        check(&outcome);
    }
}

#[test]
fn of_two_hits_of_cost_3_on_a_limit_of_4_exactly_one_is_admitted() {
    race(&[3, 3], 4, 3_000, |outcome| {
        assert_eq!(outcome.iter().filter(|(_, admitted)| *admitted).count(), 1);
    });
}

#[test]
fn costs_that_race_are_denied_only_when_they_do_not_fit() {
    // Nothing expires: what is free only shrinks, so a denied cost does not fit at the end either.
    for costs in [&[2, 2, 1, 1][..], &[3, 2, 1, 1], &[1, 1, 1, 4]] {
        race(costs, 4, 1_000, |outcome| {
            let used: u64 = outcome
                .iter()
                .filter(|(_, admitted)| *admitted)
                .map(|(cost, _)| cost)
                .sum();
            assert!(used <= 4, "{outcome:?}");
            let fits = |(cost, admitted): &(u64, bool)| !admitted && used + cost <= 4;
            assert!(!outcome.iter().any(fits), "{outcome:?}");
        });
    }
}

#[test]
fn several_quotas_hammered_by_threads_stay_all_or_nothing() {
    let loose = Table::open(None, Quota::sliding_log(5_000, HOUR), 64).expect("a table");
    let tight = Table::open(None, Quota::sliding_log(2_000, HOUR), 64).expect("a table");
    let admitted = AtomicU64::new(0);
    // Half of them name the tables in the other order: they must not wait for each other.
    let orders = [[&loose, &tight], [&tight, &loose]];
    thread::scope(|scope| {
        for tables in orders.iter().cycle().take(4) {
            let admitted = &admitted;
            scope.spawn(move || {
                for _ in 0..600 {
                    let told = hit_all(tables, b"a", 1, None, PATIENCE).expect("valid");
                    let (all, answers) = told.expect("nobody stands still");
                    assert_eq!(all, answers.iter().all(|answer| answer.admitted));
                    admitted.fetch_add(u64::from(all), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 2_000);
    let peek = loose
        .peek(b"a", 1, None, Duration::ZERO)
        .expect("valid")
        .expect("free");
    assert_eq!(peek.remaining, 3_000);
}
