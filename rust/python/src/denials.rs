//! Denials that need no round trip; see `rateproof.enforce.stores.redis.denials`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use rateproof_enforce::{self as core, Answer};

use crate::enforce::{Told, told};

/// How many denials are remembered: the oldest is forgotten for a new one.
const CAPACITY: usize = 65_536;
/// Bytes of a key that is remembered.
const LONGEST_KEY: usize = 1024;
/// Clocks may differ by one part in so many: a denial is asked again that much early.
const DRIFT: u64 = 2000;

type Name = (Box<[u8]>, usize);

struct Denial {
    cost: u64,
    until_ns: u64,
    received_ns: u64,
    answers: Vec<Answer>,
    /// Which of the entries of `age` is its own: a denial that is kept again is younger.
    number: u64,
}

/// What is remembered, and in which order it came.
#[derive(Default)]
struct Kept {
    denials: HashMap<Name, Denial>,
    age: VecDeque<(Name, u64)>,
    ledgers: usize,
    resets: u64,
    number: u64,
}

/// The denials of one store, shared with those who answer by them.
#[derive(Default)]
pub struct Memory(Mutex<Kept>);

impl Memory {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be answered to a hit of `cost` without asking, if anything is.
    pub fn answers(&self, key: &[u8], ledger: usize, cost: u64) -> Option<Vec<Answer>> {
        let kept = self.kept();
        let denial = kept.denials.get(&(key.into(), ledger))?;
        let now_ns = core::now_ns();
        if denial.cost != cost || now_ns >= denial.until_ns {
            return None;
        }
        let past_ns = now_ns.saturating_sub(denial.received_ns);
        let later = |answer: &Answer| Answer {
            retry_after_ns: answer.retry_after_ns.saturating_sub(past_ns),
            reset_after_ns: answer.reset_after_ns.saturating_sub(past_ns),
            ..*answer
        };
        Some(denial.answers.iter().map(later).collect())
    }
}

/// The denials of one store, by the key and the ledger.
#[pyclass(frozen, module = "rateproof._native")]
pub struct Denials(pub(crate) Arc<Memory>);

#[pymethods]
impl Denials {
    #[new]
    fn new() -> Self {
        Self(Arc::default())
    }

    /// Counts the keys that were reset.
    #[getter]
    fn resets(&self) -> u64 {
        self.0.kept().resets
    }

    /// What is to be answered without asking, if anything is.
    fn answers(&self, key: &[u8], ledger: usize, cost: u64) -> Option<Vec<Told>> {
        let answers = self.0.answers(key, ledger, cost)?;
        Some(answers.iter().map(told).collect())
    }

    /// Remembers a denial of `cost`, asked at `sent_ns` and received just now.
    fn keep(&self, key: &[u8], ledger: usize, cost: u64, sent_ns: u64, answers: Vec<Told>) {
        if key.len() > LONGEST_KEY {
            return;
        }
        let answers: Vec<Answer> = answers
            .into_iter()
            .map(
                |(admitted, full, remaining, retry_after_ns, reset_after_ns)| Answer {
                    admitted,
                    full,
                    remaining,
                    retry_after_ns,
                    reset_after_ns,
                },
            )
            .collect();
        let wait_ns = answers
            .iter()
            .map(|answer| answer.retry_after_ns)
            .max()
            .unwrap_or(0);
        let mut kept = self.0.kept();
        kept.number += 1;
        kept.ledgers = kept.ledgers.max(ledger + 1);
        let denial = Denial {
            cost,
            until_ns: sent_ns.saturating_add(wait_ns - wait_ns / DRIFT),
            received_ns: core::now_ns(),
            answers,
            number: kept.number,
        };
        let name: Name = (key.into(), ledger);
        let number = kept.number;
        kept.age.push_back((name.clone(), number));
        kept.denials.insert(name, denial);
        while kept.denials.len() > CAPACITY || kept.age.len() > 2 * CAPACITY {
            let Some((name, number)) = kept.age.pop_front() else {
                break;
            };
            if kept
                .denials
                .get(&name)
                .is_some_and(|denial| denial.number == number)
            {
                kept.denials.remove(&name);
            }
        }
    }

    /// Asks again for this key, whatever the ledger.
    fn forget(&self, key: &[u8]) {
        let mut kept = self.0.kept();
        kept.resets += 1;
        for ledger in 0..kept.ledgers {
            kept.denials.remove(&(key.into(), ledger));
        }
    }

    /// Asks again for every key.
    fn clear(&self) {
        let mut kept = self.0.kept();
        kept.resets += 1;
        kept.denials.clear();
        kept.age.clear();
    }
}

/// Adds this file's class to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Denials>()
}
