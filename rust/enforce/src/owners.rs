//! Who owns which slot: finding a key's slot, claiming one, giving an idle one away.

use std::ops::Range;

use crate::hash::{Place, TAG_BITS, TAG_MASK};
use crate::header::WORD_FLOOR;
use crate::shape::BUCKET;
use crate::sync::Ordering;
use crate::table::Table;

/// A slot, and the word by which it was recognised.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) slot: usize,
    word: u64,
}

impl Table {
    /// Under the lock: the key's slot, with nothing left in it by the dead; claimed if need be.
    ///
    /// `Err` carries the stamp at which the first of the slots in the way becomes idle.
    pub(crate) fn locate(&self, place: &Place, supplied: Option<u64>) -> Result<usize, u64> {
        if let Some(found) = self.find(place) {
            self.cells(found.slot).recover();
            return Ok(found.slot);
        }
        self.claim(place, self.read(supplied).now)
    }

    /// Under the lock: gives the key a slot that is empty, or idle for a whole window.
    ///
    /// Of the two buckets the one with fewer live slots goes first.
    fn claim(&self, place: &Place, now: u64) -> Result<usize, u64> {
        let mut buckets = place.buckets;
        buckets.sort_by_cached_key(|bucket| self.crowd(*bucket, now));
        for bucket in buckets {
            let empty = slots_of(bucket).find(|slot| self.tag(*slot).load(Ordering::Acquire) == 0);
            if let Some(slot) = empty {
                self.publish(slot, place);
                return Ok(slot);
            }
            for slot in slots_of(bucket) {
                if self.cells(slot).idle(now) && self.reclaim(slot, place, now) {
                    return Ok(slot);
                }
            }
        }
        Err(place
            .buckets
            .into_iter()
            .flat_map(slots_of)
            .map(|slot| self.cells(slot).survey(now, 1).all_free_at)
            .min()
            .unwrap_or(now))
    }

    /// Under the lock: how many slots of a bucket are live, once what the dead left is gone.
    ///
    /// The cells of a slot that was never owned are not looked at: a look would take memory.
    fn crowd(&self, bucket: usize, now: u64) -> usize {
        slots_of(bucket)
            .filter(|slot| self.tag(*slot).load(Ordering::Acquire) != 0)
            .filter(|slot| {
                let cells = self.cells(*slot);
                cells.recover();
                !cells.idle(now)
            })
            .count()
    }

    /// Under the lock: gives an idle slot a new owner, unless somebody has been admitted to it.
    pub(crate) fn reclaim(&self, slot: usize, place: &Place, now: u64) -> bool {
        let cells = self.cells(slot);
        let Some(hold) = cells.seal(now) else {
            return false;
        };
        // Before the new owner shows: whoever sees it decides at this time or later.
        self.header(WORD_FLOOR).fetch_max(now, Ordering::AcqRel);
        self.publish(slot, place);
        cells.release(hold);
        true
    }

    /// Under the lock: the slot belongs to the key from here on.
    pub(crate) fn publish(&self, slot: usize, place: &Place) {
        let word = self.tag(slot);
        let owners = (word.load(Ordering::Acquire) >> TAG_BITS).wrapping_add(1);
        word.store((owners << TAG_BITS) | place.tag, Ordering::Release);
    }

    /// The slot that belongs to the key.
    pub(crate) fn find(&self, place: &Place) -> Option<Found> {
        place
            .buckets
            .into_iter()
            .flat_map(slots_of)
            .map(|slot| Found {
                slot,
                word: self.tag(slot).load(Ordering::Acquire),
            })
            .find(|found| found.word & TAG_MASK == place.tag)
    }

    /// Whether the slot has had no other owner since it was found.
    pub(crate) fn still(&self, found: Found) -> bool {
        self.tag(found.slot).load(Ordering::Acquire) == found.word
    }
}

/// The slots of a bucket.
pub(crate) fn slots_of(bucket: usize) -> Range<usize> {
    bucket * BUCKET..(bucket + 1) * BUCKET
}
