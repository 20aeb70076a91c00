//! The table answers every call as the plain model does, under a manual clock.

mod model;

use std::time::Duration;

use model::Model;
use proptest::prelude::*;
use rateproof_enforce::{Algorithm, Answer, Quota, Table, hit_all};

#[derive(Debug, Clone)]
enum Call {
    Hit(u64),
    Peek(u64),
    Reset,
}

/// Calls of some of so many keys, each a part of a window, in thousandths, after the one before.
fn calls() -> impl Strategy<Value = Vec<(Call, u8, u64)>> {
    let call = prop_oneof![
        6 => (0u64..1_000).prop_map(|cost| Call::Hit(if cost < 700 { 1 } else { cost })),
        2 => (0u64..1_000).prop_map(Call::Peek),
        1 => Just(Call::Reset),
    ];
    let step = prop_oneof![3 => Just(0u64), 5 => 0u64..300, 1 => 0u64..3_000, 1 => Just(1_000)];
    prop::collection::vec((call, any::<u8>(), step), 1..300)
}

/// Every algorithm, with windows as short as it takes.
fn quotas() -> impl Strategy<Value = Quota> {
    let figures = (0usize..5, 1u64..12, 1u64..200, 1u64..20);
    figures.prop_map(|(algorithm, limit, window, burst)| {
        let algorithm = Algorithm::ALL[algorithm];
        let (window_ns, burst) = match algorithm.name() {
            "token-bucket" => (1_000 * limit + window, burst),
            "first-hit-window" => (4_000 + window, limit),
            _ => (window, limit),
        };
        Quota {
            algorithm,
            limit,
            window_ns,
            burst,
        }
    })
}

fn open(quota: &Quota) -> Table {
    // Capacity 1 makes a single bucket of 8 slots: with more keys, some are reclaimed.
    Table::open(None, *quota, 1).expect("a table")
}

fn tried(answer: Result<Option<Answer>, rateproof_enforce::Error>) -> Answer {
    answer.expect("valid").expect("nobody in the way")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_table_is_the_model(quota in quotas(), keys in 1u8..16, calls in calls()) {
        let (table, mut model) = (open(&quota), Model::new(quota, 8));
        let mut now = 0;
        for (call, key, step) in calls {
            now += step * quota.window_ns / 1_000;
            let key = key % keys;
            let name = [key; 3];
            match call {
                Call::Hit(cost) => {
                    let cost = 1 + cost % quota.burst;
                    let told = tried(table.hit(&name, cost, Some(now), Duration::ZERO));
                    prop_assert_eq!(told, model.answer(key, cost, now, true));
                }
                Call::Peek(cost) => {
                    let cost = 1 + cost % quota.burst;
                    let told = tried(table.peek(&name, cost, Some(now)));
                    prop_assert_eq!(told, model.answer(key, cost, now, false));
                }
                Call::Reset => {
                    prop_assert_eq!(table.reset(&name, Duration::ZERO), Ok(true));
                    model.forget(key);
                }
            }
        }
    }

    #[test]
    fn several_tables_admit_all_or_nothing(
        quotas in prop::collection::vec(quotas(), 1..4),
        keys in 1u8..16,
        calls in calls(),
    ) {
        let tables: Vec<Table> = quotas.iter().map(open).collect();
        let tables: Vec<&Table> = tables.iter().collect();
        let mut models: Vec<Model> = quotas.iter().map(|quota| Model::new(*quota, 8)).collect();
        let most = quotas.iter().map(|quota| quota.burst).min().unwrap_or(1);
        let mut now = 0;
        for (call, key, step) in calls {
            now += step * quotas[0].window_ns / 1_000;
            let key = key % keys;
            let (Call::Hit(cost) | Call::Peek(cost)) = call else { continue };
            let cost = 1 + cost % most;
            let told = hit_all(&tables, &[key; 3], cost, Some(now), Duration::ZERO);
            let (admitted, told) = told.expect("valid").expect("nobody in the way");
            let mut judge = |take| -> Vec<Answer> {
                models.iter_mut().map(|model| model.answer(key, cost, now, take)).collect()
            };
            let all = judge(false).iter().all(|answer| answer.admitted);
            prop_assert_eq!(admitted, all);
            prop_assert_eq!(told, judge(all));
        }
    }

    #[test]
    fn a_census_counts_the_keys_whose_quota_is_not_whole(
        quota in quotas(),
        hits in prop::collection::vec((0u8..8, 0u64..500), 1..60),
    ) {
        let table = open(&quota);
        let mut now = 0;
        for (key, step) in hits {
            now += step * quota.window_ns / 1_000;
            tried(table.hit(&[key], 1, Some(now), Duration::ZERO));
            let spent = |key: &u8| tried(table.peek(&[*key], 1, Some(now))).reset_after_ns > 0;
            let census = table.census(Some(now)).expect("valid");
            prop_assert_eq!(census.live, (0u8..8).filter(spent).count() as u64);
            prop_assert_eq!(census.slots, 8);
        }
    }
}

#[test]
fn a_window_is_half_open() {
    let table = Table::open(None, Quota::sliding_log(1, 100), 8).expect("a table");
    let hit = |now| tried(table.hit(b"a", 1, Some(now), Duration::ZERO));
    assert!(hit(7).admitted);
    assert_eq!(hit(106).retry_after_ns, 1);
    assert!(hit(107).admitted);
}

#[test]
fn the_largest_limit_is_exact() {
    let table = Table::open(None, Quota::sliding_log(65_536, 1_000_000), 8).expect("a table");
    let hit = |cost, now| tried(table.hit(b"a", cost, Some(now), Duration::ZERO));
    assert!(hit(65_535, 0).admitted);
    assert!(!hit(2, 5).admitted);
    assert!(hit(1, 5).admitted);
    assert_eq!(hit(1, 6).retry_after_ns, 999_994);
    assert_eq!(hit(65_536, 6).retry_after_ns, 999_999);
    assert!(hit(65_535, 1_000_000).admitted);
    assert!(!hit(1, 1_000_004).admitted);
    assert!(hit(1, 1_000_005).admitted);
}

#[test]
fn a_table_holds_as_many_keys_as_its_capacity() {
    let table = Table::open(None, Quota::sliding_log(1, 1_000), 10_000).expect("a table");
    for key in 0u32..10_000 {
        let answer = tried(table.hit(&key.to_le_bytes(), 1, Some(0), Duration::ZERO));
        assert!(answer.admitted, "key {key}: {answer:?}");
    }
}

#[test]
fn keys_of_any_length_are_told_apart() {
    let table = Table::open(None, Quota::sliding_log(1, 1_000), 100).expect("a table");
    let long = vec![0; 65_536];
    for key in [&b""[..], b"\0", b"\0\0", &long, &long[1..], b"\xff\xfe"] {
        assert!(tried(table.hit(key, 1, Some(0), Duration::ZERO)).admitted);
        assert!(!tried(table.hit(key, 1, Some(0), Duration::ZERO)).admitted);
    }
}
