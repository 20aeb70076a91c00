//! Sockets that systemd opened and hands over: sd_listen_fds(3).

use std::os::fd::RawFd;

/// The first descriptor that is handed over.
const FIRST: RawFd = 3;

/// The sockets for this process, each with its name: "resp" speaks RESP, any other HTTP.
pub fn sockets() -> Vec<(RawFd, String)> {
    let told = |name| std::env::var(name).unwrap_or_default();
    if told("LISTEN_PID").parse() != Ok(std::process::id()) {
        return Vec::new();
    }
    let names = told("LISTEN_FDNAMES");
    let mut names = names.split(':').map(str::to_owned);
    let count: RawFd = told("LISTEN_FDS").parse().unwrap_or(0);
    let each = |number| (FIRST + number, names.next().unwrap_or_default());
    (0..count.clamp(0, 16)).map(each).collect()
}

/// True if a socket is one of the file system.
pub fn is_unix(socket: RawFd) -> bool {
    // SAFETY: the address is whole, its length is told, and both outlive the call.
    unsafe {
        let mut address: libc::sockaddr_storage = std::mem::zeroed();
        let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        let found = libc::getsockname(socket, (&raw mut address).cast(), &raw mut length);
        found == 0 && libc::c_int::from(address.ss_family) == libc::AF_UNIX
    }
}
