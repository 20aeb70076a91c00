//! Decisions, counted for `/metrics`: the text format of Prometheus.
//!
//! Each event loop counts for itself, and whoever asks adds up: counting makes no core wait for another.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rateproof_enforce::Table;

use crate::limits::Limits;
use crate::policy::Text;
use crate::tables::Tables;

/// Connections that are open, and what was refused before a limit was asked.
pub static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
pub static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Upper ends of the histogram, in nanoseconds.
const BOUNDS: [u64; 12] = [
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
];
/// Outcomes of a decision.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Admitted,
    Denied,
    /// Let pass by shadow mode alone.
    Shadow,
    /// Denied for lack of room, or of the lock.
    Full,
    Error,
}

const OUTCOMES: [&str; 5] = ["admitted", "denied", "shadow", "full", "error"];
/// Keys that one loop keeps of an epoch, and those that are shown of all.
const MOST_KEPT: usize = 256;
const MOST_SHOWN: usize = 20;
const EPOCH: Duration = Duration::from_secs(120);
/// Slots that are looked at to tell how full a table is.
const SAMPLE: u64 = 16_384;

thread_local! {
    static LOOP: Cell<usize> = const { Cell::new(0) };
}

/// Tells which loop this thread is.
pub fn is_loop(number: usize) {
    LOOP.set(number);
}

/// The decisions about one limit; it outlives the settings.
#[derive(Clone)]
pub struct Meter {
    shards: Arc<[Shard]>,
}

#[derive(Default)]
#[repr(align(128))]
struct Shard {
    outcomes: [AtomicU64; OUTCOMES.len()],
    took: [AtomicU64; BOUNDS.len() + 1],
    took_ns: AtomicU64,
    keys: Mutex<MostDenied>,
}

impl Meter {
    pub fn new(loops: usize) -> Self {
        let shards = (0..loops.max(1)).map(|_| Shard::default()).collect();
        Self { shards }
    }

    /// Counts a decision about a key.
    pub fn count(&self, outcome: Outcome, key: &[u8], began: Instant) {
        let took_ns = began.elapsed().as_nanos() as u64;
        let shard = &self.shards[LOOP.get() % self.shards.len()];
        shard.outcomes[outcome as usize].fetch_add(1, Relaxed);
        shard.took[BOUNDS.partition_point(|bound| *bound < took_ns)].fetch_add(1, Relaxed);
        shard.took_ns.fetch_add(took_ns, Relaxed);
        if outcome == Outcome::Denied {
            shard.most_denied().add(key, began);
        }
    }

    fn sum(&self, each: impl Fn(&Shard) -> &AtomicU64) -> u64 {
        self.shards
            .iter()
            .map(|shard| each(shard).load(Relaxed))
            .sum()
    }
}

impl Shard {
    fn most_denied(&self) -> std::sync::MutexGuard<'_, MostDenied> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keys that were denied in this epoch and in the one before it: Misra and Gries, "Finding repeated
/// elements" (1982). A count is too low by at most a 257th of all denials of its epoch.
#[derive(Default)]
struct MostDenied {
    begun: Option<Instant>,
    epochs: [HashMap<Box<[u8]>, u64>; 2],
}

impl MostDenied {
    fn add(&mut self, key: &[u8], now: Instant) {
        self.turn(now);
        let [counts, _] = &mut self.epochs;
        if let Some(count) = counts.get_mut(key) {
            *count += 1;
        } else if counts.len() < MOST_KEPT {
            counts.insert(key.into(), 1);
        } else {
            counts.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(*self.begun.get_or_insert(now));
        if age >= EPOCH {
            self.begun = Some(now);
            self.epochs.swap(0, 1);
            self.epochs[0].clear();
        }
        if age >= 2 * EPOCH {
            self.epochs[1].clear();
        }
    }
}

/// A limit as the page tells it.
struct Counted {
    name: String,
    meter: Meter,
    tables: Vec<Arc<Table>>,
}

/// A family of figures: name, kind, help, of how many limits they are told at once, and how.
type Family = (
    &'static str,
    &'static str,
    &'static str,
    usize,
    fn(&mut Page, &Counted),
);

const FAMILIES: [Family; 4] = [
    (
        "decisions_total",
        "counter",
        "Decisions by outcome.",
        64,
        Page::outcomes,
    ),
    (
        "decision_seconds",
        "histogram",
        "Time that a decision took.",
        64,
        Page::took,
    ),
    (
        "table_fill",
        "gauge",
        "Share of a table's places that count something, by a sample.",
        4,
        Page::fill,
    ),
    (
        "most_denied",
        "gauge",
        "Keys that were denied most in the last 2 to 4 minutes, at least so often.",
        64,
        Page::count_denied,
    ),
];

/// The page, put together in portions: that of thousands of limits would hold an event loop for long.
pub struct Page {
    limits: Arc<[Counted]>,
    show_keys: bool,
    /// Another sample is looked at for each page.
    turn: u64,
    /// The next family and its next limit.
    next: (usize, usize),
    most_denied: Vec<(String, Box<[u8]>, u64)>,
    /// The family whose lines come now.
    name: String,
    pub text: String,
}

impl Page {
    pub fn new(limits: &Limits) -> Self {
        static TURN: AtomicU64 = AtomicU64::new(0);
        let counted = |(name, tables): (&str, &Tables)| {
            Some(Counted {
                name: name.to_owned(),
                meter: tables.meter()?.clone(),
                tables: tables.own().to_vec(),
            })
        };
        Self {
            limits: limits.counted().filter_map(counted).collect(),
            show_keys: limits.show_keys,
            turn: TURN.fetch_add(1, Relaxed),
            next: (0, 0),
            most_denied: Vec::new(),
            name: String::new(),
            text: String::new(),
        }
    }

    /// Adds a portion; true once that was the last one.
    pub fn advance(&mut self) -> bool {
        let (family, begin) = self.next;
        let Some((name, kind, help, portion, add)) = FAMILIES.get(family) else {
            self.end();
            return true;
        };
        if begin == 0 {
            self.family(name, kind, help);
        }
        let limits = Arc::clone(&self.limits);
        let end = limits.len().min(begin + portion);
        for counted in &limits[begin..end] {
            add(self, counted);
        }
        self.next = match end == limits.len() {
            true => (family + 1, 0),
            false => (family, end),
        };
        false
    }

    fn outcomes(&mut self, Counted { name, meter, .. }: &Counted) {
        for (number, outcome) in OUTCOMES.iter().enumerate() {
            let sum = meter.sum(|shard| &shard.outcomes[number]);
            self.line("", &[("limit", name), ("outcome", outcome)], sum);
        }
    }

    fn took(&mut self, Counted { name, meter, .. }: &Counted) {
        let mut below = 0;
        for number in 0..=BOUNDS.len() {
            below += meter.sum(|shard| &shard.took[number]);
            let bound = BOUNDS.get(number).map(|bound| *bound as f64 / 1e9);
            let end = bound.map_or("+Inf".to_owned(), |bound| bound.to_string());
            self.line("_bucket", &[("limit", name), ("le", &end)], below);
        }
        let seconds = meter.sum(|shard| &shard.took_ns) as f64 / 1e9;
        self.line("_sum", &[("limit", name)], seconds);
        self.line("_count", &[("limit", name)], below);
    }

    fn fill(&mut self, Counted { name, tables, .. }: &Counted) {
        for table in tables {
            if let Ok(census) = table.census(None, self.turn, SAMPLE) {
                let fill = census.live as f64 / census.slots.max(1) as f64;
                let quota = Text(table.quota()).to_string();
                self.line("", &[("limit", name), ("quota", &quota)], fill);
            }
        }
    }

    /// The lines come at the end: only the most denied of all are told.
    fn count_denied(&mut self, Counted { name, meter, .. }: &Counted) {
        let now = Instant::now();
        let mut counts: HashMap<Box<[u8]>, u64> = HashMap::new();
        for shard in &meter.shards[..] {
            let mut kept = shard.most_denied();
            kept.turn(now);
            for (key, count) in kept.epochs.iter().flatten() {
                *counts.entry(key.clone()).or_default() += count;
            }
        }
        let found = &mut self.most_denied;
        found.extend(
            counts
                .into_iter()
                .map(|(key, count)| (name.clone(), key, count)),
        );
        found.sort_by(|one, two| (two.2, &one.1).cmp(&(one.2, &two.1)));
        found.truncate(MOST_SHOWN);
    }

    fn end(&mut self) {
        let show = if self.show_keys { shown } else { digest };
        for (name, key, count) in std::mem::take(&mut self.most_denied) {
            self.line("", &[("limit", &name), ("key", &show(&key))], count);
        }
        let refused = "Requests about which no limit was asked: malformed, too large, unknown.";
        self.family("refused_total", "counter", refused);
        self.line("", &[], REFUSED.load(Relaxed));
        self.family("connections", "gauge", "Connections that are open.");
        self.line("", &[], CONNECTIONS.load(Relaxed));
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.name = format!("rateproof_service_{name}");
        let name = &self.name;
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// A line of this family, or with a `suffix` behind its name.
    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        for (number, (label, text)) in labels.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            let text = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(self.text, "{before}{label}=\"{text}\"");
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }
}

/// A digest that stands for a key: the same for as long as this process lives, and of no use elsewhere.
fn digest(key: &[u8]) -> String {
    static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    format!("k-{:016x}", STATE.hash_one(key))
}

/// A key as text: no two keys are the same text, or their lines would be.
fn shown(key: &[u8]) -> String {
    let mut text = String::with_capacity(key.len());
    for chunk in key.utf8_chunks() {
        text += &chunk.valid().replace('\\', "\\\\");
        for byte in chunk.invalid() {
            // Writing to a text cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_that_is_denied_most_is_found_among_any_number_of_others() {
        let (mut keys, now) = (MostDenied::default(), Instant::now());
        for number in 0..100_000_u32 {
            keys.add(&number.to_be_bytes(), now);
            if number % 50 == 0 {
                keys.add(b"often", now);
            }
        }
        assert!(keys.epochs[0].len() <= MOST_KEPT);
        let count = keys.epochs[0][&b"often"[..]];
        assert!((2_000 - 102_000 / 257..=2_000).contains(&count), "{count}");
    }

    #[test]
    fn no_two_keys_are_shown_as_the_same_text() {
        let keys = [
            &b"a\xff\xfe"[..],
            b"a\xfe\xff",
            b"a\\xff\\xfe",
            "aé".as_bytes(),
        ];
        let texts = keys.map(shown);
        assert_eq!(texts, [r"a\xff\xfe", r"a\xfe\xff", r"a\\xff\\xfe", "aé"]);
    }

    #[test]
    fn what_was_denied_minutes_ago_is_forgotten() {
        let (mut keys, start) = (MostDenied::default(), Instant::now());
        keys.add(b"a", start);
        keys.turn(start + EPOCH);
        assert_eq!(keys.epochs[1].len(), 1);
        keys.turn(start + 2 * EPOCH);
        assert!(keys.epochs.iter().all(HashMap::is_empty));
        keys.add(b"a", start + 2 * EPOCH);
        keys.turn(start + 9 * EPOCH);
        assert!(keys.epochs.iter().all(HashMap::is_empty));
    }
}
