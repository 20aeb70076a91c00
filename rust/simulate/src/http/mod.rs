//! Reading answers: HTTP/1.1 and 1.0, from whatever pieces the network makes of them.

mod chunked;
mod fields;
mod head;
mod response;
#[cfg(test)]
mod tests;

pub use response::Parser;

/// A longer body is given up: [`Fault::Oversized`]. The same as in the threads transport.
pub const MAX_BODY: u64 = 1 << 20;

/// Reasons for giving up an answer; the words for them are those of the threads transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not HTTP, or it is beyond a bound of [`Parser`].
    Protocol,
    /// The peer closed the connection before the answer was whole.
    Closed,
    /// Its body is longer than [`MAX_BODY`], or its head is beyond a bound of [`Parser`].
    Oversized,
}

/// The part of an answer that is kept.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// Of the final status line, 100 to 999; of 1xx only 101 is final.
    pub status: u16,
    /// Length of the body so far, without the framing of chunks.
    pub bytes: u64,
    /// See [`fields::parse_retry_after`]; NaN for none.
    pub retry_after_s: f64,
    /// `r` of [`fields::parse_ratelimit`]; `i64::MIN` for none.
    pub ratelimit_remaining: i64,
    /// `t` of [`fields::parse_ratelimit`]; NaN for none.
    pub ratelimit_reset_s: f64,
}

impl Reply {
    /// Counts bytes of the body; those beyond the bound only as one.
    fn count(&mut self, bytes: usize) -> Result<(), Fault> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes > MAX_BODY {
            self.bytes = MAX_BODY + 1;
            return Err(Fault::Oversized);
        }
        Ok(())
    }
}
