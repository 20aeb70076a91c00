//! The event loops: one a core, each with its connections, all accepting from the same sockets.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, UnixListener};
use mio::{Events, Interest, Poll, Token, Waker};

use crate::activation::is_unix;
use crate::calls::Calls;
use crate::command::Desk;
use crate::connection::{Connection, Protocol, Stream, Turn};
use crate::limits::Limits;
use crate::metrics::{self, CONNECTIONS};
use crate::session::Session;
use crate::tls::{self, Tls};
use crate::told::{Known, Told};

const WAKER: Token = Token(usize::MAX);
/// Tokens from here on are doors.
const DOORS: usize = usize::MAX / 2;
/// Events that are taken at once.
const EVENTS: usize = 1024;
const ROOM: usize = 64 * 1024;
/// The longest time for the answers that are under way when it ends.
const DRAIN: Duration = Duration::from_secs(10);
const SWEEP: Duration = Duration::from_secs(1);

/// All that the loops share: the limits in force, the store, and whether it ends.
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
    /// Its path, where it is ours to remove.
    Unix(std::os::unix::net::UnixListener, Option<PathBuf>),
}

/// The protocol that is spoken at a socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Http,
    Resp,
    Grpc,
}

impl Listener {
    /// Listens at an address, or at the path of a Unix socket.
    ///
    /// # Errors
    /// It is taken, or cannot be.
    pub fn bind(host: &str, port: u16, speaks: Speaks) -> io::Result<Self> {
        if let Some(path) = host.strip_prefix("unix:") {
            let path = Path::new(path);
            // A socket that nobody listens at was left by one that died. A file refuses to be
            // connected to, as well, and is not ours to remove.
            let is_socket =
                std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
            let refuses = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
            if is_socket && std::os::unix::net::UnixStream::connect(path).is_err_and(refuses) {
                std::fs::remove_file(path)?;
            }
            let listener = std::os::unix::net::UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            let socket = Socket::Unix(listener, Some(path.to_owned()));
            return Ok(Self { socket, speaks });
        }
        let listener = std::net::TcpListener::bind((host, port))?;
        listener.set_nonblocking(true)?;
        let socket = Socket::Tcp(listener);
        Ok(Self { socket, speaks })
    }

    /// Takes over a socket that is listened at already.
    pub fn handed(socket: RawFd, speaks: Speaks) -> Self {
        // SAFETY: whoever started this process says that it is an open socket, and nobody else owns it.
        let socket = unsafe {
            match is_unix(socket) {
                true => Socket::Unix(FromRawFd::from_raw_fd(socket), None),
                false => Socket::Tcp(FromRawFd::from_raw_fd(socket)),
            }
        };
        let _ = match &socket {
            Socket::Unix(listener, _) => listener.set_nonblocking(true),
            Socket::Tcp(listener) => listener.set_nonblocking(true),
        };
        Self { socket, speaks }
    }

    /// True if other machines reach it.
    pub fn is_open_to_others(&self) -> bool {
        match &self.socket {
            Socket::Tcp(listener) => listener
                .local_addr()
                .is_ok_and(|address| !address.ip().to_canonical().is_loopback()),
            Socket::Unix(..) => false,
        }
    }

    /// The name of its place, for programs.
    pub fn name(&self) -> &'static str {
        match self.speaks {
            Speaks::Http => "url",
            Speaks::Resp => "resp",
            Speaks::Grpc => "rls",
        }
    }

    /// Its place, for people.
    pub fn place(&self, tls: bool) -> String {
        match &self.socket {
            Socket::Tcp(listener) => {
                let address = listener
                    .local_addr()
                    .map(|address: SocketAddr| address.to_string());
                let scheme = match (self.speaks, tls) {
                    (Speaks::Http, false) => "http",
                    (Speaks::Http, true) => "https",
                    (Speaks::Resp, false) => "redis",
                    (Speaks::Resp, true) => "rediss",
                    (Speaks::Grpc, false) => "grpc",
                    (Speaks::Grpc, true) => "grpcs",
                };
                format!("{scheme}://{}", address.unwrap_or_default())
            }
            Socket::Unix(listener, _) => {
                let address = listener.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                format!("unix:{}", path.unwrap_or(Path::new("")).display())
            }
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
        if let Socket::Unix(_, Some(path)) = &self.socket {
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

    fn accept(&self, shared: &Shared, tls: Option<&Tls>) -> io::Result<Connection> {
        let (stream, peer) = match &self.opening {
            Opening::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                // An answer is one write: nothing is gained by waiting for more.
                let _ = stream.set_nodelay(true);
                if self.speaks == Speaks::Resp {
                    keep_alive(&stream);
                }
                let stream = match tls {
                    Some(config) => {
                        let config = config.of(self.speaks == Speaks::Grpc);
                        Stream::Tls(tls::accepted(config, stream)?)
                    }
                    None => Stream::Tcp(stream),
                };
                (stream, Some(peer.ip()))
            }
            Opening::Unix(listener) => (Stream::Unix(listener.accept()?.0), None),
        };
        let protocol = match self.speaks {
            Speaks::Http => Protocol::Http { peer, skip: 0 },
            Speaks::Resp => {
                let number = shared.clients.fetch_add(1, Ordering::Relaxed) + 1;
                Protocol::Resp(Session::new(number as i64))
            }
            Speaks::Grpc => Protocol::Grpc(Box::new(Calls::new())),
        };
        Ok(Connection::new(stream, protocol))
    }
}

/// Has the machine find out if the client of a silent connection is gone, after 5 minutes, as Redis does.
fn keep_alive(stream: &impl AsRawFd) {
    let options = [
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 300),
        (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 100),
        (libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3),
    ];
    for (level, name, value) in options {
        let value: libc::c_int = value;
        // SAFETY: the number outlives the call, which is told its size.
        unsafe {
            libc::setsockopt(
                stream.as_raw_fd(),
                level,
                name,
                (&raw const value).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            );
        }
    }
}

/// Raises the number of descriptors that this process may have to what the machine allows.
pub fn allow_connections() {
    let mut most = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure is whole and outlives both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut most) == 0 {
            most.rlim_cur = most.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const most);
        }
    }
}

/// One event loop.
pub struct Loop {
    poll: Poll,
    doors: Vec<Door>,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// The most connections of all loops.
    most: u64,
}

impl Loop {
    /// A loop that accepts from the listeners as long as all loops have fewer connections than `most`,
    /// and what wakes it.
    ///
    /// # Errors
    /// The machine is out of descriptors.
    pub fn new(listeners: &[Listener], most: u64) -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let mut doors = Vec::new();
        for listener in listeners {
            let mut door = listener.shared()?;
            let token = Token(DOORS + doors.len());
            poll.registry()
                .register(door.source(), token, Interest::READABLE)?;
            doors.push(door);
        }
        let made = Self {
            poll,
            doors,
            connections: Vec::new(),
            free: Vec::new(),
            most,
        };
        Ok((made, waker))
    }

    /// Serves until it ends, and then what is under way.
    pub fn run(mut self, shared: &Shared, number: usize) {
        metrics::is_loop(number);
        let mut events = Events::with_capacity(EVENTS);
        let mut room = vec![0; ROOM];
        let mut turn = shared.turn.load(Ordering::Acquire);
        let mut desk = Desk {
            limits: shared.limits(),
            known: Known::new(Arc::clone(&shared.told)),
            ends: false,
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
            if ends_at.is_none() && shared.ends.load(Ordering::Acquire) {
                // Whoever is connected already may have asked.
                for door in 0..self.doors.len() {
                    self.accept(door, shared, &desk, &mut ready);
                    let _ = self.poll.registry().deregister(self.doors[door].source());
                }
                self.doors.clear();
                ends_at = Some(Instant::now() + DRAIN);
                desk.ends = true;
                for (number, each) in self.connections.iter_mut().enumerate() {
                    if each.as_mut().is_some_and(Connection::says_that_it_ends) {
                        ready.push((number, false));
                    }
                }
            }
            for event in &events {
                match event.token() {
                    WAKER => {}
                    Token(number) if number >= DOORS => {
                        if ends_at.is_none() {
                            self.accept(number - DOORS, shared, &desk, &mut ready);
                        }
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
            if let Some(ends_at) = ends_at {
                // Requests may wait behind events that were not taken yet.
                if more.is_empty() && events.iter().count() < EVENTS {
                    self.close_all(Connection::owes_nothing);
                }
                if self.connections.iter().all(Option::is_none) || now > ends_at {
                    return;
                }
            }
            if now.duration_since(swept) > SWEEP {
                swept = now;
                self.close_all(|connection| connection.is_idle(now));
                // Descriptors may have run out when these came.
                let mut ready = Vec::new();
                for door in 0..self.doors.len() {
                    self.accept(door, shared, &desk, &mut ready);
                }
                more.append(&mut ready);
            }
        }
    }

    fn accept(
        &mut self,
        door: usize,
        shared: &Shared,
        desk: &Desk,
        ready: &mut Vec<(usize, bool)>,
    ) {
        let tls = desk.limits.tls.as_ref();
        while let Ok(mut connection) = self.doors[door].accept(shared, tls) {
            if CONNECTIONS.fetch_add(1, Ordering::Relaxed) >= self.most {
                CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
                connection.turn_away();
                continue;
            }
            let number = self.free.last().copied().unwrap_or(self.connections.len());
            let both = Interest::READABLE | Interest::WRITABLE;
            let source = connection.stream.source();
            let registry = self.poll.registry();
            if registry.register(source, Token(number), both).is_err() {
                CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
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
            CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
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
