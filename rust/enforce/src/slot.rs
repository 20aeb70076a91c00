//! One slot's permit cells: the steps of the protocol that touch them.
//!
//! A cell holds the stamp of the admission that last took its permit. It is *free* at `now` when
//! `stamp + W ≤ now`. With the top bit set it is *provisional*: the holder of the lock has it in
//! hand, nobody else may take it, and nobody may be denied because of it.

use crate::sync::{AtomicU64, Ordering};

/// Set in a cell that the holder of the lock has in hand; no stamp reaches this bit.
const PROVISIONAL: u64 = 1 << 63;

/// The permit cells of one slot.
#[derive(Clone, Copy)]
pub(crate) struct Cells<'a> {
    cells: &'a [AtomicU64],
    window_ns: u64,
}

/// What one attempt to take a single permit saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pass {
    /// A permit was taken: its cell now holds `now`.
    pub(crate) taken: bool,
    /// Cells that are still free.
    pub(crate) free: u64,
    /// Some cell was in the hands of a holder of the lock.
    pub(crate) provisional: bool,
    /// When the first of the live cells becomes free; `u64::MAX` when none is live.
    pub(crate) available_at: u64,
    /// When the last of all cells becomes free.
    pub(crate) all_free_at: u64,
}

/// What a look at the cells saw that took nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Cells free at the time asked about.
    pub(crate) free: u64,
    /// Some cell was in the hands of a holder of the lock.
    pub(crate) provisional: bool,
    /// From when on as many cells as asked for are free.
    pub(crate) available_at: u64,
    /// When the last of all cells becomes free.
    pub(crate) all_free_at: u64,
}

/// Cells that the holder of the lock has in hand, with the stamps to restore.
#[derive(Debug, Default)]
pub(crate) struct Hold(Vec<(usize, u64)>);

impl Hold {
    /// How many cells.
    pub(crate) fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

impl<'a> Cells<'a> {
    pub(crate) fn new(cells: &'a [AtomicU64], window_ns: u64) -> Self {
        Self { cells, window_ns }
    }

    /// When a cell with this stamp is free. No overflow: a stamp is below 2⁶³, a window ≤ 2⁶⁰.
    fn free_at(&self, stamp: u64) -> u64 {
        (stamp & !PROVISIONAL) + self.window_ns
    }

    fn is_free(&self, stamp: u64, now: u64) -> bool {
        stamp & PROVISIONAL == 0 && self.free_at(stamp) <= now
    }

    /// Replaces `old` by `new` in one cell, or says what is there instead.
    fn swap(cell: &AtomicU64, old: u64, new: u64) -> Result<u64, u64> {
        cell.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire)
    }

    /// Takes one permit at `now` if a cell is free, without the lock.
    ///
    /// Whether it counts is for the caller to find out: the slot may have changed its owner.
    pub(crate) fn admit(&self, now: u64) -> Pass {
        let mut pass = Pass {
            taken: false,
            free: 0,
            provisional: false,
            available_at: u64::MAX,
            all_free_at: 0,
        };
        for cell in self.cells {
            let mut stamp = cell.load(Ordering::Acquire);
            while !pass.taken && self.is_free(stamp, now) {
                match Self::swap(cell, stamp, now) {
                    Ok(_) => {
                        pass.taken = true;
                        stamp = now;
                    }
                    Err(other) => stamp = other,
                }
            }
            pass.all_free_at = pass.all_free_at.max(self.free_at(stamp));
            if stamp & PROVISIONAL != 0 {
                pass.provisional = true;
            } else if self.is_free(stamp, now) {
                pass.free += 1;
            } else {
                pass.available_at = pass.available_at.min(self.free_at(stamp));
            }
        }
        pass
    }

    /// Looks, takes nothing: how many are free at `now`, and when `cost` will be.
    ///
    /// `cost` is from 1 to the number of cells. A provisional cell counts as taken at its stamp.
    pub(crate) fn survey(&self, now: u64, cost: u64) -> Survey {
        let mut survey = Survey {
            free: 0,
            provisional: false,
            available_at: u64::MAX,
            all_free_at: 0,
        };
        let mut times = Vec::new();
        for cell in self.cells {
            let stamp = cell.load(Ordering::Acquire);
            let free_at = self.free_at(stamp);
            survey.free += u64::from(self.is_free(stamp, now));
            survey.provisional |= stamp & PROVISIONAL != 0;
            survey.all_free_at = survey.all_free_at.max(free_at);
            if cost == 1 {
                survey.available_at = survey.available_at.min(free_at);
            } else {
                times.push(free_at);
            }
        }
        let rank = (cost as usize).saturating_sub(1);
        if rank < times.len() {
            survey.available_at = *times.select_nth_unstable(rank).1;
        }
        survey
    }

    /// Whether every cell is free at `now`.
    pub(crate) fn idle(&self, now: u64) -> bool {
        self.cells
            .iter()
            .all(|cell| self.is_free(cell.load(Ordering::Acquire), now))
    }

    /// Under the lock: takes up to `cost` free cells in hand, stamped `now`.
    pub(crate) fn take(&self, now: u64, cost: u64) -> Hold {
        let mut hold = Hold::default();
        for (index, cell) in self.cells.iter().enumerate() {
            if hold.len() == cost {
                break;
            }
            let mut stamp = cell.load(Ordering::Acquire);
            while self.is_free(stamp, now) {
                match Self::swap(cell, stamp, now | PROVISIONAL) {
                    Ok(_) => {
                        hold.0.push((index, stamp));
                        break;
                    }
                    Err(other) => stamp = other,
                }
            }
        }
        hold
    }

    /// Under the lock: takes every cell in hand, or none when one of them is live at `now`.
    pub(crate) fn seal(&self, now: u64) -> Option<Hold> {
        let hold = self.take(now, self.cells.len() as u64);
        if hold.0.len() == self.cells.len() {
            return Some(hold);
        }
        self.release(hold);
        None
    }

    /// Under the lock: what is in hand becomes an admission at `now`, the time it was taken at.
    ///
    /// Only the holder of the lock writes to a provisional cell, so a store is enough.
    pub(crate) fn commit(&self, hold: Hold, now: u64) {
        for (index, _) in hold.0 {
            self.cells[index].store(now, Ordering::Release);
        }
    }

    /// Under the lock: puts what is in hand back as it was.
    pub(crate) fn release(&self, hold: Hold) {
        for (index, stamp) in hold.0 {
            self.cells[index].store(stamp, Ordering::Release);
        }
    }

    /// Under the lock: frees the cells that a holder had in hand when it died.
    ///
    /// The stamp to restore died with it. One window before the provisional stamp `p` is no
    /// earlier (`p` was only put where `stamp + W ≤ p`), and free from `p` on.
    pub(crate) fn recover(&self) {
        for cell in self.cells {
            let stamp = cell.load(Ordering::Acquire);
            if stamp & PROVISIONAL != 0 {
                self.age(cell, stamp, stamp & !PROVISIONAL);
            }
        }
    }

    /// Under the lock: frees every cell that is live at `now`.
    ///
    /// A cell that changes meanwhile was free when this looked and has been taken since: an
    /// admission after the reset, which stays.
    pub(crate) fn forget(&self, now: u64) {
        for cell in self.cells {
            let stamp = cell.load(Ordering::Acquire);
            if !self.is_free(stamp, now) {
                self.age(cell, stamp, now);
            }
        }
    }

    /// Under the lock: makes a cell free from `now` on, unless it has changed.
    fn age(&self, cell: &AtomicU64, stamp: u64, now: u64) {
        let _ = Self::swap(cell, stamp, now.saturating_sub(self.window_ns));
    }
}
