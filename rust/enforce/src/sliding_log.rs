//! The sliding log of one slot: a ring of N permit cells behind a cursor.
//!
//! A cell holds the *end* of the window of the admission that last took it, `now + W`, and is
//! *free* from then on. Cells are taken in ring order and their ends never fall along it, so the
//! cell at the cursor, the *tail*, is the oldest: the free cells are a prefix from there, and one
//! look at the tail decides.
//!
//! The cursor counts laps, and a cell carries the parity of the lap in which it was taken: a cell
//! with the parity of the cursor's own lap has been taken already, and whoever meets it there
//! moves the cursor on. With its top bit set the tail is *frozen*, and with it the whole slot: no
//! cell can be taken before the tail is.

use crate::answer::{Answer, Survey};
use crate::clock::Reading;
use crate::error::damaged;
use crate::hold::{FROZEN, Hold, mark, swap};
use crate::kernel::Kernel;
use crate::quota::{Algorithm, Parameter, Quota, Spec};
use crate::sync::{AtomicU64, Ordering, Step, without};

impl Algorithm {
    /// Never more than `limit` in any window.
    pub const SLIDING_LOG: Self = Self(&Spec {
        name: "sliding-log",
        max_limit: MAX_LIMIT,
        own_burst: false,
        parameter: Parameter::NONE,
        check: |_| Ok(()),
        memory_ns: |quota| quota.window_ns,
        kernel: Kernel::Ring,
    });
}

impl Quota {
    /// The exact sliding log, at most `limit` admissions in any window.
    #[must_use]
    pub fn sliding_log(limit: u64, window_ns: u64) -> Self {
        Self::new(Algorithm::SLIDING_LOG, limit, window_ns)
    }
}

/// The largest limit: a position takes 16 bits of the cursor.
const MAX_LIMIT: u64 = 1 << POSITION_BITS;
const POSITION_BITS: u32 = 16;

/// The parity of the lap in which a cell was taken; no end reaches this bit.
const LAP: u64 = 1 << 62;
/// The end in a cell.
const END: u64 = LAP - 1;

/// A place along the ring: the lap, from 0, above the position. It only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor(u64);

impl Cursor {
    fn position(self) -> usize {
        (self.0 & (MAX_LIMIT - 1)) as usize
    }

    /// The parity of a cell that is taken in this lap: in the first it is 1, and 0 in no lap.
    fn lap(self) -> u64 {
        if self.0 & MAX_LIMIT == 0 { LAP } else { 0 }
    }
}

/// The words of one slot: the cursor, then the cells.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'a> {
    cursor: &'a AtomicU64,
    cells: &'a [AtomicU64],
    window_ns: u64,
}

impl<'a> Ring<'a> {
    /// `words` are the cursor and as many cells as the limit.
    pub(crate) fn new(words: &'a [AtomicU64], window_ns: u64) -> Self {
        Self {
            cursor: &words[0],
            cells: &words[1..],
            window_ns,
        }
    }

    fn limit(&self) -> u64 {
        self.cells.len() as u64
    }

    /// The place `by` cells further along, at most one lap.
    fn ahead(&self, at: Cursor, by: u64) -> Cursor {
        let wraps = at.position() as u64 + by >= self.limit();
        Cursor(at.0 + by + if wraps { MAX_LIMIT - self.limit() } else { 0 })
    }

    fn cell(&self, at: Cursor) -> &AtomicU64 {
        self.cells.get(at.position()).unwrap_or_else(|| damaged())
    }

    fn load(&self, at: Cursor) -> u64 {
        self.cell(at).load(Ordering::Acquire)
    }

    fn cursor(&self) -> Cursor {
        Cursor(self.cursor.load(Ordering::Acquire))
    }

    /// Moves the cursor on; if that fails somebody has moved it, as far as they saw.
    fn advance(&self, from: Cursor, to: Cursor) {
        swap(self.cursor, from.0, to.0);
    }

    /// The cursor, and the cell that was at it and not taken in its lap.
    ///
    /// The cursor only grows: equal before and after, it was there when the cell was read.
    fn tail(&self) -> (Cursor, u64) {
        loop {
            let at = self.cursor();
            let cell = self.load(at);
            if !without(Step::Recursor) && self.cursor() != at {
                continue;
            }
            if cell & LAP != at.lap() {
                return (at, cell);
            }
            self.advance(at, self.ahead(at, 1));
        }
    }

    /// The latest end in the ring, in the cell before the tail.
    fn newest(&self, tail: Cursor) -> u64 {
        let before = tail.position().checked_sub(1);
        let position = before.unwrap_or(self.cells.len() - 1);
        self.cells[position].load(Ordering::Acquire) & END
    }

    /// The end of a cell as it was while the tail was still to be taken.
    ///
    /// What has been taken since was free by then.
    fn end(&self, at: Cursor) -> u64 {
        let cell = self.load(at);
        if cell & LAP == at.lap() {
            0
        } else {
            cell & END
        }
    }

    /// Number of free cells among the `among` from a place on: all of them if the newest end is
    /// over, else a prefix. It is searched for in ever longer strides from both of its ends: what
    /// is near them is in cache, and most keys have used little or nearly all.
    fn free(&self, from: Cursor, among: u64, newest: u64, now: u64) -> u64 {
        if newest <= now {
            return among;
        }
        let free = |by| self.end(self.ahead(from, by)) <= now;
        let (mut least, mut most, mut stride) = (0, among, 1);
        while least + 2 * stride <= most {
            if !free(least + stride - 1) {
                most = least + stride - 1;
                break;
            }
            least += stride;
            if free(most - stride) {
                least = most - stride + 1;
                break;
            }
            most -= stride;
            stride *= 2;
        }
        while least < most {
            let middle = least.midpoint(most);
            if free(middle) {
                least = middle + 1;
            } else {
                most = middle;
            }
        }
        least
    }

    /// The answer of a ring whose tail is there, and whose cost-th cell from the tail ends then.
    fn survey_from(&self, tail: Cursor, available_at: u64, now: u64) -> Survey {
        let newest = self.newest(tail);
        Survey {
            free: self.free(tail, self.limit(), newest, now),
            available_at,
            all_free_at: newest,
        }
    }

    pub(crate) fn admit(&self, cost: u64, read: impl Fn() -> Reading) -> Option<Answer> {
        if cost > 1 {
            // More than one cell takes the lock; that so many do not fit can be told without.
            return Some(self.look(cost, read)).filter(|answer| !answer.admitted);
        }
        loop {
            let (tail, cell) = self.tail();
            let at = read();
            if cell & END > at.now {
                let found = Survey {
                    free: 0,
                    available_at: cell & END,
                    all_free_at: self.newest(tail),
                };
                return Some(Answer::looked(found, at));
            }
            if cell & FROZEN != 0 || !at.charges {
                return None;
            }
            let newest = self.newest(tail);
            let end = (at.now + self.window_ns).max(newest);
            if swap(self.cell(tail), cell, end | tail.lap()) {
                let next = self.ahead(tail, 1);
                self.advance(tail, next);
                let left = Survey {
                    free: self.free(next, self.limit() - 1, newest, at.now),
                    available_at: at.now,
                    all_free_at: end,
                };
                return Some(Answer::admitted(left, at));
            }
        }
    }

    pub(crate) fn seems_free(&self, now: u64, cost: u64) -> bool {
        let (tail, _) = self.tail();
        self.end(self.ahead(tail, cost - 1)) <= now
    }

    pub(crate) fn look(&self, cost: u64, read: impl Fn() -> Reading) -> Answer {
        loop {
            let (tail, _) = self.tail();
            let available_at = self.end(self.ahead(tail, cost - 1));
            let at = read();
            let found = self.survey_from(tail, available_at, at.now);
            // The tail is where it was, so that cell was the cost-th when it was read.
            if self.cursor() == tail {
                return Answer::looked(found, at);
            }
        }
    }

    pub(crate) fn busy_until(&self, _now: u64) -> u64 {
        let (tail, _) = self.tail();
        self.newest(tail)
    }

    /// Thaws what a dead holder froze. It had told nobody, so what it took already is given back:
    /// what was there ended by the time at which it was taken, one window before the new end.
    pub(crate) fn recover(&self) {
        let (tail, cell) = self.tail();
        if cell & FROZEN == 0 {
            return;
        }
        let taken = |by: &u64| {
            let at = self.ahead(tail, *by);
            self.load(at) & LAP == at.lap()
        };
        let count = (1..self.limit()).take_while(taken).count() as u64;
        for by in (1..=count).rev() {
            let at = self.ahead(tail, by);
            let end = self.load(at) & END;
            let given_back = end.saturating_sub(self.window_ns) | (at.lap() ^ LAP);
            self.cell(at).store(given_back, Ordering::Release);
        }
        self.cell(tail).store(cell & !FROZEN, Ordering::Release);
    }

    pub(crate) fn freeze(&self) -> Hold {
        loop {
            let (tail, before) = self.tail();
            if swap(self.cell(tail), before, before | mark()) {
                return Hold {
                    cursor: tail.0,
                    before,
                };
            }
        }
    }

    pub(crate) fn survey(&self, hold: &Hold, now: u64, cost: u64) -> Survey {
        let tail = Cursor(hold.cursor);
        self.survey_from(tail, self.end(self.ahead(tail, cost - 1)), now)
    }

    /// Takes `cost` cells, the tail last: nobody can take one before.
    pub(crate) fn commit(&self, hold: &Hold, now: u64, cost: u64) -> Survey {
        let tail = Cursor(hold.cursor);
        let newest = self.newest(tail);
        let end = (now + self.window_ns).max(newest);
        for by in (1..cost).chain([0]) {
            let at = self.ahead(tail, by);
            self.cell(at).store(end | at.lap(), Ordering::Release);
        }
        let next = self.ahead(tail, cost);
        self.advance(tail, next);
        Survey {
            free: self.free(next, self.limit() - cost, newest, now),
            available_at: now,
            all_free_at: end,
        }
    }

    pub(crate) fn thaw(&self, hold: &Hold) {
        let tail = self.cell(Cursor(hold.cursor));
        tail.store(hold.before, Ordering::Release);
    }

    /// Frees every cell, the oldest first, so that the ends never fall along the ring; thaws last.
    pub(crate) fn forget(&self, hold: &Hold) {
        let tail = Cursor(hold.cursor);
        let lap = hold.before & LAP;
        self.cell(tail).store(FROZEN | lap, Ordering::Release);
        for by in 1..self.limit() {
            let cell = self.cell(self.ahead(tail, by));
            let found = cell.load(Ordering::Acquire);
            if found & END != 0 {
                cell.store(found & LAP, Ordering::Release);
            }
        }
        self.cell(tail).store(lap, Ordering::Release);
    }
}
