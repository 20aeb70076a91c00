//! How a request gets a connection, and how long it is waited for.

use std::cmp::Reverse;
use std::io;
use std::sync::atomic::Ordering;

use mio::{Interest, Token};

use crate::clock::monotonic_ns;
use crate::exchange::{PIECES, kind_of};
use crate::lane::{NONE, Stage};
use crate::outcome::ErrorKind;
use crate::pool::{Flight, Phase, connect};
use crate::rows::NULL;
use crate::stream::{Stream, StreamError};
use crate::worker::Worker;

impl Worker {
    /// Begins the next request of a lane, or queues it for a connection.
    pub(crate) fn begin(&mut self, lane: u32, elapsed_ns: i64) {
        let owner = &mut self.lanes[lane as usize];
        let own = owner.connection;
        if own == NONE && !self.pool.can_serve() {
            owner.stage = Stage::Queued;
            self.queue.push_back(lane);
            return;
        }
        owner.stage = Stage::Busy;
        let own_lag_ns = elapsed_ns - owner.ready_ns();
        let intended_ns = owner.intended_ns();
        let drips = owner.send.over_ns > 0;
        self.audit.own_lag.add(own_lag_ns);
        self.audit.late += u64::from(own_lag_ns > self.shared.settings.tolerance_ns);
        let begun_ns = monotonic_ns();
        let flight = Flight {
            sequence: self.shared.sequences.fetch_add(1, Ordering::Relaxed),
            intended_ns: self.monotonic_of(intended_ns),
            begun_ns,
            sent_ns: begun_ns,
            received_ns: NULL,
            written: 0,
            pieces: if drips { 0 } else { PIECES },
        };
        if own == NONE && self.pool.has_room() {
            self.connect(lane, 0, flight);
            return;
        }
        let place = if own == NONE {
            self.take_idle(lane)
        } else {
            own
        };
        self.pool.wake(place);
        let connection = self.pool.at(place);
        connection.phase = Phase::Writing;
        connection.flight = flight;
        connection.parser.begin(self.shared.settings.bodiless);
        self.expect_by(place, begun_ns + self.shared.settings.timeout_ns);
        self.write_request(place);
    }

    /// Hands the connection that has been idle for the longest time to a lane.
    fn take_idle(&mut self, lane: u32) -> u32 {
        let place = self.pool.longest_idle();
        let connection = self.pool.at(place);
        self.lanes[connection.lane as usize].connection = NONE;
        connection.lane = lane;
        self.lanes[lane as usize].connection = place;
        place
    }

    /// Connects a lane to the first address from the `tried`-th on that can be tried at all.
    fn connect(&mut self, lane: u32, tried: usize, flight: Flight) {
        let mut failure = ErrorKind::Other;
        for tried in tried..self.shared.settings.addresses.len() {
            match self.open(lane, tried, flight) {
                Ok(place) => {
                    let settings = &self.shared.settings;
                    let patience_ns = settings.timeout_ns.min(settings.connect_timeout_ns);
                    self.expect_by(place, flight.begun_ns + patience_ns);
                    return;
                }
                Err(error) => failure = kind_of(&error),
            }
        }
        self.record(lane, &flight, 0, None, failure, monotonic_ns());
    }

    fn open(&mut self, lane: u32, tried: usize, flight: Flight) -> Result<u32, StreamError> {
        let settings = &self.shared.settings;
        let address = (self.address + tried) % settings.addresses.len();
        let socket = connect(settings.addresses[address])?;
        let mut stream = match &settings.tls {
            None => Stream::plain(socket),
            Some((config, name)) => Stream::tls(socket, config, name.clone())?,
        };
        self.poll.registry().register(
            stream.socket(),
            Token(self.pool.next_place() as usize),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        let number = self.shared.connections.fetch_add(1, Ordering::Relaxed);
        let place = self.pool.open(stream, number, lane, tried, flight);
        self.pool.at(place).parser.begin(settings.bodiless);
        self.lanes[lane as usize].connection = place;
        Ok(place)
    }

    /// The socket is connected or failed, or TLS got on.
    pub(crate) fn on_connected(&mut self, place: u32) {
        let connection = self.pool.at(place);
        let socket = connection.stream.socket();
        let failure = match (socket.take_error(), socket.peer_addr()) {
            (Ok(None), Ok(_)) => None,
            (Ok(None), Err(error)) if error.kind() == io::ErrorKind::NotConnected => return,
            (Ok(Some(error)) | Err(error), _) | (_, Err(error)) => Some(error),
        };
        if let Some(error) = failure {
            let (lane, tried, flight) = (connection.lane, connection.tried, connection.flight);
            if tried + 1 == self.shared.settings.addresses.len() {
                return self.finish(place, ErrorKind::of(&error), monotonic_ns());
            }
            self.forget(place);
            return self.connect(lane, tried + 1, flight);
        }
        match connection.stream.advance() {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return self.finish(place, kind_of(&error), monotonic_ns()),
        }
        connection.phase = Phase::Writing;
        let deadline_ns = connection.flight.begun_ns + self.shared.settings.timeout_ns;
        self.address = (self.address + connection.tried) % self.shared.settings.addresses.len();
        self.expect_by(place, deadline_ns);
        self.write_request(place);
    }

    /// Gives a request up at a monotonic instant, unless it is over by then.
    fn expect_by(&mut self, place: u32, deadline_ns: i64) {
        self.pool.at(place).deadline_ns = deadline_ns;
        if self.pool.watch(place, deadline_ns) {
            self.deadlines.push(Reverse((deadline_ns, place)));
        }
    }

    /// Gives up the requests whose time is over.
    pub(crate) fn give_up(&mut self, now_ns: i64) {
        while let Some(&Reverse((watched_ns, place))) = self.deadlines.peek() {
            if watched_ns > now_ns {
                return;
            }
            self.deadlines.pop();
            if !self.pool.unwatch(place, watched_ns) {
                continue;
            }
            let Some(connection) = self.pool.get(place) else {
                continue;
            };
            match connection.deadline_ns {
                i64::MAX => {}
                deadline_ns if deadline_ns <= now_ns => {
                    self.finish(place, ErrorKind::Timeout, monotonic_ns())
                }
                deadline_ns => self.expect_by(place, deadline_ns),
            }
        }
    }
}
