//! One row for every request, in buffers that a loop fills and its reader empties.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::outcome::{ErrorKind, Outcome};

/// No value, in a column of integers.
pub const NULL: i64 = i64::MIN;

/// Rows in a buffer: 200 KiB, which stays in the cache.
const ROWS: usize = 2_048;
/// A reader that lags gets this many rows at a time.
const MOST_AT_ONCE: usize = 1 << 16;
/// So many may wait for it in all: 250 MiB.
const MOST_WAITING: usize = 1 << 21;

/// One request as its client saw it; times are monotonic ns, `NULL` where there is none.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Number of the request in its run.
    pub sequence: i64,
    /// Number of the client.
    pub client: u32,
    /// Number of the client's identity that it carried.
    pub alias: u32,
    /// 0 for a first try, n for the n-th repetition.
    pub attempt: u32,
    /// Number of the event loop.
    pub worker: u32,
    /// Number of the connection in the run.
    pub connection: i64,
    /// Instant at which the schedule wanted it sent.
    pub intended_ns: i64,
    /// Before its first byte was written.
    pub sent_ns: i64,
    /// After all three digits of the final status had come.
    pub received_ns: i64,
    /// After the whole answer had been read, or was given up.
    pub done_ns: i64,
    /// `NULL` where no header section arrived.
    pub status: i64,
    /// Of the answer's body.
    pub bytes: i64,
    /// NaN where the server did not say.
    pub retry_after_s: f64,
    /// `r` of RateLimit.
    pub ratelimit_remaining: i64,
    /// `t` of RateLimit, NaN where there is none.
    pub ratelimit_reset_s: f64,
    /// The limiter's decision, as far as the answer shows it.
    pub outcome: Outcome,
    /// The fault.
    pub error: ErrorKind,
}

/// Rows of a loop: writing never blocks, and never loses one.
pub struct Recorder {
    rows: Vec<Row>,
    full: Sender<Vec<Row>>,
    waiting: Arc<AtomicUsize>,
}

impl Recorder {
    /// Adds a row, and passes the buffer on when it is full.
    pub fn push(&mut self, row: Row) {
        self.rows.push(row);
        if self.rows.len() == ROWS {
            self.flush();
        }
    }

    /// True if rows wait to be passed on.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// True if more rows wait for the reader than may: nothing is lost, but no more must come.
    pub fn overruns(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > MOST_WAITING
    }

    /// Passes on what there is.
    pub fn flush(&mut self) {
        if self.rows.is_empty() {
            return;
        }
        self.waiting.fetch_add(self.rows.len(), Ordering::Relaxed);
        // A reader that is gone wants no more rows.
        let next = Vec::with_capacity(ROWS);
        let _ = self.full.send(std::mem::replace(&mut self.rows, next));
    }
}

/// The other end of the recorders of a run.
pub struct Reader {
    waiting: Arc<AtomicUsize>,
    full: Receiver<Vec<Row>>,
}

/// The recorders of `loops` event loops, and their reader.
pub fn recorders(loops: usize) -> (Vec<Recorder>, Reader) {
    let (full, from_loops) = channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let recorders = (0..loops)
        .map(|_| Recorder {
            rows: Vec::with_capacity(ROWS),
            full: full.clone(),
            waiting: Arc::clone(&waiting),
        })
        .collect();
    let reader = Reader {
        waiting,
        full: from_loops,
    };
    (recorders, reader)
}

impl Reader {
    /// Rows in the order of each loop; empty when none came in time, `None` when all loops ended.
    pub fn read(&self, timeout: Duration) -> Option<Vec<Row>> {
        let mut rows = match self.full.recv_timeout(timeout) {
            Ok(rows) => rows,
            Err(RecvTimeoutError::Timeout) => return Some(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        while rows.len() < MOST_AT_ONCE {
            let Ok(mut more) = self.full.try_recv() else {
                break;
            };
            rows.append(&mut more);
        }
        self.waiting.fetch_sub(rows.len(), Ordering::Relaxed);
        Some(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(sequence: i64) -> Row {
        Row {
            sequence,
            client: (sequence % 3) as u32,
            alias: 0,
            attempt: 0,
            worker: 0,
            connection: 1,
            intended_ns: 0,
            sent_ns: 1,
            received_ns: NULL,
            done_ns: 2,
            status: NULL,
            bytes: 0,
            retry_after_s: f64::NAN,
            ratelimit_remaining: NULL,
            ratelimit_reset_s: f64::NAN,
            outcome: Outcome::Unknown,
            error: ErrorKind::Timeout,
        }
    }

    #[test]
    fn a_reader_that_lags_loses_nothing() {
        let (mut recorders, reader) = recorders(2);
        let each = 10 * ROWS as i64 + 7;
        for number in 0..each {
            recorders[0].push(row(2 * number));
            recorders[1].push(row(2 * number + 1));
        }
        recorders.iter_mut().for_each(Recorder::flush);
        drop(recorders);
        let mut seen = Vec::new();
        while let Some(rows) = reader.read(Duration::from_secs(1)) {
            seen.extend(rows.iter().map(|row| row.sequence));
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..2 * each).collect::<Vec<_>>());
    }
}
