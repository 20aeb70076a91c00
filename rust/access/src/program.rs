//! A format as steps over a line.

use memchr::memchr;

use crate::instant::{Read, clf, decimal, has_zone, iso, only_clock, only_day};
use crate::json::Tree;

/// A year: a longer duration is none of a request.
const LONGEST: i64 = 366 * 86_400 * 1_000_000_000;
/// Times that the literal before a stamp may stand in the field before it.
const RETRIES: usize = 8;

/// The meaning of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any bytes.
    Text,
    /// Any bytes, and blanks in a list, as nginx writes those of several upstreams or proxies.
    List,
    /// A whole number, or `-`.
    Number,
    /// Three digits of HTTP; `-`, `0` and the like are no answer.
    Status,
    /// A stamp such as `10/Oct/2000:13:55:36 -0700`.
    Clf,
    /// A stamp such as `2000-10-10T13:55:36Z`.
    Iso,
    /// A day such as `2000-10-10`, a part of a stamp.
    Day,
    /// A time of the day such as `13:55:36`, a part of a stamp.
    Clock,
    /// A stamp in units of so many nanoseconds since 1970.
    Epoch(i64),
    /// Any of these stamps, as it looks; a number is of units of so many nanoseconds since 1970.
    Instant(i64),
    /// Another stamp of ISO 8601: that of the request's beginning, beside one of its end.
    Began,
    /// The time that the request took, in units of so many nanoseconds; `-` where it is not known.
    Duration(i64),
}

/// A field, and the literal that ends it; an empty one is the end of the line.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its meaning.
    pub kind: Kind,
    /// The literal that follows it.
    pub until: Vec<u8>,
}

/// A format: what a line begins with, and its fields.
#[derive(Clone, Debug)]
pub struct Program {
    /// The beginning of every line.
    pub prefix: Vec<u8>,
    /// Fields in order.
    pub steps: Vec<Step>,
    /// True if more may follow the last literal.
    pub open: bool,
    /// True if a quote in a field has a backslash before it.
    pub escaped: bool,
    /// Places of the fields, if a line is a JSON object.
    pub tree: Option<Tree>,
}

/// The numbers of a line; its fields are spans of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub stamp: Option<Read>,
    pub began: Option<Read>,
    pub duration: Option<Read>,
    pub status: Option<i64>,
    /// True if a stamp is a local time without its zone.
    pub local: bool,
}

/// The last stamp, which most often is that of the next line too.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    text: Vec<u8>,
    read: Option<Read>,
}

impl Memory {
    fn clf(&mut self, text: &[u8]) -> Option<Read> {
        if self.text != text {
            self.read = clf(text);
            self.text.clear();
            self.text.extend_from_slice(text);
        }
        self.read
    }
}

impl Program {
    /// True if half of a line's last field may be taken for the whole of it, and tells something.
    pub(crate) fn hides_a_cut(&self) -> bool {
        let last = self.steps.last().filter(|_| self.tree.is_none());
        last.is_some_and(|step| {
            step.until.is_empty() && !matches!(step.kind, Kind::Number | Kind::Status)
        })
    }

    /// Reads a line: the span of each field, and what the fields tell; None if it is another format's.
    pub(crate) fn read(
        &self,
        line: &[u8],
        spans: &mut Vec<(usize, usize)>,
        memory: &mut Memory,
    ) -> Option<Told> {
        spans.clear();
        if let Some(tree) = &self.tree {
            return self.read_object(tree, line, spans, memory);
        }
        if !line.starts_with(&self.prefix) {
            return None;
        }
        let (mut at, mut told, mut retries) = (self.prefix.len(), Told::default(), RETRIES);
        let mut number = 0;
        while let Some(step) = self.steps.get(number) {
            let end = at + step.length(&line[at..], self.escaped)?;
            if told.take(step.kind, &line[at..end], memory).is_some() {
                spans.push((at, end));
                at = end + step.until.len();
                number += 1;
                continue;
            }
            // What ends the field before may also stand in it, as " [" may in the name of a user.
            let before = self.steps.get(number.checked_sub(1)?)?;
            retries = retries.checked_sub(1)?;
            let last = spans.last_mut().filter(|_| before.kind == Kind::Text)?;
            let from = last.1 + 1;
            last.1 = from + before.length(&line[from..], self.escaped)?;
            at = last.1 + before.until.len();
        }
        (self.open || at == line.len()).then_some(told)
    }

    fn read_object(
        &self,
        tree: &Tree,
        line: &[u8],
        spans: &mut Vec<(usize, usize)>,
        memory: &mut Memory,
    ) -> Option<Told> {
        spans.resize(self.steps.len(), (0, 0));
        tree.spans(line, spans).then_some(())?;
        let mut told = Told::default();
        for (step, &(from, to)) in self.steps.iter().zip(spans.iter()) {
            told.take(step.kind, &line[from..to], memory)?;
        }
        Some(told)
    }
}

impl Step {
    /// Measures the field that this begins with.
    fn length(&self, rest: &[u8], escaped: bool) -> Option<usize> {
        let Some(&first) = self.until.first() else {
            return Some(rest.len());
        };
        let mut from = 0;
        loop {
            let at = from + memchr(first, &rest[from..])?;
            if self.ends(&rest[at..]) && !self.goes_on(rest, at, escaped) {
                return Some(at);
            }
            from = at + 1;
        }
    }

    /// True if the literal, whose first byte is here, is here; literals are too short for `memcmp`.
    #[inline]
    fn ends(&self, rest: &[u8]) -> bool {
        let more = &self.until[1..];
        more.len() < rest.len() && more.iter().zip(&rest[1..]).all(|(one, other)| one == other)
    }

    /// True if the literal at this place belongs to the field: an escaped quote, or the blank in a
    /// list (`a, b : c`).
    fn goes_on(&self, rest: &[u8], at: usize, escaped: bool) -> bool {
        match rest[at] {
            b'"' if escaped => {
                let slashes = rest[..at].iter().rev().take_while(|&&byte| byte == b'\\');
                slashes.count() % 2 == 1
            }
            b' ' if self.kind == Kind::List => {
                let before = &rest[..at];
                before.ends_with(b",") || before.ends_with(b" :") || rest[at..].starts_with(b" : ")
            }
            _ => false,
        }
    }
}

impl Told {
    /// Notes what a field tells; None if it cannot be such a field.
    fn take(&mut self, kind: Kind, text: &[u8], memory: &mut Memory) -> Option<()> {
        match kind {
            Kind::Text | Kind::List => {}
            Kind::Number => {
                let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
                (digits || text == b"-").then_some(())?;
            }
            Kind::Status => self.take_status(text)?,
            Kind::Clf => {
                self.stamp = Some(memory.clf(text)?);
                self.local |= !has_zone(text);
            }
            Kind::Iso => {
                self.stamp = Some(iso(text)?);
                self.local |= !has_zone(text);
            }
            Kind::Epoch(unit) => self.stamp = Some(decimal(text, unit)?),
            Kind::Instant(unit) => {
                let kind = match text {
                    [_, _, b'/', ..] => Kind::Clf,
                    [_, _, _, _, b'-', ..] => Kind::Iso,
                    _ => Kind::Epoch(unit),
                };
                return self.take(kind, text, memory);
            }
            Kind::Began => self.began = Some(iso(text)?),
            Kind::Day => self.add(only_day(text)?),
            Kind::Clock => self.add(only_clock(text)?),
            Kind::Duration(unit) => match text {
                b"-" | b"-1" | b"" => {}
                _ => self.duration = Some(decimal(text, unit).filter(|read| read.ns < LONGEST)?),
            },
        }
        Some(())
    }

    /// A status, or that no answer was sent.
    fn take_status(&mut self, text: &[u8]) -> Option<()> {
        self.status = match text {
            [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => {
                let digits = text.iter().map(|digit| i64::from(digit - b'0'));
                Some(digits.fold(0, |status, digit| status * 10 + digit))
            }
            b"-" | b"-1" | b"0" | b"000" => None,
            _ => return None,
        };
        Some(())
    }

    /// A part of a stamp: its day or its time of the day.
    fn add(&mut self, part: Read) {
        let known = self.stamp.unwrap_or(Read { ns: 0, step: 0 });
        self.stamp = Some(Read {
            ns: known.ns + part.ns,
            step: known.step.max(part.step),
        });
    }
}
