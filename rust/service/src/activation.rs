//! systemd: sockets that it opened and hands over, sd_listen_fds(3), and that it is told of the start, sd_notify(3).

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use socket2::{Domain, Socket, Type};

/// The first descriptor that is handed over.
const FIRST: RawFd = 3;

/// A socket that is listened at already.
pub struct Handed {
    pub socket: Socket,
    pub name: String,
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
        let (number, name) = (FIRST + number, name.to_owned());
        // SAFETY: whoever started this process gave it away; nothing is done with what is no socket.
        let socket = ManuallyDrop::new(unsafe { Socket::from_raw_fd(number) });
        check(&socket).map_err(|found| {
            format!(
                "descriptor {number}, handed over as {name:?}, {found} \
                 (a TCP or Unix stream socket that listens: ListenStream=, Accept=no)"
            )
        })?;
        let socket = ManuallyDrop::into_inner(socket);
        Ok(Handed { socket, name })
    };
    (0..).zip(names).map(each).collect()
}

/// The mistake if it is no socket that streams are accepted from.
fn check(socket: &Socket) -> Result<(), String> {
    let told = |error: io::Error| format!("cannot be used: {error}");
    if socket.r#type().map_err(told)? != Type::STREAM {
        return Err("is no stream socket".to_owned());
    }
    if !socket.is_listener().map_err(told)? {
        return Err("does not listen".to_owned());
    }
    match socket.domain().map_err(told)? {
        Domain::UNIX | Domain::IPV4 | Domain::IPV6 => Ok(()),
        family => Err(format!("is of address family {}", i32::from(family))),
    }
}

/// Tells whoever started it and waits for that of its state, such as `READY=1`.
pub fn say(state: &str) {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let address = match place.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&place),
    };
    let told =
        address.and_then(|place| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &place));
    if let Err(error) = told {
        tell!("rateproof: cannot tell NOTIFY_SOCKET {place:?} {state:?}: {error}");
    }
}
