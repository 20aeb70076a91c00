//! Sockets that are listened at, and the doors that the event loops have to them.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use mio::net::{TcpListener, UnixListener};

use crate::activation::Handed;
use crate::calls::Calls;
use crate::connection::{Connection, Protocol, Stream};
use crate::session::Session;
use crate::tls::{self, Tls};

/// A socket that is listened at.
pub struct Listener {
    socket: Socket,
    speaks: Speaks,
}

enum Socket {
    Tcp(std::net::TcpListener),
    /// Its path and the file there, where that is ours to remove.
    Unix(std::os::unix::net::UnixListener, Option<(PathBuf, File)>),
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
        if let Some(path) = host.strip_prefix("unix:") {
            let path = Path::new(path);
            // A socket that nobody listens at was left by one that died. A file refuses to be
            // connected to, as well, and is not ours to remove.
            let is_socket =
                std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
            let refuses = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
            if is_socket && mio::net::UnixStream::connect(path).is_err_and(refuses) {
                std::fs::remove_file(path)?;
            }
            let listener = std::os::unix::net::UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            let socket = Socket::Unix(listener, Some((path.to_owned(), file_at(path)?)));
            return Ok(Self { socket, speaks });
        }
        let listener = std::net::TcpListener::bind((host, port))?;
        listener.set_nonblocking(true)?;
        let socket = Socket::Tcp(listener);
        Ok(Self { socket, speaks })
    }

    /// Takes over a socket that is listened at already.
    pub fn handed(handed: &Handed, speaks: Speaks) -> Self {
        // SAFETY: it was looked at, whoever started this process gave it away, and nobody else owns it.
        let socket = unsafe {
            match handed.is_unix {
                true => Socket::Unix(FromRawFd::from_raw_fd(handed.socket), None),
                false => Socket::Tcp(FromRawFd::from_raw_fd(handed.socket)),
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

    /// True if whoever asks there has no address, and could be known by one.
    pub fn tells_no_address(&self) -> bool {
        matches!(self.socket, Socket::Unix(..)) && self.speaks == Speaks::Http
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

    /// A door to it, for one loop.
    pub fn door(&self) -> io::Result<Door> {
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
        // Another process may have put its own there; no file gets this one's number while that is open.
        if let Socket::Unix(_, Some((path, ours))) = &self.socket
            && file_at(path).is_ok_and(|found| found == *ours)
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A listener as one loop has it.
pub struct Door {
    opening: Opening,
    speaks: Speaks,
}

enum Opening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Door {
    pub fn source(&mut self) -> &mut dyn mio::event::Source {
        match &mut self.opening {
            Opening::Tcp(listener) => listener,
            Opening::Unix(listener) => listener,
        }
    }

    /// A client that came; `clients` counts those of RESP.
    pub fn accept(&self, clients: &AtomicU64, tls: Option<&Tls>) -> io::Result<Connection> {
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
                let number = clients.fetch_add(1, Ordering::Relaxed) + 1;
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
