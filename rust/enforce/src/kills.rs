//! Kills a process between any two steps of every operation, and looks at what it leaves.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::answer::Answer;
use crate::calls::hit_all;
use crate::header::{WORD_LOCK, WORD_NUMBERS};
use crate::lock::HOLDER;
use crate::quota::{Algorithm, Quota};
use crate::stepping::die_after;
use crate::sync::Ordering;
use crate::sys;
use crate::table::Table;

const N: u64 = 5;
const W: u64 = 1_000_000;
const NONE: Duration = Duration::ZERO;

/// Instants at which everybody has been idle for long, the operations take place, and all is over.
const BEFORE: u64 = 10 * W;
const NOW: u64 = 20 * W;
const AFTER: u64 = 30 * W;

fn table(algorithm: Algorithm) -> Table {
    let quota = Quota::new(algorithm, N, W);
    let quota = Quota {
        parameter: quota.parameter.min(4),
        ..quota
    };
    Table::open(None, quota, 1).expect("a table in memory")
}

fn hit(table: &Table, key: &[u8], cost: u64, now_ns: u64) -> Answer {
    let answer = table.hit(key, cost, Some(now_ns), NONE);
    answer.expect("valid").expect("nobody in the way")
}

/// Number of hits of cost 1 that are admitted in a row.
fn admissions(table: &Table, key: &[u8], now_ns: u64) -> u64 {
    (0..)
        .find(|_| !hit(table, key, 1, now_ns).admitted)
        .expect("a limit")
}

/// Keys for every slot but one, each charged 2 at `now_ns`.
fn neighbours(table: &Table, now_ns: u64) -> Vec<[u8; 2]> {
    let keys: Vec<[u8; 2]> = (0..7).map(|number| [b'n', number]).collect();
    for key in &keys {
        assert!(hit(table, key, 2, now_ns).admitted);
    }
    keys
}

/// The state before the operation, and the one that it has to leave.
struct Case {
    name: &'static str,
    /// The charges of the key before: when, and how much.
    charged: Option<(u64, u64)>,
    /// A stranger, long idle, has the slot that the key is to get.
    stranger: bool,
    operation: fn(&Table, &Table),
    /// The most that the operation takes of the key.
    cost: u64,
}

/// A case in which the key was charged 2 before, if a time is given.
const fn case(
    name: &'static str,
    charged: Option<u64>,
    cost: u64,
    operation: fn(&Table, &Table),
) -> Case {
    Case {
        name,
        charged: match charged {
            Some(at) => Some((at, 2)),
            None => None,
        },
        stranger: false,
        operation,
        cost,
    }
}

const SEVERAL: Case = case("hit of several", Some(NOW), 3, |table, _| {
    hit(table, b"key", 3, NOW);
});

const CASES: [Case; 8] = [
    SEVERAL,
    case("hit", Some(NOW), 1, |table, _| {
        hit(table, b"key", 1, NOW);
    }),
    case("hit that is denied", Some(NOW), 0, |table, _| {
        hit(table, b"key", 4, NOW);
    }),
    case("peek", Some(NOW), 0, |table, _| {
        drop(table.peek(b"key", 1, Some(NOW), Duration::ZERO));
    }),
    case("claim of an empty slot", None, 1, |table, _| {
        hit(table, b"key", 1, NOW);
    }),
    Case {
        stranger: true,
        ..case("claim of an idle slot", None, 3, |table, _| {
            hit(table, b"key", 3, NOW);
        })
    },
    case("hit of two quotas", Some(BEFORE), 3, |table, other| {
        drop(hit_all(&[table, other], b"key", 3, Some(NOW), NONE));
    }),
    case("hit that another denies", Some(NOW), 0, |table, other| {
        admissions(other, b"key", NOW);
        drop(hit_all(&[table, other], b"key", 1, Some(NOW), NONE));
    }),
];

/// Kills the operation at every step, until it comes to its end; returns how many there were.
fn kill_everywhere(algorithm: Algorithm, case: &Case, mut check: impl FnMut(&Table, &str)) -> u64 {
    for steps in 0.. {
        let (table, other) = (table(algorithm), table(algorithm));
        if case.stranger {
            assert!(hit(&table, b"stranger", 5, BEFORE).admitted);
        }
        if let Some((charged_ns, cost)) = case.charged {
            assert!(hit(&table, b"key", cost, charged_ns).admitted);
        }
        let neighbours = neighbours(&table, NOW);
        let survived = sys::survived(|| {
            die_after(steps);
            (case.operation)(&table, &other);
        });
        let at = format!(
            "{} {}, killed after {steps} steps",
            algorithm.name(),
            case.name
        );
        check(&table, &at);
        for key in &neighbours {
            assert_eq!(admissions(&table, key, NOW), N - 2, "{at}: a neighbour");
        }
        assert_eq!(admissions(&table, b"key", AFTER), N, "{at}: later");
        for number in 0..7 {
            assert_eq!(
                admissions(&table, &[b'l', number], AFTER),
                N,
                "{at}: a slot is lost"
            );
        }
        if survived {
            return steps;
        }
    }
    unreachable!("every operation ends")
}

#[test]
fn who_is_killed_between_any_two_steps_loosens_nothing_and_blocks_nobody() {
    for algorithm in Algorithm::ALL {
        for case in &CASES {
            let charged = match case.charged {
                Some((NOW, cost)) => cost,
                _ => 0,
            };
            let steps = kill_everywhere(algorithm, case, |table, at| {
                let left = admissions(table, b"key", NOW);
                let most = N - charged;
                assert!(
                    (most - case.cost..=most).contains(&left),
                    "{at}: {left} left"
                );
            });
            assert!(steps > 3, "{}: {steps}", case.name);
        }
    }
}

#[test]
fn who_is_killed_in_a_reset_leaves_what_was_there_or_more() {
    let case = Case {
        charged: Some((NOW, 5)),
        ..case("reset", None, 0, |table, _| {
            table.reset(b"key", NONE).expect("locks");
        })
    };
    for algorithm in Algorithm::ALL {
        let mut freed = Vec::new();
        let steps = kill_everywhere(algorithm, &case, |table, at| {
            let peek = table
                .peek(b"key", 1, Some(NOW), Duration::ZERO)
                .expect("valid");
            let left = admissions(table, b"key", NOW);
            assert_eq!(peek.map(|answer| answer.remaining), Some(left), "{at}");
            freed.push(left);
        });
        assert!(freed.is_sorted(), "{}: {freed:?}", algorithm.name());
        assert_eq!((freed[0], freed[steps as usize]), (0, N));
    }
}

#[test]
fn who_is_killed_with_one_quota_to_charge_burns_nothing_at_all() {
    for algorithm in Algorithm::ALL {
        kill_everywhere(algorithm, &SEVERAL, |table, at| {
            // All of it or nothing: what a dead holder took of a slot, the next one gives back.
            let left = admissions(table, b"key", NOW);
            assert!(left == 0 || left == 3, "{at}: {left} left");
        });
    }
}

#[test]
fn who_is_killed_while_giving_back_what_the_dead_took_burns_nothing_either() {
    let killed = |table: &Table, steps| {
        !sys::survived(|| {
            die_after(steps);
            hit(table, b"key", 3, NOW);
        })
    };
    for first in 0.. {
        for second in 0.. {
            let table = table(Algorithm::SLIDING_LOG);
            assert!(hit(&table, b"key", 2, NOW).admitted);
            if !killed(&table, first) {
                return;
            }
            let again = killed(&table, second);
            let left = admissions(&table, b"key", NOW);
            assert!(left == 0 || left == 3, "{first} {second}: {left} left");
            assert_eq!(
                admissions(&table, b"key", AFTER),
                N,
                "{first} {second}: later"
            );
            if !again {
                break;
            }
        }
    }
}

#[test]
fn who_is_given_the_number_of_a_dead_holder_frees_its_lock() {
    let table = table(Algorithm::SLIDING_LOG);
    let numbers = table.header(WORD_NUMBERS).load(Ordering::Relaxed);
    assert!(!sys::survived(|| {
        std::mem::forget(table.lock(NONE).expect("asks").expect("is free"));
        sys::die();
    }));
    let given = table.header(WORD_NUMBERS).load(Ordering::Relaxed);
    assert_eq!(
        table.header(WORD_LOCK).load(Ordering::Relaxed) & HOLDER,
        given
    );
    table.header(WORD_NUMBERS).store(numbers, Ordering::Relaxed);
    assert!(sys::survived(|| {
        assert!(table.lock(NONE).expect("asks").is_some());
    }));
}

#[test]
fn a_forked_child_has_no_part_in_the_lock_of_its_parent() {
    let table = table(Algorithm::SLIDING_LOG);
    let free = |free| {
        assert!(sys::survived(|| {
            assert_eq!(table.lock(NONE).expect("asks").is_some(), free);
        }));
    };
    let guard = table.lock(NONE).expect("asks").expect("is free");
    free(false);
    drop(guard);
    free(true);
}

#[test]
fn who_is_killed_while_making_a_file_is_in_nobody_s_way() {
    let folder = std::env::temp_dir().join(format!("rateproof-kills-{}", std::process::id()));
    fs::create_dir(&folder).expect("a folder");
    for (version, before) in [("new", None), ("of another boot", Some([7u8; 16]))] {
        for steps in 0.. {
            let path = folder.join(format!("{version}-{steps}"));
            if let Some(boot) = before {
                drop(opened(&path));
                write_boot(&path, boot);
            }
            let survived = sys::survived(|| {
                die_after(steps);
                drop(opened(&path));
            });
            assert_eq!(
                admissions(&opened(&path), b"key", NOW),
                N,
                "{version} {steps}"
            );
            assert_eq!(
                admissions(&opened(&path), b"key", NOW),
                0,
                "{version} {steps}"
            );
            fs::remove_file(&path).expect("its own file");
            if survived {
                assert!(steps > 10);
                break;
            }
        }
    }
    fs::remove_dir(&folder).expect("an empty folder");
}

fn opened(path: &Path) -> Table {
    Table::open(Some(path), Quota::sliding_log(N, W), 1).expect("a table")
}

/// Makes the table one of another boot.
fn write_boot(path: &Path, boot: [u8; 16]) {
    let mut content = fs::read(path).expect("a table");
    content[7 * 8..9 * 8].copy_from_slice(&boot);
    fs::write(path, content).expect("its own file");
}
