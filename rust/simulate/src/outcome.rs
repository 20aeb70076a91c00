//! Outcomes of requests, in one byte each.

/// The limiter's decision, as far as an answer shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// It got past the limiter.
    Admitted = 0,
    /// The limiter said no.
    Rejected = 1,
    /// No answer, or one that does not tell.
    Unknown = 2,
}

impl Outcome {
    /// Every outcome's name, by its number.
    pub const NAMES: [&str; 3] = ["admitted", "rejected", "unknown"];

    /// The outcome of an answer: a rejected status, another 5xx or 408 or no status, or the rest.
    pub fn of(status: u16, rejected: &[u16]) -> Self {
        if rejected.contains(&status) {
            Self::Rejected
        } else if !(100..500).contains(&status) || status == 408 {
            Self::Unknown
        } else {
            Self::Admitted
        }
    }
}

/// Faults of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ErrorKind {
    /// Nothing did.
    None = 0,
    /// No listener.
    Refused,
    /// The connection was torn down before the answer was whole.
    Reset,
    /// The connection ended before the answer was whole.
    Closed,
    /// The time for the whole request, or for connecting, was over.
    Timeout,
    /// The answer is not HTTP.
    Protocol,
    /// The peer's certificate or its way of speaking TLS.
    Tls,
    /// A body or a head above the bound.
    Oversized,
    /// No descriptor or no port left on this machine.
    Local,
    /// The rest, such as no route.
    Other,
}

impl ErrorKind {
    /// Every kind's name, by its number.
    pub const NAMES: [&str; 10] = [
        "",
        "refused",
        "reset",
        "closed",
        "timeout",
        "protocol",
        "tls",
        "oversized",
        "local",
        "other",
    ];

    /// The kind of an operating system's error.
    pub fn of(error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        match (error.kind(), error.raw_os_error()) {
            (Io::ConnectionRefused, _) => Self::Refused,
            (Io::ConnectionReset | Io::BrokenPipe | Io::ConnectionAborted, _) => Self::Reset,
            (Io::TimedOut, _) => Self::Timeout,
            (Io::UnexpectedEof, _) => Self::Closed,
            (Io::AddrNotAvailable, _) | (_, Some(libc::EMFILE | libc::ENFILE)) => Self::Local,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_server_says_nothing_of_its_limiter() {
        let of = |status| Outcome::of(status, &[429, 503]);
        assert_eq!(of(200), Outcome::Admitted);
        assert_eq!(of(404), Outcome::Admitted);
        assert_eq!(of(429), Outcome::Rejected);
        assert_eq!(of(503), Outcome::Rejected);
        assert_eq!(of(500), Outcome::Unknown);
        assert_eq!(of(0), Outcome::Unknown);
        assert_eq!(
            of(408),
            Outcome::Unknown,
            "it may never have read the request"
        );
    }

    #[test]
    fn names_stand_at_their_numbers() {
        assert_eq!(ErrorKind::NAMES[ErrorKind::Other as usize], "other");
        assert_eq!(ErrorKind::NAMES[ErrorKind::Protocol as usize], "protocol");
        assert_eq!(Outcome::NAMES[Outcome::Unknown as usize], "unknown");
    }
}
