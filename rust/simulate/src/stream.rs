//! One connection, in clear or in TLS, read and written without ever waiting.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::{ClientConfig, ClientConnection, Error as TlsError};
use rustls_pki_types::ServerName;

/// Reasons why a connection cannot be used any longer.
#[derive(Debug)]
pub enum StreamError {
    /// The peer speaks no TLS, or proves no identity that is trusted.
    Tls(TlsError),
    /// The socket failed, or the peer ended where it must not.
    Socket(io::Error),
}

impl From<io::Error> for StreamError {
    /// Tells the failures of TLS from those of the socket, of whatever [`Stream`] returned.
    fn from(error: io::Error) -> Self {
        match error.downcast::<TlsError>() {
            Ok(error) => Self::Tls(error),
            Err(error) => Self::Socket(error),
        }
    }
}

/// A connection whose socket does not block.
pub enum Stream {
    /// In clear: `read` and `write` are one system call each.
    Plain(TcpStream),
    /// Within TLS.
    Tls(Box<TlsStream>),
}

/// A socket with a TLS session over it.
pub struct TlsStream {
    socket: TcpStream,
    session: ClientConnection,
    /// The end of the connection behind data that was handed out first.
    failed: Option<io::Error>,
}

impl Stream {
    /// A connection that will speak TLS to `name`, which its certificate must bear.
    ///
    /// Nothing is sent yet; [`Stream::advance`] does the handshake.
    ///
    /// # Errors
    /// `Tls` where the settings do not fit together.
    pub fn tls(
        socket: TcpStream,
        config: &Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, StreamError> {
        let session = ClientConnection::new(Arc::clone(config), name).map_err(StreamError::Tls)?;
        Ok(Self::Tls(Box::new(TlsStream {
            socket,
            session,
            failed: None,
        })))
    }

    /// The socket, to register it for events.
    pub fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &mut stream.socket,
        }
    }

    /// Reads plaintext.
    ///
    /// Within TLS a result below the length of `buffer` means, as it does of a plain socket, that
    /// there are no more data now, neither in the socket nor in the session. An end or a failure
    /// that has come right behind them is told by the next call, perhaps without another event:
    /// whoever waits for edges reads on until it blocks, ends or fails.
    ///
    /// # Returns
    /// Number of bytes; 0: the peer ended, within TLS by its `close_notify`.
    ///
    /// # Errors
    /// `WouldBlock` where there is nothing now. Within TLS `UnexpectedEof` where the connection
    /// ended without `close_notify`: anybody on the way can forge such an end, so it completes no
    /// body (RFC 8446, section 6.1; RFC 9112, section 9.8); between two answers it is a close like
    /// any other. `StreamError::from` tells what failed.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }

    /// Writes plaintext, as much as is taken now.
    ///
    /// Within TLS what is taken may still wait for the socket: see [`Stream::advance`].
    ///
    /// # Errors
    /// `WouldBlock` where nothing is taken now.
    pub fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(data),
            Self::Tls(stream) => stream.write(data),
        }
    }

    /// Goes on with the handshake and with records that wait to be sent.
    ///
    /// # Returns
    /// True: ready for data, and nothing waits; always so of a connection in clear. False: call
    /// again after the next event of the socket.
    ///
    /// # Errors
    /// `Tls` for whatever ends the handshake short of the socket's own failures, a close by the
    /// peer included.
    pub fn advance(&mut self) -> Result<bool, StreamError> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Tls(stream) => stream.advance(),
        }
    }
}

impl TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        let mut stopped = self.failed.take();
        while count < buffer.len() {
            match self.session.reader().read(&mut buffer[count..]) {
                Ok(0) => return Ok(count), // close_notify, and again at the next call
                Ok(read) => count += read,
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    stopped = Some(error);
                    break;
                }
                // The session is empty; and once more after a failure, before which data came.
                Err(_) if stopped.is_none() => stopped = self.receive().err(),
                Err(_) => break,
            }
        }
        match stopped {
            Some(error) if count == 0 && !buffer.is_empty() => Err(error),
            other => {
                self.failed = other.filter(|error| !waits(error));
                Ok(count)
            }
        }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let taken = self.session.writer().write(data)?;
        self.flush()?;
        if taken == 0 && !data.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(taken)
    }

    fn advance(&mut self) -> Result<bool, StreamError> {
        loop {
            if !self.flush()? {
                return Ok(false);
            }
            if !self.session.is_handshaking() {
                return Ok(true);
            }
            match self.receive() {
                Ok(0) => {
                    let what = "the peer closed the connection during the handshake";
                    return Err(StreamError::Tls(TlsError::General(what.into())));
                }
                Ok(_) => {}
                Err(error) if waits(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes what the socket has into the session; 0: the peer's end.
    fn receive(&mut self) -> io::Result<usize> {
        let count = uninterrupted(|| self.session.read_tls(&mut self.socket))?;
        if let Err(error) = self.session.process_new_packets() {
            // The alert that tells the peer why; the connection is lost with or without it.
            let _ = self.session.write_tls(&mut self.socket);
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
        // What the session answers to a key update leaves with the next write.
        Ok(count)
    }

    /// True if all that waited has left.
    fn flush(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match uninterrupted(|| self.session.write_tls(&mut self.socket)) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if waits(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Before a socket is connected it says `NotConnected`, where others would block.
fn waits(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::NotConnected
    )
}

fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
