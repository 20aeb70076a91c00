//! Claims about connections, against a real TLS server on the loopback.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::*;
use crate::tls::{client_config, server_name};

type Session = StreamOwned<ServerConnection, std::net::TcpStream>;

/// An authority, its certificate in a file, and a server's settings with a certificate of it.
struct Authority {
    file: PathBuf,
    config: Arc<ServerConfig>,
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

impl Authority {
    fn new(test: &str, names: &[&str]) -> Self {
        let issuer = KeyPair::generate().unwrap();
        let params = calling_itself_authority(&[]);
        let root = params.self_signed(&issuer).unwrap();
        let issuer = Issuer::new(params, issuer);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(owned(names)).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        Self::of(test, &root, leaf.into(), &key)
    }

    /// A server that vouches for itself.
    fn itself(test: &str, params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self::of(test, &certificate, certificate.der().clone(), &key)
    }

    fn of(test: &str, root: &Certificate, own: CertificateDer<'static>, key: &KeyPair) -> Self {
        let name = format!("rateproof-{test}-{}.pem", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, root.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own], key.into())
            .unwrap();
        Self {
            file,
            config: Arc::new(config),
        }
    }
}

fn calling_itself_authority(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(owned(names)).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Serves one connection in a thread.
fn serve<T: Send + 'static>(
    config: &Arc<ServerConfig>,
    script: impl FnOnce(Session) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let session = ServerConnection::new(Arc::clone(config)).unwrap();
    let thread = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        socket.set_nodelay(true).unwrap();
        script(StreamOwned::new(session, socket))
    });
    (at, thread)
}

/// A stream and the event loop that waits for its edges.
struct Client {
    stream: Stream,
    poll: Poll,
}

impl Client {
    fn new(at: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> Self {
        let socket = TcpStream::connect(at).unwrap();
        Self::of(Stream::tls(socket, config, server_name(name).unwrap()).unwrap())
    }

    fn of(mut stream: Stream) -> Self {
        let poll = Poll::new().unwrap();
        let both = Interest::READABLE | Interest::WRITABLE;
        let registry = poll.registry();
        registry.register(stream.socket(), Token(0), both).unwrap();
        Self { stream, poll }
    }

    fn wait(&mut self) {
        let mut events = Events::with_capacity(8);
        self.poll
            .poll(&mut events, Some(Duration::from_secs(60)))
            .unwrap();
        assert!(
            !events.is_empty(),
            "no edge came: something was left unread or unsent"
        );
    }

    fn ready(&mut self) -> Result<(), StreamError> {
        while !self.stream.advance()? {
            self.wait();
        }
        Ok(())
    }

    fn send(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            match self.stream.write(data) {
                Ok(count) => data = &data[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(),
                Err(error) => panic!("{error}"),
            }
        }
        self.ready().unwrap();
    }

    /// Reads as the engine does: a result that fills the buffer is followed by another read,
    /// every other one waits for an edge where it blocks.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(),
                other => return other,
            }
        }
    }

    fn rest(&mut self, step: usize) -> (Vec<u8>, io::Result<usize>) {
        let mut all = Vec::new();
        let mut buffer = vec![0; step];
        loop {
            match self.receive(&mut buffer) {
                Ok(count) if count > 0 => all.extend(&buffer[..count]),
                end => return (all, end),
            }
        }
    }
}

fn refused(client: &mut Client) -> String {
    match client.ready() {
        Err(StreamError::Tls(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn large_texts_cross_whole_in_both_directions_on_edges_alone() {
    let authority = Authority::new("echo", &["localhost"]);
    let text: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let expected = text.len();
    let (at, server) = serve(&authority.config, move |mut session| {
        let mut heard = vec![0; expected];
        session.read_exact(&mut heard).unwrap();
        session.write_all(&heard).unwrap();
        session.conn.send_close_notify();
        session.flush().unwrap();
    });
    let config = client_config(Some(&authority.file), false).unwrap();
    let mut client = Client::new(at, &config, "localhost");
    client.ready().unwrap();
    client.send(&text);
    let (echo, end) = client.rest(1_000); // much less than a record
    assert!(echo == text);
    assert_eq!(end.unwrap(), 0);
    server.join().unwrap();
}

#[test]
fn http_1_1_is_what_is_agreed_on() {
    let authority = Authority::new("alpn", &["127.0.0.1"]);
    let mut config = (*authority.config).clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (at, server) = serve(&Arc::new(config), |mut session| {
        session.write_all(b"x").unwrap();
        session.conn.alpn_protocol().map(<[u8]>::to_vec)
    });
    let config = client_config(Some(&authority.file), false).unwrap();
    let mut client = Client::new(at, &config, "127.0.0.1");
    client.ready().unwrap();
    assert_eq!(client.receive(&mut [0; 9]).unwrap(), 1);
    assert_eq!(server.join().unwrap().unwrap(), b"http/1.1");
}

#[test]
fn an_end_without_close_notify_is_no_clean_end_and_comes_after_the_data() {
    let authority = Authority::new("cut", &["127.0.0.1"]);
    let (at, server) = serve(&authority.config, |mut session| {
        session.write_all(b"half an ans").unwrap();
    });
    let config = client_config(Some(&authority.file), false).unwrap();
    let mut client = Client::new(at, &config, "127.0.0.1");
    client.ready().unwrap();
    server.join().unwrap();
    let (heard, end) = client.rest(100);
    assert_eq!(heard, b"half an ans");
    assert_eq!(end.unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn what_breaks_a_session_behind_data_is_told_after_them_as_tls() {
    let authority = Authority::new("broken", &["127.0.0.1"]);
    let (at, server) = serve(&authority.config, |mut session| {
        session.write_all(b"fine").unwrap();
        session
            .sock
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        session
    });
    let config = client_config(Some(&authority.file), false).unwrap();
    let mut client = Client::new(at, &config, "127.0.0.1");
    client.ready().unwrap();
    let _open = server.join().unwrap();
    let (heard, end) = client.rest(100);
    assert_eq!(heard, b"fine");
    assert!(matches!(end.unwrap_err().into(), StreamError::Tls(_)));
}

#[test]
fn only_certificates_of_the_given_authority_for_the_name_are_trusted() {
    let (mine, other) = (
        Authority::new("mine", &["localhost"]),
        Authority::new("other", &["localhost"]),
    );
    for (ca, name, insecure, expected) in [
        (Some(&mine.file), "localhost", false, None),
        (
            Some(&other.file),
            "localhost",
            false,
            Some("invalid peer certificate"),
        ),
        (
            Some(&mine.file),
            "127.0.0.1",
            false,
            Some("not valid for name"),
        ),
        (
            Some(&mine.file),
            "example.test",
            false,
            Some("not valid for name"),
        ),
        (None, "localhost", false, Some("invalid peer certificate")),
        (None, "example.test", true, None),
    ] {
        let (at, server) = serve(&mine.config, |mut session| session.read(&mut [0]).is_ok());
        let config = match client_config(ca.map(PathBuf::as_path), insecure) {
            Ok(config) => config,
            Err(_) if ca.is_none() => continue, // a system without authorities
            Err(error) => panic!("{error}"),
        };
        let mut client = Client::new(at, &config, name);
        match expected {
            None => {
                client.ready().unwrap();
                client.send(b"x");
                assert!(server.join().unwrap());
            }
            Some(part) => {
                let said = refused(&mut client);
                assert!(said.contains(part), "{said}");
            }
        }
    }
}

#[test]
fn a_certificate_that_signed_itself_is_trusted_where_it_was_given_for_its_name_and_time() {
    let plain = CertificateParams::new(owned(&["localhost"])).unwrap();
    let calling = calling_itself_authority(&["localhost"]);
    let mut over = calling.clone();
    over.not_after = rcgen::date_time_ymd(2020, 1, 1);
    for (at, (params, name, good)) in [
        (&plain, "localhost", true),
        (&calling, "localhost", true),
        (&calling, "example.test", false),
        (&over, "localhost", false),
    ]
    .into_iter()
    .enumerate()
    {
        let server = Authority::itself(&format!("itself-{at}"), params);
        let (at, _server) = serve(&server.config, |mut session| session.read(&mut [0]).is_ok());
        let config = client_config(Some(&server.file), false).unwrap();
        let mut client = Client::new(at, &config, name);
        if good {
            client.ready().unwrap();
        } else {
            refused(&mut client);
        }
    }
}

#[test]
fn a_server_without_tls_and_one_that_hangs_up_are_failures_of_tls() {
    let authority = Authority::new("plain", &["localhost"]);
    let config = client_config(Some(&authority.file), false).unwrap();
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""] {
        let (at, _server) = serve(&authority.config, move |mut session| {
            assert!(session.sock.read(&mut [0; 2_000]).unwrap() > 0);
            session.sock.write_all(answer).unwrap();
        });
        refused(&mut Client::new(at, &config, "localhost"));
    }
}

#[test]
fn a_connection_in_clear_is_ready_at_once_and_ends_with_the_peer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut client = Client::of(Stream::Plain(socket));
    let (mut peer, _) = listener.accept().unwrap();
    client.ready().unwrap();
    client.send(b"hello");
    let mut heard = [0; 5];
    peer.read_exact(&mut heard).unwrap();
    peer.write_all(&heard).unwrap();
    drop(peer);
    let (echo, end) = client.rest(100);
    assert_eq!((&echo[..], end.unwrap()), (&b"hello"[..], 0));
}
