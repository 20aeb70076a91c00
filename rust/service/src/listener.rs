//! Sockets that are listened at, and the doors that the event loops have to them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::{Socket, TcpKeepalive};

use crate::calls::Calls;
use crate::connection::{Connection, Protocol, Stream};
use crate::session::Session;
use crate::tls::{self, Tls};

/// A socket that is listened at.
pub struct Listener {
    socket: Socket,
    speaks: Speaks,
    /// The path of a Unix socket and the file there, where that is ours to remove.
    file: Option<(PathBuf, File)>,
}

/// A file of the machine, whatever its name is: device and number.
type File = (u64, u64);

fn file_at(path: &Path) -> io::Result<File> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
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
        let Some(path) = host.strip_prefix("unix:").map(Path::new) else {
            let socket = TcpListener::bind((host, port))?.into();
            return Self::of(socket, speaks, None);
        };
        // A socket that nobody listens at was left by one that died. A file refuses to be
        // connected to, as well, and is not ours to remove.
        let is_socket =
            std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
        let refuses = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        if is_socket && mio::net::UnixStream::connect(path).is_err_and(refuses) {
            std::fs::remove_file(path)?;
        }
        let socket = UnixListener::bind(path)?.into();
        Self::of(socket, speaks, Some((path.to_owned(), file_at(path)?)))
    }

    /// Takes over a socket that is listened at already, and the file that is its.
    ///
    /// # Errors
    /// It can wait for nobody.
    pub fn of(socket: Socket, speaks: Speaks, file: Option<(PathBuf, File)>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            speaks,
            file,
        })
    }

    /// Its address; a Unix socket has none.
    fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()?.as_socket()
    }

    /// True if other machines reach it.
    pub fn is_open_to_others(&self) -> bool {
        let address = self.address();
        address.is_some_and(|address| !address.ip().to_canonical().is_loopback())
    }

    /// True if whoever asks there has no address, and could be known by one.
    pub fn tells_no_address(&self) -> bool {
        self.address().is_none() && self.speaks == Speaks::Http
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
        let scheme = match self.speaks {
            Speaks::Http => "http",
            Speaks::Resp => "redis",
            Speaks::Grpc => "grpc",
        };
        match self.address() {
            Some(address) if tls => format!("{scheme}s://{address}"),
            Some(address) => format!("{scheme}://{address}"),
            None => {
                let address = self.socket.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                format!("unix:{}", path.unwrap_or(Path::new("")).display())
            }
        }
    }

    /// A door to it, for one loop.
    pub fn door(&self) -> io::Result<Door> {
        let (socket, speaks) = (self.socket.try_clone()?, self.speaks);
        Ok(Door { socket, speaks })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Another process may have put its own there; no file gets this one's number while that is open.
        if let Some((path, ours)) = &self.file
            && file_at(path).is_ok_and(|found| found == *ours)
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A listener as one loop has it.
pub struct Door {
    pub socket: Socket,
    speaks: Speaks,
}

impl Door {
    /// A client that came; `clients` counts those of RESP.
    pub fn accept(&self, clients: &AtomicU64, tls: Option<&Tls>) -> io::Result<Connection> {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let (socket, peer) = self.socket.accept4(flags)?;
        let peer = peer.as_socket().map(|address| address.ip());
        if peer.is_some() {
            // An answer is one write: nothing is gained by waiting for more.
            let _ = socket.set_tcp_nodelay(true);
        }
        if peer.is_some() && self.speaks == Speaks::Resp {
            // The machine finds out if the client of a silent connection is gone, after 5 minutes, as Redis does.
            let seconds = Duration::from_secs;
            let silent = TcpKeepalive::new().with_time(seconds(300)).with_retries(3);
            let _ = socket.set_tcp_keepalive(&silent.with_interval(seconds(100)));
        }
        let stream = match tls.filter(|_| peer.is_some()) {
            Some(config) => {
                let config = config.of(self.speaks == Speaks::Grpc);
                Stream::Tls(tls::accepted(config, socket)?)
            }
            None => Stream::Plain(socket),
        };
        let protocol = match self.speaks {
            Speaks::Http => Protocol::Http {
                peer,
                skip: 0,
                page: None,
            },
            Speaks::Resp => {
                let number = clients.fetch_add(1, Ordering::Relaxed) + 1;
                Protocol::Resp(Session::new(number as i64))
            }
            Speaks::Grpc => Protocol::Grpc(Box::new(Calls::new())),
        };
        Ok(Connection::new(stream, protocol))
    }
}
