//! Owners of slots: finding a key's slot, claiming one, giving an idle one away.

use crate::hash::{Place, TAG_BITS, TAG_MASK};
use crate::shape::BUCKET;
use crate::sync::{Ordering, Step, without};
use crate::table::{Table, decision_time, slots_of};

/// A slot, and the word by which it was recognised.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) slot: usize,
    word: u64,
}

impl Table {
    /// Under the lock: the key's slot, with nothing left in it by the dead; claimed if need be.
    ///
    /// `Err` carries the time at which the first of the slots in the way becomes idle.
    pub(crate) fn locate(&self, place: &Place, supplied: Option<u64>) -> Result<usize, u64> {
        if let Some(found) = self.find(place) {
            self.slot(found.slot).recover();
            return Ok(found.slot);
        }
        self.claim(place, supplied)
    }

    /// Under the lock: gives the key a slot that is empty, or idle.
    ///
    /// Of the two buckets the one with fewer live slots goes first.
    fn claim(&self, place: &Place, supplied: Option<u64>) -> Result<usize, u64> {
        let now = decision_time(&[self], supplied).now;
        let mut buckets = place.buckets;
        buckets.sort_by_cached_key(|bucket| self.crowd(*bucket, now));
        for bucket in buckets {
            let slots = || (0..BUCKET).map(|way| bucket * BUCKET + (way ^ place.way));
            let empty = slots().find(|slot| self.unowned(*slot));
            if let Some(slot) = empty {
                self.publish(slot, place);
                return Ok(slot);
            }
            for slot in slots() {
                if self.idle(slot, now) && self.reclaim(slot, place, supplied) {
                    return Ok(slot);
                }
            }
        }
        let slots = place.buckets.into_iter().flat_map(slots_of);
        let idle_at = slots.map(|slot| self.slot(slot).busy_until(now)).min();
        Err(idle_at.unwrap_or(now))
    }

    /// Under the lock: how many slots of a bucket are live, once what the dead left is gone.
    ///
    /// The state of a slot that was never owned is not looked at: a look would take memory.
    fn crowd(&self, bucket: usize, now: u64) -> usize {
        slots_of(bucket)
            .filter(|slot| !self.unowned(*slot))
            .filter(|slot| {
                self.slot(*slot).recover();
                !self.idle(*slot, now)
            })
            .count()
    }

    /// Under the lock: gives an idle slot a new owner, unless somebody has been admitted to it.
    pub(crate) fn reclaim(&self, index: usize, place: &Place, supplied: Option<u64>) -> bool {
        let slot = self.slot(index);
        let read = || decision_time(&[self], supplied).now;
        let early = without(Step::Reading).then(read);
        let hold = slot.freeze();
        // Read now that nothing is admitted any more: of a state that is two windows later than
        // a reading from before, some rules could not tell that it is not an old one. The floor
        // rises before the new owner shows: whoever sees it decides at this time or later.
        let now = early.unwrap_or_else(read);
        let idle = self.idle(index, now);
        if idle {
            self.publish(index, place);
        }
        slot.thaw(&hold);
        idle
    }

    /// True if nothing that the slot has counted matters any more.
    fn idle(&self, slot: usize, now: u64) -> bool {
        self.slot(slot).busy_until(now) <= now
    }

    /// Under the lock: the slot belongs to the key from here on.
    pub(crate) fn publish(&self, slot: usize, place: &Place) {
        let word = self.tag(slot);
        let owners = (word.load(Ordering::Acquire) >> TAG_BITS).wrapping_add(1);
        word.store((owners << TAG_BITS) | place.tag, Ordering::Release);
    }

    /// The slot that belongs to the key.
    #[inline]
    pub(crate) fn find(&self, place: &Place) -> Option<Found> {
        place
            .buckets
            .into_iter()
            // Most keys have the slot that they are given first.
            .flat_map(|bucket| (0..BUCKET).map(move |way| bucket * BUCKET + (way ^ place.way)))
            .map(|slot| Found {
                slot,
                word: self.tag(slot).load(Ordering::Acquire),
            })
            .find(|found| found.word & TAG_MASK == place.tag)
    }

    /// True if the slot has had no other owner since it was found.
    pub(crate) fn still(&self, found: Found) -> bool {
        without(Step::Recheck) || self.tag(found.slot).load(Ordering::Acquire) == found.word
    }
}
