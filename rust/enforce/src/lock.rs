//! The lock of a table: one word that says who holds it, and how often it has been taken.
//!
//! It is taken and given back without the kernel, and excludes threads as well as processes.
//! Its holder is named by the number that its process has at the table (`life.rs`). Who finds it
//! taken asks the kernel whether that number is alive. If not, nobody with that number will write
//! again, so the lock is taken over, by a compare-and-swap that fails if anything has happened to
//! it since: a number may be given to another process, a turn comes only once.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::hold::swap;
use crate::sync::{AtomicU64, Ordering, Step, without};

/// The holder's number, 0 while nobody has the lock. The bits above count the turns.
pub(crate) const HOLDER: u64 = (1 << 24) - 1;

/// The most that a call waits for one lock, in patiences.
const ROUNDS: u32 = 10;

/// Attempts before the first sleep.
const QUICK_TRIES: u32 = if cfg!(loom) { 1 } else { 64 };
const FIRST_SLEEP: Duration = Duration::from_micros(20);
const LONGEST_SLEEP: Duration = Duration::from_micros(160);

/// The most that one sleep counts as waiting. One that took longer met a machine that stood still
/// or was overloaded, and then the holder had no time either.
const LONGEST_COUNTED: Duration = Duration::from_millis(5);

/// The lock, until it is dropped.
#[derive(Debug)]
pub(crate) struct Guard<'a> {
    word: &'a AtomicU64,
    turn: u64,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.word.store(self.turn, Ordering::Release);
    }
}

/// Takes the lock for the process of number `me`, or `None` when patience ran out.
pub(crate) fn take<'a>(
    word: &'a AtomicU64,
    me: u64,
    patience: Duration,
    dead: impl Fn(u64) -> Result<bool, Error>,
) -> Result<Option<Guard<'a>>, Error> {
    let mut seen = 0;
    for _ in 0..QUICK_TRIES {
        match attempt(word, me, 0) {
            Ok(guard) => return Ok(Some(guard)),
            Err(found) => seen = found,
        }
        std::hint::spin_loop();
    }
    let mut sleep = FIRST_SLEEP;
    let (mut waited, mut in_vain) = (Duration::ZERO, Duration::ZERO);
    loop {
        let holder = seen & HOLDER;
        let left = holder == 0 || (holder != me && dead(holder)?);
        if left && let Ok(guard) = attempt(word, me, seen) {
            return Ok(Some(guard));
        }
        if in_vain >= patience || waited >= patience * ROUNDS {
            return Ok(None);
        }
        let start = Instant::now();
        std::thread::sleep(sleep);
        sleep = (sleep * 2).min(LONGEST_SLEEP);
        let slept = start.elapsed().min(LONGEST_COUNTED);
        waited += slept;
        in_vain += slept;
        let found = word.load(Ordering::Relaxed);
        if found != seen {
            seen = found;
            in_vain = Duration::ZERO;
        }
    }
}

/// Takes the lock if it is free, or still as `left` by one who died; else says what it is.
fn attempt(word: &AtomicU64, me: u64, left: u64) -> Result<Guard<'_>, u64> {
    let found = word.load(Ordering::Relaxed);
    if found & HOLDER != 0 && found != left {
        return Err(found);
    }
    let turn = next(found);
    match swap(word, found, turn | me) {
        true => Ok(Guard { word, turn }),
        false => Err(found),
    }
}

/// For a process that was given `number` just now: frees the lock if the number's former owner,
/// who is dead, still has it.
pub(crate) fn inherit(word: &AtomicU64, number: u64) {
    let found = word.load(Ordering::Relaxed);
    if found & HOLDER == number {
        swap(word, found, next(found));
    }
}

/// The word of a free lock, a turn later.
fn next(word: u64) -> u64 {
    match without(Step::Turn) {
        true => word & !HOLDER,
        false => (word | HOLDER).wrapping_add(1),
    }
}
