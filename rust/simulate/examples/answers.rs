//! The least server that a load can have: one epoll loop that answers every request, and counts.
//!
//! `answers PORT` listens on loopback. A request is what one read gives, without a body; the
//! answer to `/counted` has the number of requests so far as its body, this one included.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const LISTENER: Token = Token(0);

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let port = port.ok_or_else(|| io::Error::other("usage: answers PORT"))?;
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    let mut poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut events, mut buffer) = (Events::with_capacity(1024), [0; 1 << 16]);
    let (mut connections, mut opened, mut counted) = (HashMap::new(), 0, 0_u64);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    opened += 1;
                    let _ = stream.set_nodelay(true);
                    let token = Token(opened);
                    poll.registry()
                        .register(&mut stream, token, Interest::READABLE)?;
                    connections.insert(token, stream);
                }
                continue;
            }
            let Some(stream) = connections.get_mut(&event.token()) else {
                continue;
            };
            let answered = match stream.read(&mut buffer) {
                Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    counted += 1;
                    if buffer[..count].starts_with(b"GET /counted ") {
                        let body = counted.to_string();
                        let length = body.len();
                        write!(
                            stream,
                            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
                        )
                    } else {
                        stream.write_all(ANSWER)
                    }
                }
                Err(error) => Err(error),
            };
            if answered.is_err_and(|error| error.kind() != ErrorKind::WouldBlock) {
                connections.remove(&event.token());
            }
        }
    }
}
