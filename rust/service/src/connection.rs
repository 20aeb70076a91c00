//! One connection: bytes in, answers out, in the order of the requests.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::answer::{self, Ending};
use crate::calls::Calls;
use crate::command::Desk;
use crate::frame::Words;
use crate::metrics::{Page, REFUSED};
use crate::request::{Refused, Request, as_http_1_1};
use crate::routes;
use crate::session::Session;
use crate::tls::TlsStream;

/// The longest time without a whole request.
const IDLE: Duration = Duration::from_secs(60);
/// The time for which all that a client still sends after a refusal is read past.
const LINGER: Duration = Duration::from_secs(2);
/// Readings of one connection in a row, and bytes of answers, before others have their turn.
const TURNS: usize = 4;
pub const MOST_ANSWERED: usize = 64 * 1024;
/// Bytes of answers whose room is kept for the next ones.
const MOST_ROOM: usize = 32 * 1024;

/// A connection, of TCP or by a Unix socket.
pub enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream>),
}

/// Both of its ends.
trait Both: Read + Write {}

impl<T: Read + Write> Both for T {}

impl Stream {
    pub fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref(),
        }
    }

    fn ends(&mut self) -> &mut dyn Both {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &mut **stream,
        }
    }

    /// Ends it on this side; it may be gone already.
    fn end_writing(&mut self) {
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        let _ = self.socket().shutdown(Shutdown::Write);
    }
}

/// The protocol of a connection.
pub enum Protocol {
    Http {
        peer: Option<IpAddr>,
        /// Bytes of a body that are still to come.
        skip: u64,
        /// Figures that are being put together.
        page: Option<Box<(Page, Ending)>>,
    },
    Resp(Session),
    Grpc(Box<Calls>),
}

/// The state of a connection after its turn.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing to do until it is ready again.
    Waits,
    /// It has answers to send, after those to others were made.
    Answered,
    /// It has more, but others come first.
    More,
    Over,
}

/// A connection.
pub struct Connection {
    pub stream: Stream,
    protocol: Protocol,
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    /// The input may hold whole requests: the output of those before them was long.
    held: bool,
    /// All that was there is read.
    drained: bool,
    ending: bool,
    lingers: bool,
    /// It has asked for something.
    asked: bool,
    since: Instant,
}

impl Connection {
    pub fn new(stream: Stream, protocol: Protocol) -> Self {
        Self {
            stream,
            protocol,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            held: false,
            drained: false,
            ending: false,
            lingers: false,
            asked: false,
            since: Instant::now(),
        }
    }

    /// True if it has been without a whole request for too long. Pools keep connections of RESP and gRPC open:
    /// such a one may be silent, but not before its first request, nor within a request or an answer.
    pub fn is_idle(&self, now: Instant) -> bool {
        let silent = self.input.is_empty() && self.output.is_empty();
        let pooled = match &self.protocol {
            Protocol::Http { .. } => false,
            Protocol::Resp(_) => true,
            Protocol::Grpc(calls) => calls.owes_nothing(),
        };
        let stale = match &self.protocol {
            Protocol::Grpc(calls) => calls.oldest(),
            _ => None,
        };
        let may_wait = silent && self.asked && !self.lingers && pooled;
        let longest = if self.lingers { LINGER } else { IDLE };
        let too_long = |since: Instant, longest| now.duration_since(since) > longest;
        (!may_wait && too_long(self.since, longest))
            || stale.is_some_and(|began| too_long(began, IDLE))
    }

    /// True if the client has to be told that this side ends; it is served once more.
    pub fn says_that_it_ends(&mut self) -> bool {
        let says = matches!(self.protocol, Protocol::Grpc(_));
        self.held |= says;
        says
    }

    /// True if no request is under way, and nothing is left to be sent.
    pub fn owes_nothing(&self) -> bool {
        let more_comes = match &self.protocol {
            Protocol::Http { skip, .. } => *skip > 0,
            Protocol::Resp(_) => false,
            // The client has to hear which call was the last.
            Protocol::Grpc(_) => true,
        };
        let silent = self.output.is_empty() && self.input.is_empty() && !self.held;
        silent && !more_comes && !self.lingers
    }

    /// Says that there are too many connections, as far as that is possible at once.
    pub fn turn_away(&mut self) {
        match &self.protocol {
            Protocol::Http { .. } => {
                let ending = Ending {
                    keeps_alive: false,
                    bodiless: false,
                };
                let reason = "there are too many connections";
                answer::reduced(&mut self.output, reason, 1, ending);
            }
            Protocol::Resp(_) => {
                let error = b"-ERR max number of clients reached\r\n";
                self.output.extend_from_slice(error);
            }
            Protocol::Grpc(_) => {}
        }
        REFUSED.fetch_add(1, Ordering::Relaxed);
        let _ = self.flush();
        self.stream.end_writing();
    }

    /// Reads, decides and answers as far as it goes. `closing`: the client sends no more than is here.
    pub fn serve(&mut self, desk: &mut Desk, room: &mut [u8], closing: bool) -> Turn {
        desk.spent = 0;
        let waits = |protocol: &Protocol| matches!(protocol, Protocol::Grpc(calls) if calls.waits);
        if waits(&self.protocol) {
            self.took(desk, &[]);
        }
        match self.turn(desk, room, closing) {
            Turn::Waits | Turn::Answered if waits(&self.protocol) => Turn::More,
            turn => turn,
        }
    }

    fn turn(&mut self, desk: &mut Desk, room: &mut [u8], closing: bool) -> Turn {
        let mut drained = std::mem::take(&mut self.drained) && !closing;
        for _ in 0..TURNS {
            desk.spent += self.output.len() - self.written;
            match self.flush() {
                Ok(true) if desk.spent < MOST_ANSWERED => {}
                Ok(true) => return Turn::More,
                Ok(false) => return Turn::Waits,
                Err(_) => return Turn::Over,
            }
            if self.held {
                self.took(desk, &[]);
                continue;
            }
            if self.ending && !self.lingers {
                self.stream.end_writing();
                (self.lingers, self.since) = (true, Instant::now());
            }
            // Less than there was room for was all there is, and more will be told of.
            if drained {
                return Turn::Waits;
            }
            match self.stream.ends().read(room) {
                Ok(0) => return Turn::Over,
                Ok(count) => {
                    drained =
                        count < room.len() && !closing && !matches!(self.stream, Stream::Tls(_));
                    if !self.lingers {
                        self.took(desk, &room[..count]);
                    }
                    if drained && !self.held {
                        self.drained = true;
                        return Turn::Answered;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Turn::Waits,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Turn::Over,
            }
        }
        Turn::More
    }

    /// True if all was written.
    fn flush(&mut self) -> io::Result<bool> {
        while self.written < self.output.len() {
            match self.stream.ends().write(&self.output[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // TLS may still hold some of it.
        match self.stream.ends().flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            flushed => flushed?,
        }
        self.written = 0;
        match self.output.capacity() {
            ..=MOST_ROOM => self.output.clear(),
            _ => self.output = Vec::new(),
        }
        Ok(true)
    }

    fn took(&mut self, desk: &mut Desk, bytes: &[u8]) {
        let mut input = std::mem::take(&mut self.input);
        if input.is_empty() {
            let rest = self.answer_all(desk, bytes);
            self.input = bytes[rest..].to_vec();
        } else {
            input.extend_from_slice(bytes);
            let rest = self.answer_all(desk, &input);
            input.drain(..rest);
            self.input = input;
        }
    }

    /// Goes on with the figures that were asked for; true if others come first, and then the rest of them.
    fn makes_page(&mut self, desk: &mut Desk) -> bool {
        let Protocol::Http { page, .. } = &mut self.protocol else {
            return false;
        };
        let Some(made) = page else {
            return false;
        };
        if !made.0.advance() {
            self.held = true;
            desk.spent += MOST_ANSWERED;
            return true;
        }
        answer::text(&mut self.output, 200, &made.0.text, made.1);
        *page = None;
        false
    }

    /// Answers every whole request, as long as the answers are not too long; returns where the rest begins.
    fn answer_all(&mut self, desk: &mut Desk, bytes: &[u8]) -> usize {
        let (mut at, mut words, mut asks) = (0, Words::new(), false);
        self.held = false;
        if let Protocol::Grpc(calls) = &mut self.protocol {
            if calls.answer(bytes, desk, &mut self.output) > 0 {
                (self.asked, self.since) = (true, Instant::now());
            }
            (self.held, self.ending) = (calls.is_held(), calls.over);
            return bytes.len();
        }
        while !self.makes_page(desk) && !self.ending && at < bytes.len() {
            if desk.spent + self.output.len() > MOST_ANSWERED {
                self.held = true;
                break;
            }
            let rest = &bytes[at..];
            match &mut self.protocol {
                Protocol::Http { skip, .. } if *skip > 0 => {
                    let skipped = (*skip).min(rest.len() as u64);
                    *skip -= skipped;
                    at += skipped as usize;
                    continue;
                }
                Protocol::Http { peer, skip, page } => {
                    let same;
                    let mut read = Request::parse(rest);
                    if read.is_err() {
                        same = as_http_1_1(rest);
                        read = same.as_deref().map_or(read, Request::parse);
                    }
                    match read {
                        Ok(None) => break,
                        Ok(Some(request)) => {
                            routes::answer(&mut self.output, desk, &request, *peer);
                            *skip = request.length;
                            self.ending = !request.keeps_alive || desk.ends;
                            *page = desk.page.take().map(Box::new);
                        }
                        Err(Refused(status, detail)) => {
                            let ending = Ending {
                                keeps_alive: false,
                                bodiless: rest.starts_with(b"HEAD "),
                            };
                            answer::refused(&mut self.output, status, &detail, ending);
                            self.ending = true;
                        }
                    }
                }
                Protocol::Resp(session) => {
                    match session.answer(rest, &mut words, desk, &mut self.output) {
                        Some(length) => at += length,
                        None => {
                            self.held = desk.has_to_wait();
                            desk.spent += if self.held { MOST_ANSWERED } else { 0 };
                            break;
                        }
                    }
                    self.ending = session.quits;
                    // Neither a line without words nor what needs the token is a request.
                    asks = asks || (!words.is_empty() && session.may_run("", desk));
                    continue;
                }
                Protocol::Grpc(_) => break,
            }
            asks = true;
        }
        // A body that trickles in is no request.
        if asks {
            (self.asked, self.since) = (true, Instant::now());
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs::File;
    use std::sync::Arc;

    use socket2::{Domain, Type};

    use super::*;
    use crate::limits::Limits;
    use crate::settings::Settings;
    use crate::store::{Store, folder_of};
    use crate::told::{Known, Told};

    /// A connection of HTTP, and its client's end.
    fn connected() -> (Connection, Socket) {
        speaking(Protocol::Http {
            peer: None,
            skip: 0,
            page: None,
        })
    }

    fn speaking(protocol: Protocol) -> (Connection, Socket) {
        let pair = Socket::pair(Domain::UNIX, Type::STREAM, None);
        let (ours, client) = pair.expect("a machine has sockets");
        for each in [&ours, &client] {
            each.set_nonblocking(true).expect("it is a socket");
        }
        (Connection::new(Stream::Plain(ours), protocol), client)
    }

    fn desk() -> Desk {
        desk_of("[limits.api]\npolicy = '5 per 5s'\n", "memory://")
    }

    fn desk_of(settings: &str, store: &str) -> Desk {
        let settings = Settings::parse(settings, false);
        let mut store = Store::new(store, 64).expect("it is a store");
        let settings = settings.expect("they are settings");
        let limits = Limits::open(&settings, None, &mut store, None);
        let limits = Arc::new(limits.expect("they are limits"));
        Desk::new(limits, Known::new(Arc::new(Told::new(store, 1))))
    }

    #[test]
    fn one_turn_of_a_client_that_asks_for_much_is_bounded() {
        let (mut connection, mut client) = speaking(Protocol::Resp(Session::new(1)));
        let (mut desk, mut room) = (desk(), vec![0; 64 * 1024]);
        let commands = b"COMMAND\r\n".repeat(1_000);
        client.write_all(&commands).expect("there is room for it");
        let mut answer = vec![0; 8 * MOST_ANSWERED];
        for _ in 0..3 {
            assert_eq!(connection.serve(&mut desk, &mut room, false), Turn::More);
            let told = client.read(&mut answer).expect("it was answered");
            assert!(told < MOST_ANSWERED + 4_096, "{told}");
        }
    }

    #[test]
    fn a_look_at_all_tables_is_a_whole_turn() {
        for path in ["/metrics", "/readyz"] {
            let (mut connection, mut client) = connected();
            let (mut desk, mut room) = (desk(), vec![0; 64 * 1024]);
            let asked = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(3);
            client.write_all(asked.as_bytes()).expect("there is room");
            for _ in 0..3 {
                let told = (0..9).find_map(|_| {
                    connection.serve(&mut desk, &mut room, false);
                    client.read(&mut room).ok()
                });
                let told = told.expect("it was answered");
                let heads = room[..told].windows(9).filter(|text| text == b"HTTP/1.1 ");
                assert_eq!(heads.count(), 1, "{path}");
            }
        }
    }

    #[test]
    fn figures_of_many_limits_take_many_turns_and_are_told_once() {
        let limit = |number| format!("[limits.l{number}]\npolicy = '{number} per 5s'\n");
        let settings: String = (1..=200).map(limit).collect();
        let (mut desk, mut room) = (desk_of(&settings, "memory://"), vec![0; 1024 * 1024]);
        let (mut connection, mut client) = connected();
        let asked = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.0\r\n\r\n";
        client.write_all(asked).expect("there is room");
        let (mut turns, mut page) = (0, Vec::new());
        while !page.ends_with(b"ok\n") {
            connection.serve(&mut desk, &mut room, false);
            assert!(page.is_empty() || turns >= 50, "{turns}");
            turns += 1;
            while let Ok(told @ 1..) = client.read(&mut room) {
                page.extend_from_slice(&room[..told]);
            }
        }
        let page = String::from_utf8(page).expect("it is text");
        for family in ["decision_seconds_count", "table_fill"] {
            let lines = page.lines().filter(|line| line.contains(family));
            let lines: HashSet<&str> = lines.filter(|line| line.contains("{limit=")).collect();
            assert_eq!(lines.len(), 200, "{family}");
        }
        assert_eq!(page.matches("# TYPE").count(), 6);
        assert_eq!(page.matches("HTTP/1.1 200").count(), 2);
    }

    #[test]
    fn a_policy_told_as_text_waits_for_the_store_and_nobody_else_does() {
        let name = format!("waits-{}", std::process::id());
        let mut desk = desk_of(
            "[limits.api]\npolicy = '5 per 5s'\n",
            &format!("shm://{name}"),
        );
        let folder = folder_of(&name).expect("it is a name");
        let lock = File::open(folder.join("lock")).expect("a store has it");
        lock.lock().expect("nobody has it");
        let (mut connection, mut client) = speaking(Protocol::Resp(Session::new(1)));
        let mut room = vec![0; 64 * 1024];
        let hits = b"RP.HIT k api\r\nRP.HIT k '3 per 9s'\r\nPING\r\n";
        client.write_all(hits).expect("there is room");
        for told in [true, false] {
            assert_eq!(connection.serve(&mut desk, &mut room, false), Turn::More);
            assert!(std::mem::take(&mut desk.waits));
            assert_eq!(client.read(&mut room).is_ok(), told, "the first is known");
        }
        drop(lock);
        connection.serve(&mut desk, &mut room, false);
        let told = client.read(&mut room).expect("it was answered");
        let answer = b"*5\r\n:0\r\n:3\r\n:2\r\n:-1\r\n:9000\r\n+PONG\r\n";
        assert_eq!(
            room[..told].escape_ascii().to_string(),
            answer.escape_ascii().to_string()
        );
        std::fs::remove_dir_all(folder).expect("it is ours");
    }

    /// Before the connection's buffer there is one of 16 KiB.
    #[test]
    fn one_turn_of_a_client_of_calls_is_bounded_as_well() {
        let (mut connection, mut client) = speaking(Protocol::Grpc(Box::new(Calls::new())));
        let (mut desk, mut room) = (desk(), vec![0; 64 * 1024]);
        let settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        let ping = b"\0\0\x08\x06\0\0\0\0\0 a ping ";
        client.write_all(settings).expect("there is room");
        while client.write(&ping.repeat(1_000)).is_ok() {}
        let (mut answer, mut all) = (vec![0; 8 * MOST_ANSWERED], 0);
        while connection.serve(&mut desk, &mut room, false) == Turn::More {
            let told = client.read(&mut answer).expect("it was answered");
            assert!(told < MOST_ANSWERED + 20 * 1024, "{told}");
            all += told;
        }
        assert!(all > MOST_ANSWERED, "{all}");
    }

    #[test]
    fn neither_blank_lines_nor_what_wants_the_token_keep_a_client_of_commands() {
        let (mut connection, _client) = speaking(Protocol::Resp(Session::new(1)));
        let (mut desk, begun) = (desk(), connection.since);
        connection.took(&mut desk, b"\r\n \r\n*0\r\n*-1\r\n");
        assert!(!connection.asked && connection.since == begun);
        Arc::get_mut(&mut desk.limits).expect("nobody else").token = Some("secret".to_owned());
        connection.took(&mut desk, b"PING\r\nAUTH wrong\r\n");
        assert!(!connection.asked && connection.since == begun);
        connection.took(&mut desk, b"AUTH secret\r\n");
        assert!(connection.asked && connection.since > begun);
    }

    #[test]
    fn whoever_has_sent_no_whole_request_for_a_minute_is_idle_however_much_it_sends() {
        let (mut connection, _client) = connected();
        let begun = connection.since;
        connection.input = b"GET /check/api HTTP/1.1\r\nX-Slow: ".to_vec();
        assert!(!connection.is_idle(begun + IDLE));
        assert!(connection.is_idle(begun + IDLE + Duration::from_millis(1)));
        connection.lingers = true;
        assert!(connection.is_idle(begun + LINGER + Duration::from_millis(1)));
    }

    #[test]
    fn a_body_that_trickles_in_keeps_no_connection_open() {
        let (mut connection, _client) = connected();
        let mut desk = desk();
        let begun = connection.since;
        connection.took(
            &mut desk,
            b"POST /check/api HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab",
        );
        let asked = connection.since;
        assert!(asked > begun);
        connection.took(&mut desk, b"cdefghi");
        assert_eq!(connection.since, asked);
        connection.took(&mut desk, b"GET /check/api HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(connection.since > asked);
    }
}
