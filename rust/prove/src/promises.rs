//! Statements of header fields that did not come true: the twin of `rateproof.prove.headers`.

use crate::cursor::Cursor;
use crate::groups::Groups;
use crate::sayings::{Meaning, Sayings, Terms};
use crate::seen::{Kind, Name, Request, TIME_LIMIT};

/// A statement that did not come true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Number of the rule.
    pub rule: usize,
    /// Row of the answer that says it.
    pub said: u32,
    /// Row of the answer that contradicts it.
    pub seen: u32,
}

/// The findings on a log.
#[derive(Debug, Default)]
pub struct Promises {
    /// Statements that later answers put to the test, by rule.
    pub judged: [u64; 4],
    /// Number of them that did not come true.
    pub broken: u64,
    /// Those of the keys with the least names.
    pub first: Vec<(Name, Broken)>,
}

/// The question asked of every key.
#[derive(Clone, Copy, Debug)]
pub struct Promised {
    /// The terms of every statement.
    pub terms: Terms,
    /// The time after the first request of a key by which all those that are not in the log had been
    /// decided; 0 if there were none, None if it is not known.
    pub known_after: Option<i64>,
    /// Broken statements that are told of.
    pub most: usize,
}

/// Looks at what was said to every key, on at most so many threads, which changes nothing.
pub fn promises(
    groups: &mut Groups,
    sayings: &Sayings,
    asked: Promised,
    threads: usize,
) -> Promises {
    let meanings = sayings.by(asked.terms);
    let viewers = groups.each_key(
        threads,
        || (Promises::default(), Places::default()),
        |(found, places), name, requests| {
            found.add(name, requests, &meanings, asked, places);
        },
    );
    let mut all = Promises::default();
    for (found, _) in viewers {
        for (judged, more) in all.judged.iter_mut().zip(found.judged) {
            *judged += more;
        }
        all.broken += found.broken;
        all.first.extend(found.first);
    }
    all.keep(asked.most);
    all
}

impl Promises {
    /// Adds what is found of a key.
    fn add(
        &mut self,
        name: Name,
        answers: &[Request],
        meanings: &[Meaning],
        asked: Promised,
        places: &mut Places,
    ) {
        let says = |answer: &&Request| answer.said() > 0 && answer.kind() != Kind::Unknown;
        let (Some(first), Some(last)) = (answers.first(), answers.last()) else {
            return;
        };
        if !answers.iter().any(|answer| says(&answer)) {
            return;
        }
        let known = match asked.known_after {
            Some(0) => None,
            Some(after) => Some(first.sent + after.min(TIME_LIMIT)),
            None => Some(last.sent + 1),
        };
        places.rebuild(answers, asked.terms);
        let mut key = Key::new(answers, asked.terms, known, places);
        let mut told = 0;
        for answer in answers.iter().filter(says) {
            let meaning = &meanings[answer.said() as usize - 1];
            for (rule, look) in key.looks(answer, meaning).into_iter().enumerate() {
                let Some((seen, broken)) = look else { continue };
                self.judged[rule] += 1;
                self.broken += u64::from(broken);
                if broken && told < asked.most {
                    let said = answer.row;
                    self.first.push((name, Broken { rule, said, seen }));
                    told += 1;
                }
            }
        }
        if told > 0 {
            self.keep(asked.most);
        }
    }

    /// Keeps so many broken statements.
    fn keep(&mut self, most: usize) {
        self.first.sort_by_key(|(name, _)| *name);
        self.first.truncate(most);
    }
}

/// Requests of a key before a place, and after it.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Number before it that may have used up the quota.
    used: u32,
    /// Number before it that were admitted.
    admitted: u32,
    /// Of those from it on that were admitted, the place of the one that was answered first.
    next_admitted: u32,
    /// The same of those that were rejected.
    next_rejected: u32,
}

/// No place.
const NONE: u32 = u32::MAX;

/// The requests of a key, to look up; it is rebuilt for the next key in the room that it has.
#[derive(Debug, Default)]
struct Places {
    /// One more than there are requests.
    all: Vec<Place>,
    used_ends: Vec<i64>,
    admitted_ends: Vec<i64>,
}

impl Places {
    /// Takes the requests of a key, by sending time.
    fn rebuild(&mut self, all: &[Request], terms: Terms) {
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
                if answer.kind() != Kind::Unknown {
                    self.used_ends.push(answer.end);
                }
            }
            if answer.kind() == Kind::Admitted {
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
            match answer.kind() {
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

/// The row of an answer that put a statement to the test, and whether it contradicts it.
type Look = Option<(u32, bool)>;

/// The requests of a key by sending time, and where in them the last searches ended.
struct Key<'a> {
    all: &'a [Request],
    terms: Terms,
    known: Option<i64>,
    places: &'a Places,
    answered: Cursor,
    waited: Cursor,
    until: Cursor,
    gone: Cursor,
    over: Cursor,
}

impl<'a> Key<'a> {
    fn new(all: &'a [Request], terms: Terms, known: Option<i64>, places: &'a Places) -> Self {
        Self {
            all,
            terms,
            known,
            places,
            answered: Cursor::default(),
            waited: Cursor::default(),
            until: Cursor::default(),
            gone: Cursor::default(),
            over: Cursor::default(),
        }
    }

    /// The outcome of each statement, by rule.
    fn looks(&mut self, answer: &Request, said: &Meaning) -> [Look; 4] {
        let after = (self.answered).seek(self.all, |other| other.sent <= answer.end);
        let after = self.places.all[after];
        let complete = self.known.is_none_or(|known| answer.sent >= known);
        let rejected = answer.kind() == Kind::Rejected;
        let remaining = said.remaining;
        [
            (said.waited.filter(|_| rejected && complete))
                .and_then(|wait| self.too_short(answer, wait)),
            (said.waiting.filter(|_| rejected)).and_then(|wait| self.too_long(answer, wait, after)),
            (remaining.filter(|&remaining| remaining != 0 && complete))
                .and_then(|remaining| self.too_high(answer, remaining, after)),
            (remaining
                .zip(said.resetting)
                .filter(|_| self.terms.hard_reset))
            .and_then(|(remaining, reset)| self.too_low(answer, remaining, reset, after)),
        ]
    }

    /// Number of others that may have used up the quota after the answer was decided.
    fn since(&mut self, answer: &Request, until: i64) -> i64 {
        let sent = self.until.seek(self.all, |other| other.sent <= until);
        let gone = (self.gone).seek(&self.places.used_ends, |&end| end < answer.sent);
        let sent = i64::from(self.places.all[sent].used);
        sent - gone as i64 - i64::from(self.terms.uses(answer))
    }

    fn too_short(&mut self, answer: &Request, wait: i64) -> Look {
        let waited = answer.end + wait;
        let seen = self.waited.seek(self.all, |other| other.sent < waited);
        let seen = self.all.get(seen)?;
        if seen.kind() == Kind::Unknown
            || self.since(answer, seen.end) > i64::from(self.terms.uses(seen))
        {
            return None;
        }
        Some((seen.row, seen.kind() == Kind::Rejected))
    }

    fn too_long(&self, answer: &Request, wait: i64, after: Place) -> Look {
        let over = answer.sent + wait;
        let before = |next| self.at(next).filter(|next| next.end < over);
        match (before(after.next_admitted), before(after.next_rejected)) {
            (Some(passed), _) => Some((passed.row, true)),
            (None, denied) => denied.map(|denied| (denied.row, false)),
        }
    }

    fn too_high(&mut self, answer: &Request, remaining: i64, after: Place) -> Look {
        if let Some(denied) = self.at(after.next_rejected) {
            let own = i64::from(self.terms.denied_count);
            if self.since(answer, denied.end) - own < remaining {
                return Some((denied.row, true));
            }
        }
        self.at(after.next_admitted)
            .map(|passed| (passed.row, false))
    }

    fn too_low(&mut self, answer: &Request, remaining: i64, reset: i64, after: Place) -> Look {
        let over = answer.sent + reset;
        let ended = self
            .over
            .seek(&self.places.admitted_ends, |&end| end < over);
        let passed = ended as i64 - i64::from(after.admitted);
        if passed <= 0 {
            return None;
        }
        let first = self.at(after.next_admitted)?;
        Some((first.row, passed > remaining))
    }

    fn at(&self, place: u32) -> Option<&'a Request> {
        self.all.get(place as usize)
    }
}
