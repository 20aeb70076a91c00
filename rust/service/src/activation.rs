//! systemd: sockets that it opened and hands over, sd_listen_fds(3), and that it is told of the start, sd_notify(3).

use std::io;
use std::os::fd::RawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The first descriptor that is handed over.
const FIRST: RawFd = 3;

/// A socket that is listened at already.
pub struct Handed {
    pub socket: RawFd,
    pub name: String,
    /// It is one of the file system.
    pub is_unix: bool,
}

/// The sockets for this process.
///
/// # Errors
/// One of them is none that is listened at, or their names are fewer or more.
pub fn sockets() -> Result<Vec<Handed>, String> {
    let told = |name| std::env::var(name).ok();
    if told("LISTEN_PID").and_then(|process| process.parse().ok()) != Some(std::process::id()) {
        return Ok(Vec::new());
    }
    let count = told("LISTEN_FDS").unwrap_or_else(|| "0".to_owned());
    let known: Option<u16> = count.parse().ok();
    let known = known.ok_or_else(|| format!("LISTEN_FDS is {count:?} (a number of sockets)"))?;
    let told = told("LISTEN_FDNAMES");
    let names: Vec<&str> = match &told {
        Some(names) if known > 0 => names.split(':').collect(),
        _ => vec![""; known.into()],
    };
    if names.len() != usize::from(known) {
        let names = names.join(":");
        return Err(format!(
            "LISTEN_FDNAMES is {names:?}, but LISTEN_FDS is {known} (a name for each: FileDescriptorName=)"
        ));
    }
    let each = |(number, name): (RawFd, &str)| {
        let (socket, name) = (FIRST + number, name.to_owned());
        let is_unix = is_unix(socket).map_err(|found| {
            format!(
                "descriptor {socket}, handed over as {name:?}, {found} \
                 (a TCP or Unix stream socket that listens: ListenStream=, Accept=no)"
            )
        })?;
        Ok(Handed {
            socket,
            name,
            is_unix,
        })
    };
    (0..).zip(names).map(each).collect()
}

/// Says that it serves, to whoever started it and waits for that.
pub fn say_ready() {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let address = match place.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&place),
    };
    let told = address.and_then(|place| UnixDatagram::unbound()?.send_to_addr(b"READY=1", &place));
    if let Err(error) = told {
        tell!("rateproof: cannot tell NOTIFY_SOCKET {place:?} that it serves: {error}");
    }
}

/// True if a socket that is listened at is one of the file system; else what is the matter with it.
fn is_unix(socket: RawFd) -> Result<bool, String> {
    let option = |name| option(socket, name).map_err(|error| format!("cannot be used: {error}"));
    if option(libc::SO_TYPE)? != libc::SOCK_STREAM {
        return Err("is no stream socket".to_owned());
    }
    if option(libc::SO_ACCEPTCONN)? == 0 {
        return Err("does not listen".to_owned());
    }
    match option(libc::SO_DOMAIN)? {
        libc::AF_UNIX => Ok(true),
        libc::AF_INET | libc::AF_INET6 => Ok(false),
        family => Err(format!("is of address family {family}")),
    }
}

fn option(socket: RawFd, name: libc::c_int) -> io::Result<libc::c_int> {
    let (mut value, mut length) = (0, size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: both outlive the call, which is told the size.
    let found = unsafe {
        let value: *mut libc::c_int = &raw mut value;
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            name,
            value.cast(),
            &raw mut length,
        )
    };
    match found {
        0 => Ok(value),
        _ => Err(io::Error::last_os_error()),
    }
}
