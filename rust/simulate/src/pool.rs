//! The connections of a loop: at most so many, idle ones handed on when there are no more.

use std::collections::BTreeMap;

use mio::net::TcpStream;

use crate::http::Parser;
use crate::lane::NONE;
use crate::stream::Stream;

/// The phases of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The socket connects, or TLS shakes hands.
    Connecting,
    /// Nothing is in flight.
    Idle,
    /// The request is being written.
    Writing,
    /// The answer is awaited.
    Reading,
}

/// A request in flight; times are monotonic ns.
#[derive(Clone, Copy)]
pub struct Flight {
    /// Number of the request in its run.
    pub sequence: i64,
    /// Instant at which the schedule wanted it sent.
    pub intended_ns: i64,
    /// Instant at which it was begun, connecting included.
    pub begun_ns: i64,
    /// Before its first byte was written, or the one that completes a dripping head.
    pub sent_ns: i64,
    /// After its answer's first byte had come.
    pub received_ns: i64,
    /// Number of its bytes written.
    pub written: usize,
    /// Number of its pieces that may be written for now.
    pub pieces: usize,
}

/// A connection and the request in flight on it.
pub struct Connection {
    /// Its bytes.
    pub stream: Stream,
    /// Its number in the run.
    pub number: i64,
    /// The owner.
    pub lane: u32,
    /// Its present occupation.
    pub phase: Phase,
    /// Reads the answers.
    pub parser: Parser,
    /// Place among the target's addresses at which the tries for its request began.
    pub first: usize,
    /// Number of them tried before.
    pub tried: usize,
    /// The request in flight, or the last one.
    pub flight: Flight,
    /// True if it serves no other request: the peer ended its side, or sent more than was read.
    pub spent: bool,
    /// Instant at which it is given up, monotonic ns; `i64::MAX`: never.
    pub deadline_ns: i64,
    /// Its place in the order of those that idle.
    ticket: u64,
}

/// Connections by number, those that idle in the order in which they became so.
pub struct Pool {
    slots: Vec<Option<Connection>>,
    vacant: Vec<u32>,
    most: usize,
    idle: BTreeMap<u64, u32>,
    tickets: u64,
    // Of each place, the earliest instant at which the loop looks at it again.
    watched_ns: Vec<i64>,
    // And since when nothing is in flight there, monotonic ns.
    freed_ns: Vec<i64>,
}

impl Pool {
    /// Room for at most `most` connections.
    pub fn new(most: usize) -> Self {
        Self {
            slots: Vec::new(),
            vacant: Vec::new(),
            most,
            idle: BTreeMap::new(),
            tickets: 0,
            watched_ns: Vec::new(),
            freed_ns: Vec::new(),
        }
    }

    /// True if another may be opened.
    pub fn has_room(&self) -> bool {
        self.slots.len() - self.vacant.len() < self.most
    }

    /// True if a request is in flight on any of them.
    pub fn is_busy(&self) -> bool {
        self.slots.len() - self.vacant.len() > self.idle.len()
    }

    /// True if there are fewer connections than so many lanes could have.
    pub fn is_scarce(&self, lanes: usize) -> bool {
        self.most < lanes
    }

    /// True if a lane without a connection can get one now, a new one or another's that idles.
    pub fn can_serve(&self) -> bool {
        self.has_room() || !self.idle.is_empty()
    }

    /// Monotonic instant since when a lane without a connection could get one; 0: all the time.
    pub fn free_since_ns(&self) -> i64 {
        let place = if self.has_room() {
            self.next_place()
        } else {
            self.longest_idle()
        };
        self.freed_ns.get(place as usize).copied().unwrap_or(0)
    }

    /// The place that the next connection will have, for registering its socket.
    pub fn next_place(&self) -> u32 {
        self.vacant
            .last()
            .copied()
            .unwrap_or(self.slots.len() as u32)
    }

    /// Takes a connection in that begins to connect.
    pub fn open(
        &mut self,
        stream: Stream,
        number: i64,
        lane: u32,
        (first, tried): (usize, usize),
        flight: Flight,
    ) -> u32 {
        let connection = Connection {
            stream,
            number,
            lane,
            phase: Phase::Connecting,
            parser: Parser::default(),
            first,
            tried,
            flight,
            spent: false,
            deadline_ns: i64::MAX,
            ticket: 0,
        };
        match self.vacant.pop() {
            Some(place) => {
                self.slots[place as usize] = Some(connection);
                place
            }
            None => {
                self.slots.push(Some(connection));
                self.watched_ns.push(i64::MAX);
                self.freed_ns.push(0);
                (self.slots.len() - 1) as u32
            }
        }
    }

    /// The connection at a place, if there is one.
    pub fn get(&mut self, place: u32) -> Option<&mut Connection> {
        self.slots.get_mut(place as usize)?.as_mut()
    }

    /// The connection at a place that is known to be open.
    pub fn at(&mut self, place: u32) -> &mut Connection {
        self.slots[place as usize]
            .as_mut()
            .expect("whoever knows the place keeps it open")
    }

    /// Puts a connection behind all others that idle, from a monotonic instant on.
    pub fn idle(&mut self, place: u32, now_ns: i64) {
        self.freed_ns[place as usize] = now_ns;
        self.tickets += 1;
        let ticket = self.tickets;
        let connection = self.at(place);
        connection.phase = Phase::Idle;
        connection.deadline_ns = i64::MAX;
        connection.ticket = ticket;
        self.idle.insert(ticket, place);
    }

    /// Takes an idle connection into use.
    pub fn wake(&mut self, place: u32) {
        let ticket = self.at(place).ticket;
        self.idle.remove(&ticket);
    }

    /// The connection that has been idle for the longest time, or `NONE`.
    pub fn longest_idle(&self) -> u32 {
        self.idle
            .first_key_value()
            .map_or(NONE, |(_, &place)| place)
    }

    /// Asks to look at a place at an instant; false where an earlier look is down for it.
    pub fn watch(&mut self, place: u32, instant_ns: i64) -> bool {
        let watched_ns = &mut self.watched_ns[place as usize];
        let earlier = instant_ns < *watched_ns;
        *watched_ns = instant_ns.min(*watched_ns);
        earlier
    }

    /// The look that was down for an instant begins; false where an earlier one has replaced it.
    pub fn unwatch(&mut self, place: u32, instant_ns: i64) -> bool {
        let watched_ns = &mut self.watched_ns[place as usize];
        let current = *watched_ns == instant_ns;
        if current {
            *watched_ns = i64::MAX;
        }
        current
    }

    /// Closes a connection; one that idles leaves the others' order first.
    pub fn close(&mut self, place: u32, now_ns: i64) {
        if self.at(place).phase == Phase::Idle {
            self.wake(place);
        } else {
            self.freed_ns[place as usize] = now_ns;
        }
        self.slots[place as usize] = None;
        self.vacant.push(place);
    }
}

/// A socket that begins to connect, without delay of small writes.
pub fn connect(address: std::net::SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    // A socket that cannot do without is slower, not wrong.
    let _ = socket.set_nodelay(true);
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const FLIGHT: Flight = Flight {
        sequence: 0,
        intended_ns: 0,
        begun_ns: 0,
        sent_ns: 0,
        received_ns: 0,
        written: 0,
        pieces: 0,
    };

    fn filled(most: usize) -> Pool {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut pool = Pool::new(most);
        for lane in 0..most as u32 {
            let place = pool.next_place();
            let stream = Stream::Plain(connect(address).unwrap());
            assert_eq!(pool.open(stream, 0, lane, (0, 0), FLIGHT), place);
        }
        pool
    }

    #[test]
    fn the_one_that_idled_longest_is_handed_on_first() {
        let mut pool = filled(4);
        assert!(!pool.can_serve());
        for place in [2, 0, 3, 1] {
            pool.idle(place, 0);
        }
        let mut order = Vec::new();
        pool.wake(3); // out of the middle
        while pool.longest_idle() != NONE {
            let place = pool.longest_idle();
            pool.wake(place);
            order.push(place);
        }
        assert_eq!(order, [2, 0, 1]);
    }

    #[test]
    fn a_closed_one_makes_room_and_leaves_the_order_of_the_others() {
        let mut pool = filled(3);
        for place in [0, 1, 2] {
            pool.idle(place, 0);
        }
        pool.close(1, 0);
        assert!(pool.has_room() && pool.get(1).is_none() && pool.next_place() == 1);
        pool.wake(0);
        assert_eq!(pool.longest_idle(), 2);
        pool.wake(2);
        assert_eq!(pool.longest_idle(), NONE);
    }

    #[test]
    fn whoever_is_served_next_could_be_since_the_last_answer_on_what_it_gets() {
        let mut pool = filled(2);
        pool.idle(1, 20);
        pool.idle(0, 30);
        assert_eq!(pool.free_since_ns(), 20, "the one that idled longest");
        pool.close(0, 50);
        assert_eq!(pool.free_since_ns(), 30, "it was free before it was closed");
        let mut busy = filled(1);
        busy.close(0, 60);
        assert_eq!(
            busy.free_since_ns(),
            60,
            "a request was in flight till then"
        );
        assert_eq!(Pool::new(1).free_since_ns(), 0);
    }

    #[test]
    fn only_an_earlier_look_is_put_down_again() {
        let mut pool = filled(1);
        assert!(pool.watch(0, 20));
        assert!(!pool.watch(0, 30), "a look at 20 is down already");
        assert!(pool.watch(0, 10));
        assert!(!pool.unwatch(0, 20), "the look at 10 came in its place");
        assert!(pool.unwatch(0, 10));
        assert!(pool.watch(0, 30));
    }
}
