//! The table answers every call as a plain deque of stamps does, under a manual clock.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use rateproof_enforce::{Answer, Table, hit_all};

/// The sliding log as anybody would write it down: the stamps of the last window.
struct Log {
    limit: u64,
    window_ns: u64,
    slots: usize,
    stamps: HashMap<u8, VecDeque<u64>>,
}

impl Log {
    fn answer(&mut self, key: u8, cost: u64, now: u64, take: bool) -> Answer {
        for stamps in self.stamps.values_mut() {
            stamps.retain(|stamp| stamp + self.window_ns > now);
        }
        let live = |stamps: &VecDeque<u64>| !stamps.is_empty();
        let others = self
            .stamps
            .iter()
            .filter(|(owner, stamps)| **owner != key && live(stamps));
        if others.clone().count() == self.slots {
            let ready = others.filter_map(|(_, stamps)| stamps.back()).min();
            let wait = ready.map_or(0, |stamp| stamp + self.window_ns - now);
            return Answer {
                admitted: false,
                full: true,
                remaining: 0,
                retry_after_ns: wait,
                reset_after_ns: wait,
            };
        }
        let stamps = self.stamps.entry(key).or_default();
        let free = self.limit - stamps.len() as u64;
        let admitted = cost <= free;
        if admitted && take {
            stamps.extend((0..cost).map(|_| now));
        }
        let ends = |stamp: &u64| stamp + self.window_ns - now;
        Answer {
            admitted,
            full: false,
            remaining: self.limit - stamps.len() as u64,
            retry_after_ns: if admitted {
                0
            } else {
                ends(&stamps[(cost - free - 1) as usize])
            },
            reset_after_ns: stamps.back().map_or(0, ends),
        }
    }
}

#[derive(Debug, Clone)]
enum Call {
    Hit(u64),
    Peek(u64),
    Reset,
}

fn calls() -> impl Strategy<Value = Vec<(Call, u8, u64)>> {
    let call = prop_oneof![
        6 => (0u64..1_000).prop_map(|cost| Call::Hit(if cost < 700 { 1 } else { cost })),
        2 => (0u64..1_000).prop_map(Call::Peek),
        1 => Just(Call::Reset),
    ];
    let step = prop_oneof![3 => Just(0u64), 5 => 0u64..30, 1 => 0u64..300, 1 => Just(100)];
    prop::collection::vec((call, any::<u8>(), step), 1..400)
}

fn tried(answer: Result<Option<Answer>, rateproof_enforce::Error>) -> Answer {
    answer.expect("valid").expect("nobody in the way")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn the_table_is_the_deque(limit in 1u64..12, window_ns in 1u64..200, keys in 1u8..16, calls in calls()) {
        // Capacity 1 makes a single bucket of 8 slots: with more keys, some are reclaimed.
        let table = Table::open(None, limit, window_ns, 1).expect("a table");
        let mut log = Log { limit, window_ns, slots: 8, stamps: HashMap::new() };
        let mut now = 0;
        for (call, key, step) in calls {
            now += step;
            let key = key % keys;
            let name = [key; 3];
            let at = Some(now);
            match call {
                Call::Hit(cost) => {
                    let cost = 1 + cost % limit;
                    let told = tried(table.hit(&name, cost, at, Duration::ZERO));
                    prop_assert_eq!(told, log.answer(key, cost, now, true));
                }
                Call::Peek(cost) => {
                    let cost = 1 + cost % limit;
                    let told = tried(table.peek(&name, cost, at, Duration::ZERO));
                    prop_assert_eq!(told, log.answer(key, cost, now, false));
                }
                Call::Reset => {
                    prop_assert_eq!(table.reset(&name, at, Duration::ZERO), Ok(true));
                    log.stamps.remove(&key);
                }
            }
        }
    }

    #[test]
    fn several_tables_admit_all_or_nothing(
        shapes in prop::collection::vec((1u64..9, 1u64..200), 1..4),
        keys in 1u8..16,
        calls in calls(),
    ) {
        let open = |&(limit, window_ns): &(u64, u64)| Table::open(None, limit, window_ns, 1);
        let tables: Vec<Table> = shapes.iter().map(open).collect::<Result<_, _>>().expect("tables");
        let tables: Vec<&Table> = tables.iter().collect();
        let log = |&(limit, window_ns): &(u64, u64)| {
            Log { limit, window_ns, slots: 8, stamps: HashMap::new() }
        };
        let mut logs: Vec<Log> = shapes.iter().map(log).collect();
        let most = shapes.iter().map(|(limit, _)| *limit).min().unwrap_or(1);
        let mut now = 0;
        for (call, key, step) in calls {
            now += step;
            let key = key % keys;
            let (Call::Hit(cost) | Call::Peek(cost)) = call else { continue };
            let cost = 1 + cost % most;
            let told = hit_all(&tables, &[key; 3], cost, Some(now), Duration::ZERO);
            let (admitted, told) = told.expect("valid").expect("nobody in the way");
            let mut judge = |take| -> Vec<Answer> {
                logs.iter_mut().map(|log| log.answer(key, cost, now, take)).collect()
            };
            let all = judge(false).iter().all(|answer| answer.admitted);
            prop_assert_eq!(admitted, all);
            prop_assert_eq!(told, judge(all));
        }
    }
}

#[test]
fn a_window_is_half_open() {
    let table = Table::open(None, 1, 100, 8).expect("a table");
    let hit = |now| tried(table.hit(b"a", 1, Some(now), Duration::ZERO));
    assert!(hit(7).admitted);
    assert_eq!(hit(106).retry_after_ns, 1);
    assert!(hit(107).admitted);
}

#[test]
fn the_largest_limit_is_exact() {
    let table = Table::open(None, 65_536, 1_000_000, 8).expect("a table");
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
    let table = Table::open(None, 1, 1_000, 10_000).expect("a table");
    for key in 0u32..10_000 {
        let answer = tried(table.hit(&key.to_le_bytes(), 1, Some(0), Duration::ZERO));
        assert!(answer.admitted, "key {key}: {answer:?}");
    }
}

#[test]
fn keys_of_any_length_are_told_apart() {
    let table = Table::open(None, 1, 1_000, 100).expect("a table");
    let long = vec![0; 65_536];
    for key in [&b""[..], b"\0", b"\0\0", &long, &long[1..], b"\xff\xfe"] {
        assert!(tried(table.hit(key, 1, Some(0), Duration::ZERO)).admitted);
        assert!(!tried(table.hit(key, 1, Some(0), Duration::ZERO)).admitted);
    }
}
