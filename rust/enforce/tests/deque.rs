//! The sliding log is a plain deque of the last window's stamps: every limit from 1 to 1,000.

use std::collections::VecDeque;
use std::time::Duration;

use rateproof_enforce::{Answer, Quota, Table};

const CALLS: u64 = 2_500;
const KEYS: usize = 3;

/// A generator that needs no crate (Steele, Lea, Flood 2014): any seed will do.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// What the deque says of so many more at `now`, before they are taken.
fn looked(stamps: &VecDeque<u64>, quota: &Quota, cost: u64, now: u64) -> Answer {
    let ends = |stamp: u64| stamp + quota.window_ns - now;
    let free = quota.limit - stamps.len() as u64;
    Answer {
        admitted: cost <= free,
        full: false,
        remaining: free,
        retry_after_ns: match cost.checked_sub(free + 1) {
            Some(missing) => ends(stamps[missing as usize]),
            None => 0,
        },
        reset_after_ns: stamps.back().map_or(0, |stamp| ends(*stamp)),
    }
}

fn run(quota: &Quota, random: &mut Random) {
    let table = Table::open(None, *quota, 1).expect("a table");
    let mut logs: [VecDeque<u64>; KEYS] = Default::default();
    // On average one call more than the quota of all keys lets pass; now and then a long pause.
    let step = (2 * quota.window_ns).div_ceil(quota.limit * KEYS as u64);
    let mut now = random.below(1 << 40);
    for call in 0..CALLS {
        now += match random.below(500) {
            0 => random.below(3 * quota.window_ns),
            1..100 => 0,
            _ => random.below(step + 1),
        };
        let key = random.below(KEYS as u64) as usize;
        let (name, stamps) = ([key as u8; 3], &mut logs[key]);
        while stamps
            .front()
            .is_some_and(|stamp| stamp + quota.window_ns <= now)
        {
            stamps.pop_front();
        }
        let cost = match random.below(8) {
            0 => 1 + random.below(quota.limit),
            1 => 1 + random.below(quota.limit.min(3)),
            _ => 1,
        };
        let mut expected = looked(stamps, quota, cost, now);
        let told = match random.below(1_000) {
            0 => {
                assert_eq!(table.reset(&name, Duration::ZERO), Ok(true));
                stamps.clear();
                continue;
            }
            1..100 => table.peek(&name, cost, Some(now)),
            _ => {
                if expected.admitted {
                    stamps.extend((0..cost).map(|_| now));
                    expected.remaining -= cost;
                    expected.reset_after_ns = quota.window_ns;
                }
                table.hit(&name, cost, Some(now), Duration::ZERO)
            }
        };
        assert_eq!(told, Ok(Some(expected)), "call {call} of {quota}");
    }
}

#[test]
fn the_log_of_every_limit_is_a_deque() {
    let mut random = Random(1);
    for limit in 1..=1_000 {
        let magnitude = random.below(50);
        let window_ns = 1 + random.below(1 << magnitude);
        run(&Quota::sliding_log(limit, window_ns), &mut random);
    }
}
