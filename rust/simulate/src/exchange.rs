//! One request and its answer on a connection: begun, written, read, recorded.

use std::io;

use mio::event::Event;

use crate::clock::monotonic_ns;
use crate::http::{Fault, Reply};
use crate::identity::IDENTITY_BYTES;
use crate::lane::NONE;
use crate::outcome::{ErrorKind, Outcome};
use crate::pool::{Flight, Phase};
use crate::program::Heard;
use crate::rows::{NULL, Row};
use crate::stream::StreamError;
use crate::worker::Worker;

/// A dripping request is written in so many pieces, its header section's last byte in the last.
pub(crate) const PIECES: usize = 16;
const MOST_RETRY_AFTER_S: f64 = 1e9;

impl Worker {
    /// Take an event of the queue for a connection.
    pub(crate) fn on_ready(&mut self, place: u32, event: &Event) {
        let Some(connection) = self.pool.get(place) else {
            return;
        };
        // Told once: an answer that came with the end does not make the connection reusable.
        connection.spent |= event.is_read_closed();
        match connection.phase {
            Phase::Connecting => self.on_connected(place),
            Phase::Writing if event.is_writable() => self.write_request(place),
            _ => {}
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read_answer(place);
        }
    }

    /// Writes what may be written for now, and waits for the answer after the last byte.
    pub(crate) fn write_request(&mut self, place: u32) {
        let lane = self.pool.at(place).lane;
        if self.pool.at(place).flight.pieces == 0 {
            self.put_down_piece(place);
        }
        let settings = &self.shared.settings;
        let before = settings.before.len();
        let mut head_bytes = settings.head_bytes;
        let owner = &mut self.lanes[lane as usize];
        let drips = owner.send.over_ns > 0;
        if let Some(tokens) = &settings.tokens {
            let token = tokens.value(owner.client, owner.send.alias);
            self.request.truncate(before);
            self.request.extend_from_slice(token);
            self.request.extend_from_slice(&settings.after);
            if before < head_bytes {
                head_bytes = head_bytes - IDENTITY_BYTES + token.len();
            }
        } else {
            let identity = owner.identity(&settings.namespace);
            self.request[before..before + IDENTITY_BYTES].copy_from_slice(&identity);
        }
        let connection = self.pool.at(place);
        let end = match connection.flight.pieces {
            PIECES.. => self.request.len(),
            pieces => (head_bytes - 1) * pieces / PIECES,
        };
        let stamped = if drips { head_bytes } else { 1 };
        while connection.flight.written < end {
            let written = connection.flight.written;
            if written < stamped {
                connection.flight.sent_ns = monotonic_ns();
            }
            match connection.stream.write(&self.request[written..end]) {
                Ok(0) => return self.finish(place, ErrorKind::Closed, monotonic_ns()),
                Ok(count) => connection.flight.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.fail(place, error),
            }
        }
        match connection.stream.advance() {
            Ok(true) if end == self.request.len() => connection.phase = Phase::Reading,
            Ok(_) => {}
            Err(error) => self.finish(place, kind_of(&error), monotonic_ns()),
        }
    }

    /// The next piece of a dripping request is due.
    pub(crate) fn drip(&mut self, lane: u32) {
        let place = self.lanes[lane as usize].connection;
        // A server may answer half a request: then no byte of it is the one that it waited for.
        self.read_answer(place);
        if self
            .pool
            .get(place)
            .is_some_and(|connection| connection.phase == Phase::Writing)
        {
            self.put_down_piece(place);
            self.write_request(place);
        }
    }

    /// Lets another piece of a request be written, and puts the lane down for the one after it.
    fn put_down_piece(&mut self, place: u32) {
        let now_ns = monotonic_ns();
        let connection = self.pool.at(place);
        connection.flight.pieces += 1;
        let (lane, pieces) = (connection.lane, connection.flight.pieces);
        if pieces < PIECES {
            let apart_ns = self.lanes[lane as usize].send.over_ns / (PIECES as i64 - 1);
            let due_ns = now_ns.saturating_add(apart_ns);
            self.drips.put(&mut self.lanes, lane, due_ns);
        }
    }

    pub(crate) fn read_answer(&mut self, place: u32) {
        loop {
            let Some(connection) = self.pool.get(place) else {
                return;
            };
            if connection.phase == Phase::Connecting {
                return;
            }
            let count = match connection.stream.read(&mut self.buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return self.fail(place, error),
            };
            let now_ns = monotonic_ns();
            if connection.phase == Phase::Idle {
                return self.forget(place);
            }
            if count == 0 {
                let error = connection.parser.end().err().map_or(ErrorKind::None, fault);
                return self.finish(place, error, now_ns);
            }
            let statuses = connection.parser.statuses();
            let fed = connection.parser.feed(&self.buffer[..count]);
            if connection.parser.statuses() != statuses {
                connection.flight.received_ns = now_ns;
            }
            match fed {
                Ok(false) => {} // an end behind these bytes has no edge of its own
                Ok(true) => {
                    // What filled the buffer may not be all: the rest would pass for the next answer.
                    connection.spent |= count == self.buffer.len();
                    return self.finish(place, ErrorKind::None, now_ns);
                }
                Err(broken) => return self.finish(place, fault(broken), now_ns),
            }
        }
    }

    /// Closes a connection without a word in the log: nothing was in flight on it.
    pub(crate) fn forget(&mut self, place: u32) {
        let lane = self.pool.at(place).lane;
        self.lanes[lane as usize].connection = NONE;
        self.pool.close(place, monotonic_ns());
    }

    /// The socket failed.
    pub(crate) fn fail(&mut self, place: u32, error: io::Error) {
        if self.pool.at(place).phase == Phase::Idle {
            return self.forget(place);
        }
        self.finish(place, kind_of(&StreamError::from(error)), monotonic_ns());
    }

    /// A request has its answer or never will: the connection is kept or closed, the lane goes on.
    pub(crate) fn finish(&mut self, place: u32, error: ErrorKind, done_ns: i64) {
        let lane = self.pool.at(place).lane;
        let request_bytes = self.request_bytes(lane);
        let connection = self.pool.at(place);
        let (number, mut flight) = (connection.number, connection.flight);
        let reply = connection.parser.reply().copied();
        let whole = flight.written >= request_bytes;
        if !whole {
            // An answer to half a request: only the first byte's instant bounds it.
            flight.sent_ns = flight.begun_ns;
        }
        if error == ErrorKind::None && whole && !connection.spent && connection.parser.reusable() {
            self.pool.idle(place, done_ns);
        } else {
            self.forget(place);
        }
        self.record(lane, &flight, number, reply, error, done_ns);
    }

    /// Length of the whole request of a lane.
    fn request_bytes(&self, lane: u32) -> usize {
        let (settings, owner) = (&self.shared.settings, &self.lanes[lane as usize]);
        let tokens = settings.tokens.as_ref();
        let identity = tokens.map_or(IDENTITY_BYTES, |tokens| {
            tokens.value(owner.client, owner.send.alias).len()
        });
        settings.before.len() + identity + settings.after.len()
    }

    /// Writes the row of a request that is over, and tells its lane.
    pub(crate) fn record(
        &mut self,
        lane: u32,
        flight: &Flight,
        connection: i64,
        reply: Option<Reply>,
        error: ErrorKind,
        done_ns: i64,
    ) {
        let owner = &self.lanes[lane as usize];
        let rejected = &self.shared.settings.rejected_statuses;
        let row = Row {
            sequence: flight.sequence,
            client: owner.client,
            alias: owner.send.alias,
            attempt: owner.send.attempt,
            worker: self.number as u32,
            connection,
            intended_ns: flight.intended_ns,
            sent_ns: flight.sent_ns,
            received_ns: reply.map_or(NULL, |_| flight.received_ns),
            done_ns,
            status: reply.map_or(NULL, |reply| i64::from(reply.status)),
            bytes: reply.map_or(0, |reply| reply.bytes as i64),
            retry_after_s: reply.map_or(f64::NAN, |reply| reply.retry_after_s),
            ratelimit_remaining: reply.map_or(NULL, |reply| reply.ratelimit_remaining),
            ratelimit_reset_s: reply.map_or(f64::NAN, |reply| reply.ratelimit_reset_s),
            outcome: reply.map_or(Outcome::Unknown, |reply| {
                Outcome::of(reply.status, rejected)
            }),
            error,
        };
        self.audit
            .lag
            .add(row.sent_ns - owner.send.over_ns - row.intended_ns);
        self.audit.unsent += u64::from(error == ErrorKind::Local);
        self.recorder.push(row);
        let asked_ns = row.retry_after_s.clamp(0.0, MOST_RETRY_AFTER_S) * 1e9;
        let origin_ns = owner.origin_ns;
        let elapsed_ns = self.elapsed_ns(done_ns);
        let heard = Heard {
            done_ns: elapsed_ns - origin_ns,
            outcome: row.outcome,
            retry_after_ns: (!asked_ns.is_nan()).then(|| asked_ns.round_ties_even() as i64),
        };
        // A failure does not call itself: a server that is gone fails at once, again and again.
        self.go_on(lane, &heard, elapsed_ns, error == ErrorKind::None);
    }
}

pub(crate) fn kind_of(error: &StreamError) -> ErrorKind {
    match error {
        StreamError::Tls(_) => ErrorKind::Tls,
        StreamError::Socket(error) => ErrorKind::of(error),
    }
}

fn fault(fault: Fault) -> ErrorKind {
    match fault {
        Fault::Protocol => ErrorKind::Protocol,
        Fault::Closed => ErrorKind::Closed,
        Fault::Oversized => ErrorKind::Oversized,
    }
}
