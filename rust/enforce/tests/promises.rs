//! What an answer says comes true to the nanosecond, and no run breaks its algorithm's envelope,
//! for limits and windows of any size.

use std::time::Duration;

use proptest::prelude::*;
use rateproof_enforce::{Algorithm, Answer, MAX_NOW_NS, MAX_WINDOW_NS, Quota, Table};

/// `W·⌊(m−1)/N⌋` and the like: `rateproof.policy.ALGORITHMS`.
fn gap(quota: &Quota, m: u64) -> u64 {
    let Quota {
        limit,
        window_ns,
        burst,
        ..
    } = *quota;
    match quota.algorithm.name() {
        "sliding-log" => window_ns * ((m - 1) / limit),
        "token-bucket" => {
            let gained = u128::from(m.saturating_sub(burst)) * u128::from(window_ns);
            gained.div_ceil(u128::from(limit)) as u64
        }
        "first-hit-window" => window_ns * (m / limit).saturating_sub(1),
        _ => window_ns * m.div_ceil(limit).saturating_sub(2),
    }
}

/// A number of any magnitude up to that of `most`.
fn any_size(most: u64) -> impl Strategy<Value = u64> {
    (0..=most.ilog2()).prop_flat_map(move |bits| 1..=most.min((2 << bits) - 1))
}

fn quotas() -> impl Strategy<Value = Quota> {
    let figures = (0usize..5, any_size(1_000_000_000), any_size(MAX_WINDOW_NS));
    let quota = (figures, any_size(1_000_000_000)).prop_map(|((number, limit, window), burst)| {
        let algorithm = Algorithm::ALL[number];
        // The cells of a log take memory: a thousand are enough.
        let most = algorithm
            .max_limit()
            .min(if number == 0 { 1_000 } else { u64::MAX });
        let limit = 1 + (limit - 1) % most;
        Quota {
            algorithm,
            limit,
            window_ns: window,
            burst: if number == 1 { burst } else { limit },
        }
    });
    quota.prop_filter("a table can keep it", |quota| {
        Table::open(None, *quota, 1).is_ok()
    })
}

/// Steps in thousandths of a window and in nanoseconds, and costs in thousandths of the burst.
fn calls() -> impl Strategy<Value = Vec<(u64, u64, u64)>> {
    let part = prop_oneof![4 => Just(0u64), 4 => 0u64..400, 1 => 0u64..3_000, 1 => Just(1_000)];
    let cost = prop_oneof![2 => Just(0u64), 3 => 0u64..1_000];
    prop::collection::vec((part, 0u64..3, cost), 1..60)
}

fn tried(answer: Result<Option<Answer>, rateproof_enforce::Error>) -> Answer {
    answer.expect("valid").expect("nobody in the way")
}

/// What a step and a cost of `calls` are for this quota.
fn scaled(quota: &Quota, part: u64, extra: u64, cost: u64) -> (u64, u64) {
    let step = u128::from(part) * u128::from(quota.window_ns) / 1_000;
    (step as u64 + extra, 1 + cost * (quota.burst - 1) / 999)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_an_answer_says_comes_true(quota in quotas(), calls in calls(), start: u64) {
        let table = Table::open(None, quota, 1).expect("a table");
        let mut now = start % (MAX_NOW_NS >> 2);
        for (part, extra, cost) in calls {
            let (step, cost) = scaled(&quota, part, extra, cost);
            now += step;
            if now > MAX_NOW_NS {
                break;
            }
            let peek = |cost, now| tried(table.peek(b"a", cost, Some(now)));
            let before = peek(cost, now);
            let told = tried(table.hit(b"a", cost, Some(now), Duration::ZERO));
            prop_assert_eq!(told.admitted, before.admitted);
            prop_assert_eq!(told.admitted, cost <= before.remaining);
            prop_assert_eq!(told.admitted, told.retry_after_ns == 0);
            if now + told.reset_after_ns > MAX_NOW_NS {
                break;
            }
            let taken = if told.admitted { cost } else { 0 };
            prop_assert_eq!(told.remaining, before.remaining - taken);
            if !told.admitted {
                prop_assert_eq!(told, before);
                prop_assert!(peek(cost, now + told.retry_after_ns).admitted);
                prop_assert!(!peek(cost, now + told.retry_after_ns - 1).admitted);
            }
            let whole = peek(1, now + told.reset_after_ns);
            prop_assert_eq!((whole.remaining, whole.reset_after_ns), (quota.burst, 0));
            if told.reset_after_ns > 0 {
                prop_assert!(peek(1, now + told.reset_after_ns - 1).reset_after_ns == 1);
            }
        }
    }

    #[test]
    fn no_run_breaks_its_own_envelope(quota in quotas(), calls in calls(), start: u64) {
        let table = Table::open(None, quota, 1).expect("a table");
        let mut now = start % (MAX_NOW_NS >> 2);
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        for (part, extra, cost) in calls {
            let (step, cost) = scaled(&quota, part, extra, cost);
            // Who waits as told and comes again at once presses hardest.
            let wait = tried(table.peek(b"a", cost, Some(now))).retry_after_ns;
            now += if step == 0 { wait } else { step };
            if now > MAX_NOW_NS {
                break;
            }
            if !tried(table.hit(b"a", cost, Some(now), Duration::ZERO)).admitted {
                continue;
            }
            admitted.push((now, cost));
            let mut count = 0;
            for (earlier, cost) in admitted.iter().rev() {
                count += cost;
                prop_assert!(now - earlier >= gap(&quota, count), "{} within {}", count, now - earlier);
            }
        }
    }
}
