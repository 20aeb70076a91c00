//! Whole runs against a server of our own.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rateproof_simulate::engine::Engine;
use rateproof_simulate::outcome::{ErrorKind, Outcome};
use rateproof_simulate::program::{Code, Program};
use rateproof_simulate::rows::{NULL, Row};
use rateproof_simulate::settings::{Group, Settings};

/// Ten requests, each as soon as the answer to the last one is there: count, send, resume, loop.
const TEN_AT_ONCE: [Code; 4] = [
    (15, 0, 10, 0.0),
    (0, 0, 0, 0.0),
    (6, 0, 0, 0.0),
    (16, 1, 0, 0.0),
];
const BEFORE: &[u8] = b"GET /?clientId=";
const AFTER: &[u8] = b" HTTP/1.1\r\nHost: here\r\n\r\n";

/// Answers every request with 200, and counts them and the connections that are open.
#[derive(Default)]
struct Server {
    requests: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

impl Server {
    fn start(self: &Arc<Self>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::clone(self);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let server = Arc::clone(&server);
                thread::spawn(move || server.serve(stream.unwrap()));
            }
        });
        address
    }

    fn serve(&self, mut stream: TcpStream) {
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_open.fetch_max(open, Ordering::SeqCst);
        for line in BufReader::new(stream.try_clone().unwrap()).lines() {
            if line.is_ok_and(|line| line.is_empty()) {
                self.requests.fetch_add(1, Ordering::SeqCst);
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                if stream.write_all(answer).is_err() {
                    break;
                }
            }
        }
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

fn settings(addresses: Vec<SocketAddr>, clients: u32, max_connections: usize) -> Settings {
    Settings {
        addresses,
        tls: None,
        before: BEFORE.to_vec(),
        after: AFTER.to_vec(),
        head_bytes: BEFORE.len() + 18 + AFTER.len(),
        bodiless: false,
        groups: vec![Group {
            program: Arc::new(Program::new(&TEN_AT_ONCE).unwrap()),
            first: 0,
            clients,
            connections: 1,
        }],
        step: 1,
        seed: 7,
        namespace: "run".into(),
        tokens: None,
        duration_ns: i64::MAX,
        max_requests: i64::MAX,
        timeout_ns: 60_000_000_000,
        connect_timeout_ns: 60_000_000_000,
        max_connections,
        pace_ns: None,
        rejected_statuses: vec![503],
        tolerance_ns: 10_000_000,
        loops: 2,
    }
}

fn begun(settings: Settings) -> Engine {
    let engine = Engine::new(settings).unwrap();
    engine.begin(0);
    engine
}

fn rows_of(engine: &Engine) -> Vec<Row> {
    let mut all = Vec::new();
    while let Some(mut rows) = engine.read(Duration::from_millis(50)) {
        all.append(&mut rows);
    }
    all
}

#[test]
fn every_request_that_the_server_saw_is_one_row() {
    let server = Arc::new(Server::default());
    let engine = begun(settings(vec![server.start()], 20, 20));
    let rows = rows_of(&engine);
    let audit = engine.join().unwrap();
    assert_eq!(rows.len(), 200);
    assert_eq!(server.requests.load(Ordering::SeqCst), 200);
    assert_eq!(audit.lag.count, 200);
    let sequences: HashSet<_> = rows.iter().map(|row| row.sequence).collect();
    assert_eq!(sequences, (0..200).collect());
    let mut clients = BTreeMap::new();
    for row in &rows {
        *clients.entry(row.client).or_insert(0) += 1;
        assert_eq!(
            (row.status, row.bytes, row.outcome),
            (200, 2, Outcome::Admitted)
        );
        assert!(row.intended_ns <= row.sent_ns && row.sent_ns < row.received_ns);
        assert!(row.received_ns <= row.done_ns);
    }
    assert!(clients.len() == 20 && clients.values().all(|&requests| requests == 10));
}

#[test]
fn more_lanes_than_connections_take_turns() {
    let server = Arc::new(Server::default());
    let engine = begun(settings(vec![server.start()], 20, 4));
    let rows = rows_of(&engine);
    assert_eq!(rows.len(), 200);
    assert!(rows.iter().all(|row| row.error == ErrorKind::None));
    assert!(server.most_open.load(Ordering::SeqCst) <= 4 + 2); // closing takes a moment
}

#[test]
fn the_next_address_is_tried_where_nobody_listens() {
    let server = Arc::new(Server::default());
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = silent.local_addr().unwrap();
    drop(silent);
    let engine = begun(settings(vec![nobody, server.start()], 2, 2));
    let rows = rows_of(&engine);
    assert_eq!(rows.len(), 20);
    assert!(rows.iter().all(|row| row.status == 200));
}

#[test]
fn a_refused_connection_is_a_row_without_an_answer() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = silent.local_addr().unwrap();
    drop(silent);
    let engine = begun(settings(vec![nobody], 2, 2));
    let rows = rows_of(&engine);
    assert_eq!(rows.len(), 20);
    for row in rows {
        assert_eq!(
            (row.error, row.outcome),
            (ErrorKind::Refused, Outcome::Unknown)
        );
        assert_eq!((row.status, row.received_ns), (NULL, NULL));
    }
}

#[test]
fn a_run_that_is_told_to_stop_drains() {
    let server = Arc::new(Server::default());
    let forever = [(0, 0, 0, 0.0), (6, 0, 0, 0.0), (13, 0, 0, 0.0)];
    let mut endless = settings(vec![server.start()], 4, 4);
    endless.groups[0].program = Arc::new(Program::new(&forever).unwrap());
    let engine = begun(endless);
    while server.requests.load(Ordering::SeqCst) < 100 {
        thread::yield_now();
    }
    engine.shared.control.stop();
    let rows = rows_of(&engine);
    engine.join().unwrap();
    assert_eq!(rows.len(), server.requests.load(Ordering::SeqCst));
    assert!(rows.iter().all(|row| row.status == 200));
}

#[test]
fn a_run_that_is_given_up_waits_for_nobody_and_hides_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap(); // accepts, never answers
    let engine = begun(settings(vec![silent.local_addr().unwrap()], 4, 4));
    let _held: Vec<_> = (0..4).map(|_| silent.accept().unwrap()).collect();
    engine.shared.control.abandon();
    let rows = rows_of(&engine);
    engine.join().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert_eq!(
            (row.error, row.outcome),
            (ErrorKind::Other, Outcome::Unknown)
        );
    }
}
