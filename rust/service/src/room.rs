//! Shares of the places in a limiter's tables, as `rateproof.enforce.room` has them and says why: no
//! address can lock every new client out.
//!
//! The table of what each address took is one with that of Python applications on the store.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use rateproof_enforce::{Algorithm, Answers, Error, PATIENCE, Quota, Ruling, Table, now_ns};

use crate::policy::Text;
use crate::store::Store;
use crate::tables::Tables;

const SAMPLE: u64 = 1024;
const SHARE: u64 = 1000;
const LOOKS: u64 = 256;
const SECOND_NS: u64 = 1_000_000_000;
/// The least W/N of a token bucket.
const LEAST_SPACING_NS: u64 = 1_000;
/// A window is shorter than this.
const MOST_WINDOW_NS: u64 = 1 << 61;

/// The places of the tables of a limit, and who takes them.
pub struct Room {
    /// The quota by which a key is known for longest: its place in the policy, and its table.
    place: usize,
    table: Arc<Table>,
    /// Places that each address took: a token bucket of a thousandth of them.
    shares: Arc<Table>,
    /// Before an address, as its key.
    name: Vec<u8>,
    /// More than half of the places are held, as far as this process knows.
    crowded: AtomicBool,
    taken: AtomicU64,
    turn: AtomicU64,
    stale_ns: AtomicU64,
}

impl Room {
    /// The room in the tables of a limit.
    ///
    /// # Errors
    /// The store cannot be used.
    pub fn new(store: &mut Store, tables: &[Arc<Table>]) -> Result<Option<Self>, String> {
        let held = |(_, table): &(usize, &Arc<Table>)| Reverse(table.quota().held_ns());
        let Some((place, table)) = tables.iter().enumerate().min_by_key(held) else {
            return Ok(None);
        };
        let share = (table.slots() / SHARE).max(1);
        let quota = table.quota();
        let window_ns = 1 + quota.memory_ns().max(LEAST_SPACING_NS * share);
        let window_ns = window_ns.min(MOST_WINDOW_NS - 1);
        let bucket = Quota::new(Algorithm::TOKEN_BUCKET, share, window_ns);
        let shares = store.open(&[bucket])?;
        Ok(shares.into_iter().next().map(|shares| Self {
            place,
            table: Arc::clone(table),
            shares,
            name: format!("{} ", Text(quota)).into_bytes(),
            crowded: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            stale_ns: AtomicU64::new(0),
        }))
    }

    /// Hits a key for an address, which may be nobody's: refused as by full tables if the key has no place
    /// and the address has its share.
    ///
    /// # Errors
    /// As for [`Tables::hit`].
    pub fn hit(
        &self,
        tables: &Tables,
        key: &[u8],
        cost: u64,
        address: impl Fn() -> Option<Vec<u8>>,
    ) -> Result<Option<Ruling>, Error> {
        if self.crowded.load(Relaxed)
            && !self.knows(tables, key, cost)?
            && let Some(wait_ns) = address().and_then(|address| self.wait_ns(&address))
        {
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                tell!(
                    "rateproof: an address holds a thousandth of the places, and its new clients get no more"
                );
            });
            return Ok(Some(tables.refuse(key, wait_ns)));
        }
        let ruling = tables.hit(key, cost)?;
        if let Some((true, answers)) = &ruling
            && self.left(answers) == Some(self.burst() - cost)
        {
            self.take(address());
        }
        Ok(ruling)
    }

    fn burst(&self) -> u64 {
        self.table.quota().burst
    }

    fn left(&self, answers: &Answers) -> Option<u64> {
        let answer = answers.get(self.place)?;
        (!answer.full).then_some(answer.remaining)
    }

    /// True if something binds the key.
    fn knows(&self, tables: &Tables, key: &[u8], cost: u64) -> Result<bool, Error> {
        let Some((_, answers)) = tables.peek(key, cost)? else {
            return Ok(true);
        };
        Ok(self.left(&answers).is_some_and(|left| left < self.burst()))
    }

    /// Notes that a new key of an address took a place.
    fn take(&self, address: Option<Vec<u8>>) {
        if let Some(address) = address {
            // What cannot be counted is given.
            let _ = self.shares.hit(&self.key(&address), 1, None, PATIENCE);
        }
        self.taken.fetch_add(1, Relaxed);
        self.look();
    }

    /// The time until a new key of an address may have a place; `None`: it may now.
    fn wait_ns(&self, address: &[u8]) -> Option<u64> {
        self.look();
        let share = self.shares.peek(&self.key(address), 1, None, PATIENCE);
        let share = share.ok().flatten()?;
        let lacks = self.crowded.load(Relaxed) && !share.admitted && !share.full;
        lacks.then_some(share.retry_after_ns)
    }

    fn key(&self, address: &[u8]) -> Vec<u8> {
        [&self.name, address].concat()
    }

    /// Estimates anew how many places are held, if that is due.
    fn look(&self) {
        let (now, slots) = (now_ns(), self.table.slots());
        if now < self.stale_ns.load(Relaxed) && self.taken.load(Relaxed) * LOOKS < slots {
            return;
        }
        self.taken.store(0, Relaxed);
        self.stale_ns.store(now + SECOND_NS, Relaxed);
        let turn = 1 + self.turn.fetch_add(1, Relaxed);
        let Ok(census) = self.table.census(None, turn, SAMPLE) else {
            return;
        };
        let looked = census.slots as f64;
        let spread = if census.slots == slots {
            0.0
        } else {
            1.5 * looked.sqrt()
        };
        let crowded = 2.0 * (census.live as f64 - spread) > looked;
        self.crowded.store(crowded, Relaxed);
    }
}
