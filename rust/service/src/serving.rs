//! The event loops: one a core, each with its connections, all accepting from the same sockets.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, UnixListener};
use mio::{Events, Interest, Poll, Token, Waker};

use crate::command::Desk;
use crate::connection::{Connection, Protocol, Stream, Turn};
use crate::limits::Limits;
use crate::session::Session;
use crate::told::{Known, Told};

const WAKER: Token = Token(usize::MAX);
/// The most connections of one loop. Tokens from here on are doors.
const MOST: usize = 10_000;
const ROOM: usize = 64 * 1024;
/// The longest time for the answers that are under way when it ends.
const DRAIN: Duration = Duration::from_secs(5);
const SWEEP: Duration = Duration::from_secs(1);

/// What all loops share: the limits in force, the store, and whether it ends.
pub struct Shared {
    limits: Mutex<Arc<Limits>>,
    pub told: Arc<Told>,
    clients: AtomicU64,
    turn: AtomicU64,
    ends: AtomicBool,
}

impl Shared {
    pub fn new(limits: Limits, told: Told) -> Self {
        Self {
            limits: Mutex::new(Arc::new(limits)),
            told: Arc::new(told),
            clients: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            ends: AtomicBool::new(false),
        }
    }

    /// The limits in force.
    pub fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts others in their place.
    pub fn replace(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
        self.turn.fetch_add(1, Ordering::Release);
    }

    pub fn end(&self) {
        self.ends.store(true, Ordering::Release);
    }
}

/// A socket that is listened at.
pub struct Listener {
    socket: Socket,
    speaks: Speaks,
}

enum Socket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener, PathBuf),
}

/// What is spoken at a socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Http,
    Resp,
}

impl Listener {
    /// Listens at an address, or at the path of a Unix socket.
    ///
    /// # Errors
    /// It is taken, or cannot be.
    pub fn bind(host: &str, port: u16, speaks: Speaks) -> io::Result<Self> {
        if let Some(path) = host.strip_prefix("unix:") {
            let path = Path::new(path);
            // What nobody listens at was left by one that died.
            if std::os::unix::net::UnixStream::connect(path)
                .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
            {
                std::fs::remove_file(path)?;
            }
            let listener = std::os::unix::net::UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            let socket = Socket::Unix(listener, path.to_owned());
            return Ok(Self { socket, speaks });
        }
        let listener = std::net::TcpListener::bind((host, port))?;
        listener.set_nonblocking(true)?;
        let socket = Socket::Tcp(listener);
        Ok(Self { socket, speaks })
    }

    /// Where it is, for people.
    pub fn place(&self) -> String {
        match &self.socket {
            Socket::Tcp(listener) => {
                let address = listener
                    .local_addr()
                    .map(|address: SocketAddr| address.to_string());
                let scheme = match self.speaks {
                    Speaks::Http => "http",
                    Speaks::Resp => "redis",
                };
                format!("{scheme}://{}", address.unwrap_or_default())
            }
            Socket::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    fn shared(&self) -> io::Result<Door> {
        let opening = match &self.socket {
            Socket::Tcp(listener) => Opening::Tcp(TcpListener::from_std(listener.try_clone()?)),
            Socket::Unix(listener, _) => {
                Opening::Unix(UnixListener::from_std(listener.try_clone()?))
            }
        };
        Ok(Door {
            opening,
            speaks: self.speaks,
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Socket::Unix(_, path) = &self.socket {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A listener as one loop has it.
struct Door {
    opening: Opening,
    speaks: Speaks,
}

enum Opening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Door {
    fn source(&mut self) -> &mut dyn mio::event::Source {
        match &mut self.opening {
            Opening::Tcp(listener) => listener,
            Opening::Unix(listener) => listener,
        }
    }

    fn accept(&self, shared: &Shared) -> io::Result<Connection> {
        let (stream, peer) = match &self.opening {
            Opening::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                // An answer is one write: nothing is gained by waiting for more.
                let _ = stream.set_nodelay(true);
                (Stream::Tcp(stream), Some(peer.ip()))
            }
            Opening::Unix(listener) => (Stream::Unix(listener.accept()?.0), None),
        };
        let protocol = match self.speaks {
            Speaks::Http => Protocol::Http { peer, skip: 0 },
            Speaks::Resp => {
                let number = shared.clients.fetch_add(1, Ordering::Relaxed) + 1;
                Protocol::Resp(Session::new(number as i64))
            }
        };
        Ok(Connection::new(stream, protocol))
    }
}

/// One event loop.
pub struct Loop {
    poll: Poll,
    doors: Vec<Door>,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
}

impl Loop {
    /// A loop that accepts from the listeners, and what wakes it.
    ///
    /// # Errors
    /// The machine is out of descriptors.
    pub fn new(listeners: &[Listener]) -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let mut doors = Vec::new();
        for listener in listeners {
            let mut door = listener.shared()?;
            let token = Token(MOST + doors.len());
            poll.registry()
                .register(door.source(), token, Interest::READABLE)?;
            doors.push(door);
        }
        let made = Self {
            poll,
            doors,
            connections: Vec::new(),
            free: Vec::new(),
        };
        Ok((made, waker))
    }

    /// Serves until it ends, and then what is under way.
    pub fn run(mut self, shared: &Shared) {
        let mut events = Events::with_capacity(1024);
        let mut room = vec![0; ROOM];
        let mut turn = shared.turn.load(Ordering::Acquire);
        let mut desk = Desk {
            limits: shared.limits(),
            known: Known::new(Arc::clone(&shared.told)),
        };
        let (mut more, mut swept) = (Vec::new(), Instant::now());
        let mut ends_at: Option<Instant> = None;
        loop {
            let wait = if more.is_empty() {
                SWEEP
            } else {
                Duration::ZERO
            };
            if self.poll.poll(&mut events, Some(wait)).is_err() {
                continue; // a signal
            }
            let now_turn = shared.turn.load(Ordering::Acquire);
            if now_turn != turn {
                (desk.limits, turn) = (shared.limits(), now_turn);
            }
            let mut ready = std::mem::take(&mut more);
            for event in &events {
                match event.token() {
                    WAKER => {}
                    Token(number) if number >= MOST => {
                        self.accept(number - MOST, shared, &mut ready, ends_at.is_some());
                    }
                    Token(number) => ready.push((number, event.is_read_closed())),
                }
            }
            for (number, closing) in ready {
                let Some(Some(connection)) = self.connections.get_mut(number) else {
                    continue;
                };
                match connection.serve(&mut desk, &mut room, closing) {
                    Turn::Waits => {}
                    Turn::More => more.push((number, closing)),
                    Turn::Over => self.close(number),
                }
            }
            let now = Instant::now();
            if ends_at.is_none() && shared.ends.load(Ordering::Acquire) {
                ends_at = Some(now + DRAIN);
                for door in &mut self.doors {
                    let _ = self.poll.registry().deregister(door.source());
                }
            }
            if ends_at.is_some() {
                self.close_all(Connection::is_still);
                if self.connections.iter().all(Option::is_none)
                    || ends_at.is_some_and(|at| now > at)
                {
                    return;
                }
            }
            if now.duration_since(swept) > SWEEP {
                swept = now;
                self.close_all(|connection| connection.is_idle(now));
            }
        }
    }

    fn accept(&mut self, door: usize, shared: &Shared, ready: &mut Vec<(usize, bool)>, ends: bool) {
        while let Ok(mut connection) = self.doors[door].accept(shared) {
            let number = self.free.last().copied().unwrap_or(self.connections.len());
            let both = Interest::READABLE | Interest::WRITABLE;
            let watched = number < MOST && !ends;
            if !watched
                || self
                    .poll
                    .registry()
                    .register(connection.stream.source(), Token(number), both)
                    .is_err()
            {
                continue;
            }
            match self.free.pop() {
                Some(number) => self.connections[number] = Some(connection),
                None => self.connections.push(Some(connection)),
            }
            ready.push((number, true));
        }
    }

    fn close(&mut self, number: usize) {
        if let Some(mut connection) = self.connections[number].take() {
            let _ = self.poll.registry().deregister(connection.stream.source());
            self.free.push(number);
        }
    }

    fn close_all(&mut self, over: impl Fn(&Connection) -> bool) {
        for number in 0..self.connections.len() {
            if self.connections[number].as_ref().is_some_and(&over) {
                self.close(number);
            }
        }
    }
}
