//! The rows of a log by key: a counting sort of two passes.

use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::large_pages;
use crate::seen::{Kind, NEVER, Name, Request, Row, TIME_LIMIT};

/// Logs of so many rows are not grouped.
pub const MOST_ROWS: usize = 1 << 30;

/// Rows that a thread takes at a time.
const ROWS: usize = 1 << 16;

/// The end of a request that is not known to have ended, before times are counted from the earliest.
const NO_END: i64 = i64::MIN;

/// The first pass: how many rows each key has.
pub struct Counting {
    of_code: Vec<u32>,
    order: Vec<usize>,
    digests: Vec<u64>,
}

impl Counting {
    /// For keys with these digests, by code.
    #[must_use]
    pub fn new(digests: Vec<u64>) -> Self {
        Self {
            of_code: vec![0; digests.len()],
            order: Vec::new(),
            digests,
        }
    }

    /// Counts one row; false where its key has no such code.
    pub fn count(&mut self, key: usize) -> bool {
        let Some(count) = self.of_code.get_mut(key) else {
            return false;
        };
        if *count == 0 {
            self.order.push(key);
        }
        *count += 1;
        true
    }

    /// Makes room for the rows, fewer than `MOST_ROWS`.
    #[must_use]
    pub fn room(self) -> Placing {
        let mut next = self.of_code;
        let mut ends = Vec::with_capacity(self.order.len());
        let mut at = 0;
        for &code in &self.order {
            at += std::mem::replace(&mut next[code], at);
            ends.push(at as usize);
        }
        Placing {
            next,
            placed: 0,
            earliest_ns: i64::MAX,
            latest_ns: i64::MIN,
            longest_ns: None,
            backwards: false,
            groups: Groups {
                names: (self.order.into_iter())
                    .map(|code| Name {
                        digest: self.digests[code],
                        code,
                    })
                    .collect(),
                ends,
                requests: large_pages::room(at as usize),
                settled: false,
                total: [0; 3],
                first_ns: 0,
                longest_ns: None,
            },
        }
    }
}

/// The second pass: each row goes to its place.
pub struct Placing {
    next: Vec<u32>,
    placed: u32,
    earliest_ns: i64,
    latest_ns: i64,
    longest_ns: Option<i64>,
    backwards: bool,
    groups: Groups,
}

impl Placing {
    /// Places the next row: those that were counted, in the same order. `said` is the number of
    /// what its answer says, see `Sayings`.
    #[inline]
    pub fn place(&mut self, row: &Row, said: u32) {
        let at = &mut self.next[row.key];
        let end_ns = row.end_ns.unwrap_or(NO_END);
        self.groups.requests[*at as usize] =
            Request::new(row.sent_ns, end_ns, self.placed, row.kind, said);
        *at += 1;
        self.placed += 1;
        self.groups.total[row.kind as usize] += 1;
        let ended_ns = row.end_ns.unwrap_or(row.sent_ns);
        self.earliest_ns = self.earliest_ns.min(row.sent_ns).min(ended_ns);
        self.latest_ns = self.latest_ns.max(row.sent_ns).max(ended_ns);
        if row.kind != Kind::Unknown {
            let took_ns = ended_ns.saturating_sub(row.sent_ns);
            self.backwards |= row.end_ns.is_none() || took_ns < 0;
            self.longest_ns = self.longest_ns.max(Some(took_ns));
        }
    }

    /// The log by key; None where times are too far apart, or an answer precedes its request.
    #[must_use]
    pub fn groups(self) -> Option<Groups> {
        let span_ns = i128::from(self.latest_ns) - i128::from(self.earliest_ns);
        if self.backwards || span_ns >= i128::from(TIME_LIMIT) {
            return None;
        }
        let lost = self.groups.total[Kind::Unknown as usize] > 0;
        Some(Groups {
            first_ns: self.earliest_ns,
            longest_ns: self.longest_ns.filter(|_| !lost),
            ..self.groups
        })
    }
}

/// A log by key, in the order in which the keys appeared.
pub struct Groups {
    names: Vec<Name>,
    ends: Vec<usize>,
    requests: Vec<Request>,
    /// True once times are counted from the earliest, and each key's requests are in order.
    settled: bool,
    total: [usize; 3],
    /// The earliest instant, from which times are counted here.
    pub first_ns: i64,
    /// The longest way from sending to answer; None where an answer was lost.
    pub(crate) longest_ns: Option<i64>,
}

impl Groups {
    /// Number of keys.
    pub fn keys(&self) -> usize {
        self.names.len()
    }

    /// Number of rows of a kind.
    pub fn total(&self, kind: Kind) -> usize {
        self.total[kind as usize]
    }

    /// The longest way from sending to answer in ns; None where an answer was lost.
    pub fn longest_ns(&self) -> Option<i64> {
        self.longest_ns
    }

    /// Shows every key, on at most so many threads: its name and its requests by sending time.
    /// Each thread has a viewer of its own.
    pub(crate) fn each_key<V: Send>(
        &mut self,
        threads: usize,
        viewer: impl Fn() -> V + Sync,
        show: impl Fn(&mut V, Name, &[Request]) + Sync,
    ) -> Vec<V> {
        let origin = (!self.settled).then_some(self.first_ns);
        let chunks = self.chunks();
        let threads = threads.min(chunks.len());
        let chunks = Mutex::new(chunks.into_iter());
        let work = || {
            let mut viewer = viewer();
            loop {
                let next = chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(chunk) = next else { return viewer };
                let mut rest = chunk.requests;
                let mut begin = chunk.begin;
                for (&name, &end) in chunk.names.iter().zip(chunk.ends) {
                    let (requests, behind) = rest.split_at_mut(end - begin);
                    (rest, begin) = (behind, end);
                    if let Some(first_ns) = origin {
                        settle(requests, first_ns);
                    }
                    show(&mut viewer, name, requests);
                }
            }
        };
        let viewers = thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut viewers = vec![work()];
            viewers.extend(
                (others.into_iter()).map(|other| other.join().expect("looking does not panic")),
            );
            viewers
        });
        self.settled = true;
        viewers
    }

    /// Cuts the log between keys into parts of `ROWS` rows or a little more.
    fn chunks(&mut self) -> Vec<Chunk<'_>> {
        let mut chunks = Vec::new();
        let mut rest = self.requests.as_mut_slice();
        let (mut first, mut begin) = (0, 0);
        for key in 0..self.names.len() {
            let held = self.ends[key] - begin;
            if held < ROWS && key + 1 < self.names.len() {
                continue;
            }
            let (requests, behind) = rest.split_at_mut(held);
            chunks.push(Chunk {
                begin,
                names: &self.names[first..=key],
                ends: &self.ends[first..=key],
                requests,
            });
            (rest, first, begin) = (behind, key + 1, self.ends[key]);
        }
        chunks
    }
}

/// The requests of some keys.
struct Chunk<'a> {
    /// Number of requests before it.
    begin: usize,
    names: &'a [Name],
    ends: &'a [usize],
    requests: &'a mut [Request],
}

/// Counts the times of a key's requests from an instant on, and puts them in order: by sending
/// time, unknown ones last of those that are equal, then by end and by row. Logs nearly always
/// have them so.
fn settle(requests: &mut [Request], first_ns: i64) {
    let mut last = i64::MIN;
    let mut in_order = true;
    for request in &mut *requests {
        request.sent -= first_ns;
        request.end = if request.end == NO_END {
            NEVER
        } else {
            request.end - first_ns
        };
        in_order &= request.sent > last;
        last = request.sent;
    }
    if !in_order {
        requests.sort_by_key(|request| {
            let unknown = request.kind() == Kind::Unknown;
            (request.sent, unknown, request.end, request.row)
        });
    }
}
