//! What of a key's requests precedes and follows each of them.

use crate::promises::{Terms, Told, UNKNOWN_END};
use crate::seen::Kind;

/// What precedes a place among the requests of a key, and what follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// How many before it may have used up the quota.
    pub used: u32,
    /// How many before it were admitted.
    pub admitted: u32,
    /// Of those from it on that were admitted, the place of the one that was answered first.
    pub next_admitted: u32,
    /// The same of those that were rejected.
    pub next_rejected: u32,
}

/// No place.
const NONE: u32 = u32::MAX;

/// The requests of a key, to look up; it is rebuilt for the next key in the room that it has.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// One more than there are requests.
    pub all: Vec<Place>,
    pub used_ends: Vec<i64>,
    pub admitted_ends: Vec<i64>,
}

impl Places {
    /// Takes the requests of a key, by sending time.
    pub fn rebuild(&mut self, all: &[Told], terms: Terms) {
        self.all.clear();
        self.used_ends.clear();
        self.admitted_ends.clear();
        let mut place = Place {
            used: 0,
            admitted: 0,
            next_admitted: NONE,
            next_rejected: NONE,
        };
        for answer in all {
            self.all.push(place);
            if terms.uses(answer) {
                place.used += 1;
                if answer.end != UNKNOWN_END {
                    self.used_ends.push(answer.end);
                }
            }
            if answer.kind == Kind::Admitted {
                place.admitted += 1;
                self.admitted_ends.push(answer.end);
            }
        }
        self.all.push(place);
        for (at, answer) in all.iter().enumerate().rev() {
            let first = |next: u32| match all.get(next as usize) {
                Some(next_answer) if next_answer.end < answer.end => next,
                _ => at as u32,
            };
            match answer.kind {
                Kind::Admitted => place.next_admitted = first(place.next_admitted),
                Kind::Rejected => place.next_rejected = first(place.next_rejected),
                Kind::Unknown => {}
            }
            self.all[at].next_admitted = place.next_admitted;
            self.all[at].next_rejected = place.next_rejected;
        }
        self.used_ends.sort();
        if terms.hard_reset {
            self.admitted_ends.sort();
        }
    }
}
