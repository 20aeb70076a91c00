//! The search against every choice of instants, on instances small enough to try them all.

use rateproof_prove::{Answer, Stair, feasible};

/// The parameters of a stair with whole rises and no slack.
type Shape = (usize, usize, i64);

/// xorshift64*: the same instances in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % bound
    }
}

fn gap(shapes: &[Shape], m: usize) -> i64 {
    shapes
        .iter()
        .map(|&(width, lag, rise)| ((m - 1).saturating_sub(lag) / width) as i64 * rise)
        .max()
        .unwrap_or(0)
}

fn holds(instants: &[i64], shapes: &[Shape]) -> bool {
    let mut sorted = instants.to_vec();
    sorted.sort_unstable();
    (0..sorted.len()).all(|k| (0..=k).all(|q| sorted[k] - sorted[q] >= gap(shapes, k - q + 1)))
}

fn exists(jobs: &[(i64, i64)], chosen: &mut Vec<i64>, shapes: &[Shape]) -> bool {
    if chosen.len() == jobs.len() {
        return holds(chosen, shapes);
    }
    let (sent, received) = jobs[chosen.len()];
    for instant in sent..=received {
        chosen.push(instant);
        if exists(jobs, chosen, shapes) {
            return true;
        }
        chosen.pop();
    }
    false
}

fn ask(jobs: &[(i64, i64)], shapes: &[Shape], budget: u64) -> Answer {
    let sent: Vec<i64> = jobs.iter().map(|job| job.0).collect();
    let received: Vec<i64> = jobs.iter().map(|job| job.1).collect();
    let stairs: Vec<Stair> = shapes
        .iter()
        .map(|&(width, lag, rise)| Stair::new(width, lag, rise.into(), 1, 0).unwrap())
        .collect();
    feasible(&sent, &received, &stairs, budget)
}

#[test]
fn answers_like_trying_every_choice() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut possible, mut impossible) = (0, 0);
    for _ in 0..20_000 {
        let shapes: Vec<Shape> = (0..1 + random.below(2))
            .map(|_| {
                let width = 1 + random.below(2) as usize;
                (width, random.below(2) as usize, 2 + random.below(4) as i64)
            })
            .collect();
        let jobs: Vec<(i64, i64)> = (0..2 + random.below(5))
            .map(|_| {
                let sent = random.below(7) as i64;
                (sent, sent + random.below(4) as i64)
            })
            .collect();
        let expected = exists(&jobs, &mut Vec::new(), &shapes);
        match ask(&jobs, &shapes, u64::MAX) {
            Answer::Feasible { instants, .. } => {
                possible += 1;
                assert!(expected && holds(&instants, &shapes), "{shapes:?} {jobs:?}");
                let inside =
                    |(&(sent, received), &t): (&(i64, i64), &i64)| sent <= t && t <= received;
                assert!(
                    jobs.iter().zip(&instants).all(inside),
                    "{shapes:?} {jobs:?}"
                );
            }
            Answer::Infeasible { .. } => {
                impossible += 1;
                assert!(!expected, "{shapes:?} {jobs:?}");
            }
            Answer::Exhausted { .. } => panic!("no budget was set"),
        }
    }
    assert!(
        possible > 4_000 && impossible > 4_000,
        "{possible} {impossible}"
    );
}

#[test]
fn exactly_a_window_later_is_allowed_and_a_nanosecond_less_is_not() {
    let shapes = [(5, 0, 5_000_000_000)];
    let mut jobs = vec![(0, 0); 5];
    jobs.push((5_000_000_000, 5_000_000_000));
    assert!(matches!(ask(&jobs, &shapes, 0), Answer::Feasible { .. }));
    jobs[5] = (4_999_999_999, 4_999_999_999);
    assert!(matches!(ask(&jobs, &shapes, 0), Answer::Infeasible { .. }));
}

#[test]
fn gives_up_when_the_budget_is_spent() {
    // The wide job goes first and then stands in the way of the tight one.
    let jobs = [(0, 10), (1, 1)];
    let shapes = [(1, 0, 4)];
    assert!(matches!(ask(&jobs, &shapes, 0), Answer::Exhausted { .. }));
    assert!(matches!(ask(&jobs, &shapes, 99), Answer::Feasible { .. }));
}

#[test]
fn nothing_is_possible() {
    assert!(matches!(ask(&[], &[(1, 0, 1)], 0), Answer::Feasible { .. }));
}

#[test]
fn a_stair_out_of_bounds_is_refused() {
    assert!(Stair::new(0, 0, 1, 1, 0).is_none());
    assert!(Stair::new(1, 0, 1, 0, 0).is_none());
    assert!(Stair::new(1, 0, -1, 1, 0).is_none());
    assert!(Stair::new(1, 0, 1 << 90, 1, 0).is_none());
}
