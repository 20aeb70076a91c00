//! The cost of one call, in nanoseconds: one line a figure, its name and a tab before the number.
//!
//! The instant is given, keys have 16 bytes, the limit is 5: a call is what the table does, and
//! nothing else. The median of many rounds, each too short to be interrupted often.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rateproof_enforce::{Algorithm, PATIENCE, Quota, Table, hit_all, now_ns, peek_all};

const CALLS: u64 = 1_000;
const ROUNDS: usize = 2_001;
const HOUR: u64 = 3_600_000_000_000;

fn main() {
    let open = |limit, window_ns| {
        Table::open(None, Quota::sliding_log(limit, window_ns), 10_000).expect("a table")
    };
    let [used, free, free_too] = [HOUR, 1, 1].map(|window_ns| open(5, window_ns));
    let both = [&free, &free_too];
    let start = now_ns();
    let mut number = 0;
    let mut figure = |name: &str, call: &mut dyn FnMut(u64)| {
        let mut round = || {
            let start = Instant::now();
            for _ in 0..CALLS {
                number += 1;
                call(number);
            }
            start.elapsed()
        };
        let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| round()).collect();
        rounds.sort_unstable();
        let median = rounds[ROUNDS / 2].as_secs_f64();
        println!("{name}\t{:.1}", median * 1e9 / CALLS as f64);
    };
    let key = |n: u64| format!("client-{:09}", n % 1_000).into_bytes();
    let keys: Vec<Vec<u8>> = (0..1_000).map(key).collect();
    let one = || keys.iter().cycle();
    let hit = |table: &Table, key: &[u8], cost, now| {
        let answer = table.hit(key, cost, Some(now), PATIENCE);
        answer.expect("valid").expect("nobody stands still")
    };
    for key in &keys {
        assert!(hit(&used, key, 5, start).admitted);
    }
    for (name, cost) in [("cost 1", 1), ("cost 2", 2)] {
        let mut keys = one();
        figure(&format!("Table::hit admitted, {name}"), &mut |n| {
            let key = keys.next().expect("endless");
            assert!(hit(&free, black_box(key), cost, start + n).admitted);
        });
    }
    let blocks = Quota::new(Algorithm::SLIDING_BLOCKS, 1_000_000_000, HOUR);
    let blocks = Table::open(None, blocks, 10_000).expect("a table");
    let mut keys = one();
    figure("Table::hit of blocks admitted", &mut |n| {
        let key = keys.next().expect("endless");
        assert!(hit(&blocks, black_box(key), 1, start + n).admitted);
    });
    let mut keys = one();
    for key in &keys.by_ref().take(1_000).collect::<Vec<_>>() {
        blocks.reset(key, PATIENCE).expect("valid");
        assert!(hit(&blocks, key, 1_000_000_000, start).admitted);
    }
    figure("Table::hit of blocks denied", &mut |_| {
        let key = keys.next().expect("endless");
        assert!(!hit(&blocks, black_box(key), 1, start).admitted);
    });
    let mut keys = one();
    figure("Table::hit denied", &mut |_| {
        let key = keys.next().expect("endless");
        assert!(!hit(&used, black_box(key), 1, start).admitted);
    });
    let mut keys = one();
    figure("hit_all of two quotas admitted", &mut |n| {
        let key = black_box(keys.next().expect("endless"));
        let told = hit_all(&both, key, 1, Some(start + n), PATIENCE).expect("valid");
        assert!(told.expect("nobody stands still").0);
    });
    let mut keys = one();
    figure("peek_all of two quotas", &mut |_| {
        let key = black_box(keys.next().expect("endless"));
        black_box(peek_all(&both, key, 1, Some(start), PATIENCE).expect("valid"));
    });
    figure("the reading of the clock", &mut |_| {
        black_box(now_ns());
    });
    let mut keys = one();
    figure("the loop itself, in all of these", &mut |_| {
        black_box(keys.next().expect("endless"));
    });
}
