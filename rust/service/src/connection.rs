//! One connection: bytes in, answers out, in the order of the requests.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::time::{Duration, Instant};

use mio::net::{TcpStream, UnixStream};

use crate::answer::{self, Ending};
use crate::limits::Limits;
use crate::request::{Refused, Request};

/// The longest time without a whole request.
const IDLE: Duration = Duration::from_secs(60);
/// How long what a client still sends after a refusal is read past.
const LINGER: Duration = Duration::from_secs(2);
/// Readings of one connection in a row, before others have their turn.
const TURNS: usize = 16;

/// A connection by either kind of socket.
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

macro_rules! each {
    ($stream:expr, $part:ident => $step:expr) => {
        match $stream {
            Stream::Tcp($part) => $step,
            Stream::Unix($part) => $step,
        }
    };
}

impl Stream {
    /// What is to be watched.
    pub fn source(&mut self) -> &mut dyn mio::event::Source {
        each!(self, part => part)
    }

    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        each!(self, part => part.read(room))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        each!(self, part => part.write(bytes))
    }

    fn end_writing(&self) {
        // It may be gone already.
        let _ = each!(self, part => part.shutdown(Shutdown::Write));
    }
}

/// What becomes of a connection after its turn.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing to do until it is ready again.
    Waits,
    /// It has more, but others come first.
    More,
    Over,
}

/// A connection.
pub struct Connection {
    pub stream: Stream,
    peer: Option<IpAddr>,
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    /// Bytes of a body that are still to come.
    skip: u64,
    ending: bool,
    lingers: bool,
    since: Instant,
}

impl Connection {
    pub fn new(stream: Stream, peer: Option<IpAddr>) -> Self {
        Self {
            stream,
            peer,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            skip: 0,
            ending: false,
            lingers: false,
            since: Instant::now(),
        }
    }

    /// True if it has been without a whole request for too long.
    pub fn is_idle(&self, now: Instant) -> bool {
        now.duration_since(self.since) > if self.lingers { LINGER } else { IDLE }
    }

    /// True if nothing of an answer is left to be sent.
    pub fn is_still(&self) -> bool {
        self.output.is_empty()
    }

    /// Reads, decides and answers as far as it goes.
    pub fn serve(&mut self, limits: &Limits, room: &mut [u8]) -> Turn {
        for _ in 0..TURNS {
            match self.flush() {
                Ok(true) => {}
                Ok(false) => return Turn::Waits,
                Err(_) => return Turn::Over,
            }
            if self.ending && !self.lingers {
                self.stream.end_writing();
                (self.lingers, self.since) = (true, Instant::now());
            }
            match self.stream.read(room) {
                Ok(0) => return Turn::Over,
                Ok(_) if self.lingers => {}
                Ok(count) => self.took(limits, &room[..count]),
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
            match self.stream.write(&self.output[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        (self.written, self.output) = (0, Vec::new());
        Ok(true)
    }

    fn took(&mut self, limits: &Limits, bytes: &[u8]) {
        let mut input = std::mem::take(&mut self.input);
        if input.is_empty() {
            let rest = self.answer_all(limits, bytes);
            self.input = bytes[rest..].to_vec();
        } else {
            input.extend_from_slice(bytes);
            let rest = self.answer_all(limits, &input);
            input.drain(..rest);
            self.input = input;
        }
    }

    /// Answers every whole request; returns where the rest begins.
    fn answer_all(&mut self, limits: &Limits, bytes: &[u8]) -> usize {
        let mut at = 0;
        while !self.ending {
            let skipped = self.skip.min((bytes.len() - at) as u64) as usize;
            self.skip -= skipped as u64;
            at += skipped;
            if at == bytes.len() {
                break;
            }
            match Request::parse(&bytes[at..]) {
                Ok(None) => break,
                Ok(Some(request)) => {
                    self.answer(limits, &request);
                    self.skip = request.length;
                    self.ending = !request.keeps_alive;
                    self.since = Instant::now();
                }
                Err(Refused(status, detail)) => {
                    let ending = Ending {
                        keeps_alive: false,
                        bodiless: false,
                    };
                    answer::refused(&mut self.output, status, detail, ending);
                    self.ending = true;
                }
            }
        }
        at
    }

    fn answer(&mut self, limits: &Limits, request: &Request<'_>) {
        let ending = Ending {
            keeps_alive: request.keeps_alive,
            bodiless: request.method == b"HEAD",
        };
        let out = &mut self.output;
        let Some(rest) = request.path.strip_prefix(b"/check/") else {
            match request.path {
                b"/healthz" => answer::healthy(out, ending),
                _ => answer::refused(out, 404, "no such path; ask for /check/NAME", ending),
            }
            return;
        };
        let end = rest
            .iter()
            .position(|byte| *byte == b'/')
            .unwrap_or(rest.len());
        let (name, route) = rest.split_at(end);
        let served = std::str::from_utf8(name)
            .ok()
            .and_then(|name| limits.by_name.get(name));
        let Some(served) = served else {
            let names: Vec<&str> = limits.by_name.keys().map(String::as_str).collect();
            let detail = format!("no such limit; one of {}", names.join(", "));
            return answer::refused(out, 404, &detail, ending);
        };
        let decision = served.decide(request, route, &limits.address, self.peer);
        answer::decided(out, limits, &decision, ending);
    }
}
