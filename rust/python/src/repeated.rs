//! Answers that were written before, since most are the same.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many are remembered.
const MOST: usize = 4096;

/// Answers by all that they depend on: whole seconds, and requests remaining.
pub struct Repeated<T>(Mutex<HashMap<(u64, u64), T>>);

impl<T> Repeated<T> {
    pub fn new() -> Self {
        Self(Mutex::default())
    }

    /// What `copy` makes of the answer, if it was written before.
    pub fn find<U>(&self, seen: (u64, u64), copy: impl FnOnce(&T) -> U) -> Option<U> {
        self.known().get(&seen).map(copy)
    }

    /// Remembers an answer, for which all others may be forgotten.
    pub fn keep(&self, seen: (u64, u64), answer: T) {
        let mut known = self.known();
        if known.len() == MOST {
            known.clear();
        }
        known.insert(seen, answer);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(u64, u64), T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
