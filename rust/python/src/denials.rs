//! Denials that need no round trip; see `rateproof.enforce.stores.redis.denials`.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use rateproof_enforce::{self as core, Answer, Answers};

use crate::enforce::{Told, told};

/// Number of denials that are remembered: the oldest is forgotten for a new one.
const CAPACITY: usize = 65_536;
/// Clocks may differ by one part in so many: a denial is asked again that much early.
const DRIFT: u64 = 2000;

/// A digest of the key, which may be long, and the ledger.
type Name = (u64, u64, usize);

struct Denial {
    cost: u64,
    until_ns: u64,
    received_ns: u64,
    answers: Vec<Answer>,
}

/// The denials remembered.
#[derive(Default)]
struct Kept {
    denials: HashMap<Name, Denial>,
    /// The names in the order in which they came: of each denial at least once, so that it bounds
    /// their number, and of those that were forgotten until their turn comes.
    age: VecDeque<Name>,
    ledgers: usize,
    resets: u64,
}

/// The denials of one store, shared with those who answer by them.
#[derive(Default)]
pub struct Memory {
    kept: Mutex<Kept>,
    /// 128 secret bits: nobody chooses keys that are taken for one another.
    digests: [RandomState; 2],
}

impl Memory {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, key: &[u8], ledger: usize) -> Name {
        let [first, second] = &self.digests;
        (first.hash_one(key), second.hash_one(key), ledger)
    }

    /// The answer to a hit of `cost` without asking, if there is one.
    pub fn answers(&self, key: &[u8], ledger: usize, cost: u64) -> Option<Answers> {
        let name = self.name(key, ledger);
        let kept = self.kept();
        let denial = kept.denials.get(&name)?;
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

    /// The answer that needs no asking, if there is one.
    fn answers(&self, key: &[u8], ledger: usize, cost: u64) -> Option<Vec<Told>> {
        let answers = self.0.answers(key, ledger, cost)?;
        Some(answers.iter().map(told).collect())
    }

    /// Remembers a denial of `cost`, asked at `sent_ns` and received just now.
    fn keep(&self, key: &[u8], ledger: usize, cost: u64, sent_ns: u64, answers: Vec<Told>) {
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
        let denial = Denial {
            cost,
            until_ns: sent_ns.saturating_add(wait_ns - wait_ns / DRIFT),
            received_ns: core::now_ns(),
            answers,
        };
        let name = self.0.name(key, ledger);
        let mut kept = self.0.kept();
        kept.ledgers = kept.ledgers.max(ledger + 1);
        if kept.denials.insert(name, denial).is_none() {
            kept.age.push_back(name);
        }
        if kept.age.len() > CAPACITY
            && let Some(oldest) = kept.age.pop_front()
        {
            kept.denials.remove(&oldest);
        }
    }

    /// Asks again for this key, whatever the ledger.
    fn forget(&self, key: &[u8]) {
        let (first, second, _) = self.0.name(key, 0);
        let mut kept = self.0.kept();
        kept.resets += 1;
        for ledger in 0..kept.ledgers {
            kept.denials.remove(&(first, second, ledger));
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
