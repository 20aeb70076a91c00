//! The search over windows against every phase and every choice of instants.

use rateproof_prove::{Family, Seen, family};

type Job = (i64, i64);

/// xorshift64*: the same instances in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> i64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % bound) as i64
    }
}

const FIXED: &str = "fixed-window";
const COUNTER: &str = "sliding-counter";
const FIRST_HIT: &str = "first-hit-window";
const ALGORITHMS: [&str; 3] = [FIXED, COUNTER, FIRST_HIT];

/// True if a search of the windows finds nothing against jobs; None if the budget did not suffice.
fn explained(family: &Family, mut jobs: Vec<Job>, budget: u64) -> Option<u64> {
    jobs.sort_unstable();
    let seen: Vec<Seen> = (jobs.into_iter())
        .map(|(sent, end)| Seen { sent, end })
        .collect();
    family.clearance(&seen, true, budget)
}

/// True if the limiter admits hits at all these instants.
fn admits(algorithm: &str, instants: &[i64], limit: i64, window: i64, phase: i64) -> bool {
    let (mut begin, mut previous, mut count) = (None, 0, 0);
    instants.iter().all(|&instant| {
        let opened = match (algorithm, begin) {
            (FIRST_HIT, Some(begin)) if instant < begin + window => begin,
            (FIRST_HIT, _) => instant,
            _ => instant - (instant - phase).rem_euclid(window),
        };
        if begin != Some(opened) {
            let next = begin.is_some_and(|begin| opened == begin + window);
            previous = if next { count } else { 0 };
            (begin, count) = (Some(opened), 0);
        }
        let weight = match algorithm {
            COUNTER => previous * (opened + window - instant) / window,
            _ => 0,
        };
        count += 1;
        weight + count <= limit
    })
}

fn exists(jobs: &[(i64, i64)], chosen: &mut Vec<i64>, works: &dyn Fn(&[i64]) -> bool) -> bool {
    let Some(&(sent, received)) = jobs.get(chosen.len()) else {
        let mut sorted = chosen.clone();
        sorted.sort_unstable();
        return works(&sorted);
    };
    (sent..=received).any(|instant| {
        chosen.push(instant);
        let found = exists(jobs, chosen, works);
        chosen.pop();
        found
    })
}

#[test]
fn answers_like_trying_every_phase_and_every_choice() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut impossible = [0; 3];
    for number in 0..30_000 {
        let algorithm = ALGORITHMS[number % 3];
        let (limit, window) = (1 + random.below(3), 2 + random.below(6));
        let span = (1 + random.below(3)) * window;
        let jobs: Vec<(i64, i64)> = (0..limit + 1 + random.below(3))
            .map(|_| {
                let sent = random.below(span as u64);
                (sent, sent + [0, 0, 0, 1, 1, 2, 3][random.below(7) as usize])
            })
            .collect();
        let phases = if algorithm == FIRST_HIT { 1 } else { window };
        let works = |instants: &[i64]| {
            (0..phases).any(|phase| admits(algorithm, instants, limit, window, phase))
        };
        let possible = exists(&jobs, &mut Vec::new(), &works);
        let family = family(algorithm, limit as usize, window, 0, 0).unwrap();
        if explained(&family, jobs.clone(), u64::MAX).is_some() {
            // A counter may have decided between two ns.
            assert!(possible || algorithm == COUNTER, "{family:?} {jobs:?}");
        } else {
            impossible[number % 3] += 1;
            assert!(!possible, "{family:?} {jobs:?}");
        }
    }
    assert!(
        impossible.iter().all(|&found| found > 1_000),
        "{impossible:?}"
    );
}

#[test]
fn gives_up_when_the_budget_is_spent() {
    // Many that may all wait for the next window: as many ways to leave some waiting.
    let jobs: Vec<Job> = (0..400).map(|sent| (sent, sent + 990)).collect();
    let family = family(FIRST_HIT, 250, 1_000, 0, 0).unwrap();
    assert_eq!(explained(&family, jobs.clone(), 0), None);
    assert!(explained(&family, jobs, u64::MAX).is_some_and(|spent| spent > 0));
}

#[test]
fn nothing_fits_any_windows() {
    for algorithm in ALGORITHMS {
        let family = family(algorithm, 1, 1, 0, 0).unwrap();
        assert_eq!(explained(&family, Vec::new(), 0), Some(0));
    }
}

#[test]
fn times_at_the_ends_of_their_range_are_searched() {
    for algorithm in ALGORITHMS {
        let family = family(algorithm, 1, (1 << 61) - 1, 100_000, (1 << 61) - 1).unwrap();
        let jobs = vec![(i64::MIN, i64::MIN), (0, i64::MAX), (i64::MAX, i64::MAX)];
        assert!(explained(&family, jobs, u64::MAX).is_some());
    }
}

#[test]
fn a_family_that_is_not_known_clears_only_what_fits_any_windows() {
    let family = family("hourglass", 1, 1_000, 0, 0).unwrap();
    assert_eq!(explained(&family, vec![(0, 1); 2], u64::MAX), None);
    assert_eq!(explained(&family, vec![(0, 1)], u64::MAX), Some(0));
}

#[test]
fn a_family_out_of_bounds_is_refused() {
    let family = |limit, window_ns, ppm, granularity_ns| {
        family(FIXED, limit, window_ns, ppm, granularity_ns)
    };
    assert!(family(1, 1, 100_000, 0).is_some());
    assert!(family(0, 1, 0, 0).is_none());
    assert!(family(1, 0, 0, 0).is_none());
    assert!(family(1, 1 << 61, 0, 0).is_none());
    assert!(family(1, 1, 100_001, 0).is_none());
    assert!(family(1, 1, -1, 0).is_none());
    assert!(family(1, 1, 0, 1 << 61).is_none());
}
