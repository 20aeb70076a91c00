//! One answer after another on one connection.

use super::chunked::Chunks;
use super::head::{Body, Head, MAX_HEAD, read_head};
use super::{Fault, Reply};

/// Interim answers before a final one; more are [`Fault::Protocol`].
const MAX_INTERIM: u32 = 64;
/// `HTTP/1.1 200`: so many bytes tell the status.
const STATUS_BYTES: usize = 12;
/// Size that the buffer for heads in pieces keeps between answers.
const KEPT: usize = 4096;

/// Reads the answers of one connection, one request at a time; at first, of one that was not HEAD.
///
/// However the bytes are cut into pieces, the outcome is the same; where an answer
/// arrives in one piece, nothing is copied or allocated. [`Fault::Protocol`] is, besides
/// what is not HTTP: more than 64 interim answers, more than 64 KiB of chunk extensions and
/// trailers. [`Fault::Oversized`] is, besides a body: more than 64 KiB of status line and fields,
/// more than 100 fields.
/// Interim (1xx) answers are skipped, but for 101, which is final (RFC 9110, section 15.2).
/// The body's length is that of RFC 9112, section 6.3.
#[derive(Debug, Default)]
pub struct Parser {
    state: State,
    /// The part of a head that has arrived, where it did not arrive in one piece.
    partial: Vec<u8>,
    reply: Option<Reply>,
    head: bool,
    statuses: u32,
    persistent: bool,
    surplus: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    Sized(u64),
    Chunked(Chunks),
    UntilClose,
    Complete,
    Failed(Fault),
}

impl Parser {
    /// Forgets the last answer: the next bytes are of the answer to the next request.
    ///
    /// `head`: its method is HEAD, so its answer has no body.
    pub fn begin(&mut self, head: bool) {
        let mut partial = std::mem::take(&mut self.partial);
        partial.clear();
        partial.shrink_to(KEPT);
        *self = Self {
            partial,
            head,
            ..Self::default()
        };
    }

    /// Takes in what has arrived; true once the answer is complete.
    ///
    /// A fault stays: whatever is fed after it, it is returned again. Bytes after a
    /// complete answer only make the connection not reusable.
    pub fn feed(&mut self, data: &[u8]) -> Result<bool, Fault> {
        let result = self.take(data);
        if let Err(fault) = result {
            self.state = State::Failed(fault);
        }
        result
    }

    /// The peer has closed the connection. Ok where the answer is complete by that, or was.
    pub fn end(&mut self) -> Result<(), Fault> {
        match &self.state {
            State::Complete => {}
            State::UntilClose => self.state = State::Complete,
            State::Chunked(chunks) if chunks.ended() => self.state = State::Complete,
            State::Failed(fault) => return Err(*fault),
            State::Head => {
                let fault = read_head(&self.partial, self.head).err();
                return self.fail(fault.unwrap_or(Fault::Closed));
            }
            State::Sized(_) | State::Chunked(_) => return self.fail(Fault::Closed),
        }
        self.persistent = false;
        Ok(())
    }

    /// Number of status codes that have arrived, all three digits, interim ones included.
    ///
    /// Only some bytes later it is known if a status is the final one. The time of the piece
    /// that raised this figure last is the arrival of the final status, once there is a reply.
    pub fn statuses(&self) -> u32 {
        self.statuses
    }

    /// The answer, once its head is complete; it stays after a fault.
    pub fn reply(&self) -> Option<&Reply> {
        self.reply.as_ref()
    }

    /// The answer is complete and another request may be sent on the connection.
    ///
    /// Not so where either side would not keep it (RFC 9112, section 9.3), after surplus
    /// bytes, after an upgrade, and where Content-Length stood beside Transfer-Encoding.
    pub fn reusable(&self) -> bool {
        matches!(self.state, State::Complete) && self.persistent && !self.surplus
    }

    fn fail(&mut self, fault: Fault) -> Result<(), Fault> {
        self.state = State::Failed(fault);
        Err(fault)
    }

    fn take(&mut self, data: &[u8]) -> Result<bool, Fault> {
        let rest = match self.state {
            State::Failed(fault) => return Err(fault),
            State::Head => match self.take_head(data)? {
                None => return Ok(false),
                Some(rest) => rest,
            },
            _ => data,
        };
        let Some(reply) = &mut self.reply else {
            return Ok(false); // never: what is no longer a head has a reply
        };
        let (used, complete) = match &mut self.state {
            State::Sized(left) => {
                let used = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                reply.count(used)?;
                *left -= used as u64;
                (used, *left == 0)
            }
            State::Chunked(chunks) => chunks.take(rest, reply)?,
            State::UntilClose => {
                reply.count(rest.len())?;
                (rest.len(), false)
            }
            State::Complete => (0, true),
            State::Failed(_) | State::Head => (0, false),
        };
        if complete {
            self.surplus |= used < rest.len();
            self.state = State::Complete;
        }
        Ok(complete)
    }

    /// The bytes after the final head, or None while that is not complete.
    fn take_head<'a>(&mut self, mut data: &'a [u8]) -> Result<Option<&'a [u8]>, Fault> {
        while let Some(first) = data.first() {
            let before = self.partial.len();
            // A line end here belongs to no status line.
            if before == 0 && matches!(first, b'\r' | b'\n') {
                return Err(Fault::Protocol);
            }
            let missing = STATUS_BYTES.saturating_sub(before);
            if missing > 0 && data.len() >= missing && !data[..missing].contains(&b'\n') {
                self.statuses += 1;
            }
            let piece = &data[..data.len().min(MAX_HEAD - before)];
            let whole = match before {
                0 => read_head(piece, self.head).ok().flatten(),
                _ => None,
            };
            let found = match whole {
                Some(found) => Some(found),
                None => self.add_partial(piece)?,
            };
            let Some((head, length)) = found else {
                return Ok(None);
            };
            self.partial.clear();
            data = data
                .get(length.saturating_sub(before)..)
                .unwrap_or_default();
            if let Some(head) = head {
                self.persistent = head.persistent;
                self.reply = Some(head.reply);
                self.state = match head.body {
                    Body::Sized(length) => State::Sized(length),
                    Body::Chunked => State::Chunked(Chunks::default()),
                    Body::UntilClose => State::UntilClose,
                };
                return Ok(Some(data));
            }
            if self.statuses > MAX_INTERIM {
                return Err(Fault::Protocol);
            }
        }
        Ok(None)
    }
    /// The same with a piece more, read as far as lines are whole: only so is the outcome the
    /// same for any pieces, and a server that sends byte by byte costs no time.
    fn add_partial(&mut self, piece: &[u8]) -> Result<Option<(Option<Head>, usize)>, Fault> {
        self.partial.extend_from_slice(piece);
        if let Some(back) = piece.iter().rev().position(|&byte| byte == b'\n') {
            let lines = &self.partial[..self.partial.len() - back];
            let found = read_head(lines, self.head)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        match self.partial.len() {
            MAX_HEAD => {
                let fault = read_head(&self.partial, self.head).err();
                Err(fault.unwrap_or(Fault::Oversized))
            }
            _ => Ok(None),
        }
    }
}
