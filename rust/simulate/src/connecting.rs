//! Connections for requests, and the wait for one.

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

/// A request that is later than this opens no connection where it can have one that idles: to
/// open one costs more time than to send, and a loop that is behind would fall back further.
const HURRY_NS: i64 = 200_000;

impl Worker {
    /// Begins the next request of a lane, or queues it for a connection.
    ///
    /// Bytes that came on its connection while nobody asked would pass for the answer: then, and where
    /// the peer has ended it, another is opened.
    pub(crate) fn begin(&mut self, lane: u32, elapsed_ns: i64) {
        let place = self.lanes[lane as usize].connection;
        if place != NONE && !self.is_silent(place) {
            self.forget(place);
        }
        self.begin_behind(lane, elapsed_ns);
    }

    /// The same right behind an answer, which was read to its end.
    pub(crate) fn begin_behind(&mut self, lane: u32, elapsed_ns: i64) {
        let owner = &mut self.lanes[lane as usize];
        let own = owner.connection;
        if own == NONE && !self.pool.can_serve() {
            owner.stage = Stage::Queued;
            owner.queued = true;
            self.queue.push_back(lane);
            return;
        }
        let sequence = self.shared.sequences.fetch_add(1, Ordering::Relaxed);
        if sequence >= self.shared.settings.max_requests {
            self.shared.control.stop();
            self.drop(lane, elapsed_ns);
            return;
        }
        owner.stage = Stage::Busy;
        let intended_ns = owner.intended_ns();
        let drips = owner.send.over_ns > 0;
        let (wait_ns, own_lag_ns) = self.delays(lane, elapsed_ns);
        let tolerance_ns = self.shared.settings.tolerance_ns;
        self.audit.own_late(own_lag_ns, tolerance_ns);
        self.audit.waits(wait_ns, tolerance_ns);
        let begun_ns = monotonic_ns();
        let flight = Flight {
            sequence,
            intended_ns: self.monotonic_of(intended_ns),
            begun_ns,
            sent_ns: begun_ns,
            received_ns: NULL,
            written: 0,
            pieces: if drips { 0 } else { PIECES },
        };
        let place = if own != NONE {
            own
        } else if self.pool.has_room() && !(own_lag_ns > HURRY_NS && self.has_spare()) {
            return self.connect(lane, self.address, 0, flight);
        } else {
            self.take_idle(lane)
        };
        self.pool.wake(place);
        let connection = self.pool.at(place);
        connection.phase = Phase::Writing;
        connection.flight = flight;
        connection.parser.begin(self.shared.settings.bodiless);
        self.expect_by(place, begun_ns + self.shared.settings.timeout_ns);
        self.write_request(place);
    }

    /// True if lanes share their connections, and one idles.
    fn has_spare(&self) -> bool {
        self.pool.is_scarce(self.lanes.len()) && self.pool.longest_idle() != NONE
    }

    /// True if nothing has come on a connection that idles.
    fn is_silent(&mut self, place: u32) -> bool {
        let read = self.pool.at(place).stream.read(&mut self.buffer);
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
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

    /// Connects a lane to one of the addresses from `first` on, of which it has `tried` some.
    fn connect(&mut self, lane: u32, first: usize, tried: usize, flight: Flight) {
        let mut failure = ErrorKind::Other;
        for tried in tried..self.shared.settings.addresses.len() {
            match self.open(lane, (first, tried), flight) {
                Ok(place) => {
                    let settings = &self.shared.settings;
                    let connected_ns = monotonic_ns() + settings.connect_timeout_ns;
                    let over_ns = flight.begun_ns + settings.timeout_ns;
                    self.expect_by(place, connected_ns.min(over_ns));
                    return;
                }
                Err(error) => failure = kind_of(&error),
            }
        }
        self.record(lane, &flight, 0, None, failure, monotonic_ns());
    }

    fn open(
        &mut self,
        lane: u32,
        (first, tried): (usize, usize),
        flight: Flight,
    ) -> Result<u32, StreamError> {
        let settings = &self.shared.settings;
        let address = (first + tried) % settings.addresses.len();
        let socket = connect(settings.addresses[address])?;
        let mut stream = match &settings.tls {
            None => Stream::Plain(socket),
            Some((config, name)) => Stream::tls(socket, config, name.clone())?,
        };
        self.poll.registry().register(
            stream.socket(),
            Token(self.pool.next_place() as usize),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        let number = self.shared.connections.fetch_add(1, Ordering::Relaxed);
        let place = self.pool.open(stream, number, lane, (first, tried), flight);
        self.pool.at(place).parser.begin(settings.bodiless);
        let owner = &mut self.lanes[lane as usize];
        owner.connection = place;
        self.audit.reconnects += u64::from(tried == 0 && owner.connected);
        owner.connected = true;
        Ok(place)
    }

    /// The socket is connected or failed, or TLS got on.
    pub(crate) fn on_connected(&mut self, place: u32) {
        let connection = self.pool.at(place);
        let socket = connection.stream.socket();
        let failure = match (socket.take_error(), socket.peer_addr()) {
            // Where nobody listens on a port that is handed out, TCP may connect it to itself.
            (Ok(None), Ok(peer)) if socket.local_addr().is_ok_and(|own| own == peer) => {
                Some(io::Error::from(io::ErrorKind::ConnectionRefused))
            }
            (Ok(None), Ok(_)) => None,
            (Ok(None), Err(error)) if error.kind() == io::ErrorKind::NotConnected => return,
            (Ok(Some(error)) | Err(error), _) | (_, Err(error)) => Some(error),
        };
        if let Some(error) = failure {
            return self.try_next(place, ErrorKind::of(&error));
        }
        match connection.stream.advance() {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return self.finish(place, kind_of(&error), monotonic_ns()),
        }
        connection.phase = Phase::Writing;
        let deadline_ns = connection.flight.begun_ns + self.shared.settings.timeout_ns;
        self.address = (connection.first + connection.tried) % self.shared.settings.addresses.len();
        self.expect_by(place, deadline_ns);
        match self.pool.at(place).stream.read(&mut self.buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.write_request(place),
            // It speaks before it is asked: that would pass for the answer.
            Ok(1..) => self.finish(place, ErrorKind::Protocol, monotonic_ns()),
            Ok(0) => self.finish(place, ErrorKind::Closed, monotonic_ns()),
            Err(error) => self.fail(place, error),
        }
    }

    /// The address does not answer: the next one, or the end of the request.
    fn try_next(&mut self, place: u32, failure: ErrorKind) {
        let addresses = self.shared.settings.addresses.len();
        let connection = self.pool.at(place);
        let (lane, first, tried) = (connection.lane, connection.first, connection.tried + 1);
        let flight = connection.flight;
        if self.address == (first + tried - 1) % addresses {
            self.address = (first + tried) % addresses;
        }
        let out_of_time = monotonic_ns() >= flight.begun_ns + self.shared.settings.timeout_ns;
        if tried >= addresses || out_of_time {
            return self.finish(place, failure, monotonic_ns());
        }
        self.forget(place);
        self.connect(lane, first, tried, flight);
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
                deadline_ns if deadline_ns <= now_ns => match connection.phase {
                    Phase::Connecting => self.try_next(place, ErrorKind::Timeout),
                    _ => self.finish(place, ErrorKind::Timeout, monotonic_ns()),
                },
                deadline_ns => self.expect_by(place, deadline_ns),
            }
        }
    }
}
