//! Settings of a run: a scenario, resolved and checked by the caller.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::identity::Tokens;
use crate::program::Program;

/// Clients of one behaviour.
pub struct Group {
    /// The behaviour of each of them.
    pub program: Arc<Program>,
    /// Number of the first client.
    pub first: u32,
    /// Number of clients.
    pub clients: u32,
    /// Number of connections that each of them owns, all on the same plan.
    pub connections: u32,
}

impl Group {
    /// Connections of all its clients.
    pub fn lanes(&self) -> u64 {
        u64::from(self.clients) * u64::from(self.connections)
    }
}

/// A run, complete.
pub struct Settings {
    /// Addresses to connect to, tried in this order.
    pub addresses: Vec<SocketAddr>,
    /// Configuration of TLS, and the peer's name; `None` for plain HTTP.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Bytes of a request before the identity.
    pub before: Vec<u8>,
    /// Bytes of a request after the identity.
    pub after: Vec<u8>,
    /// End of the header section in a whole request, for requests that drip.
    pub head_bytes: usize,
    /// True if answers have no body, as to HEAD.
    pub bodiless: bool,
    /// The clients; at least one group.
    pub groups: Vec<Group>,
    /// From the number of a client to the next one's: 1, or the shards of the run.
    pub step: u32,
    /// Of every draw.
    pub seed: u64,
    /// Text that makes the identities unique.
    pub namespace: String,
    /// The keys that clients send instead, where those were given.
    pub tokens: Option<Tokens>,
    /// Nothing is sent from this instant of the run on; `i64::MAX`: until stopped.
    pub duration_ns: i64,
    /// Sent in all, at most.
    pub max_requests: i64,
    /// For a whole request, from its start to the end of its answer.
    pub timeout_ns: i64,
    /// For connecting alone, TLS included.
    pub connect_timeout_ns: i64,
    /// Open at once in all; at least 1.
    pub max_connections: usize,
    /// Between any two requests of all clients together; `None`: no ceiling.
    pub pace_ns: Option<i64>,
    /// Status codes by which the limiter says no.
    pub rejected_statuses: Vec<u16>,
    /// Time by which a turn of a loop, or a request of its own fault, may be late.
    pub tolerance_ns: i64,
    /// Event loops; at least 1.
    pub loops: usize,
}

impl Settings {
    /// Lanes (connections of clients) of all groups.
    pub fn lanes(&self) -> u64 {
        self.groups.iter().map(Group::lanes).sum()
    }

    /// The place of the group and the number of the client of a lane, and which of its
    /// client's connections the lane is.
    ///
    /// Lanes beyond the last group's are those of clients that joined it later.
    pub fn owner(&self, lane: u64) -> (usize, u32, u32) {
        let mut first_lane = 0;
        for (place, group) in self.groups.iter().enumerate() {
            if lane < first_lane + group.lanes() || place + 1 == self.groups.len() {
                let client = (lane - first_lane) / u64::from(group.connections);
                let connection = (lane - first_lane) % u64::from(group.connections);
                let number = group.first + client as u32 * self.step;
                return (place, number, connection as u32);
            }
            first_lane += group.lanes();
        }
        unreachable!("there is at least one group")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_belong_to_groups_in_order_and_later_ones_to_the_last() {
        // One request, then the end of the plan: the least program there is.
        let program = Arc::new(Program::new(&[(0, 0, 0, 0.0)]).unwrap());
        let group = |first, clients, connections| Group {
            program: Arc::clone(&program),
            first,
            clients,
            connections,
        };
        let mut settings = Settings {
            addresses: Vec::new(),
            tls: None,
            before: Vec::new(),
            after: Vec::new(),
            head_bytes: 1,
            bodiless: false,
            groups: vec![group(0, 2, 1), group(2, 2, 3)],
            step: 1,
            seed: 0,
            namespace: "run".into(),
            tokens: None,
            duration_ns: i64::MAX,
            max_requests: i64::MAX,
            timeout_ns: 1,
            connect_timeout_ns: 1,
            max_connections: 8,
            pace_ns: None,
            rejected_statuses: Vec::new(),
            tolerance_ns: 1,
            loops: 1,
        };
        assert_eq!(settings.lanes(), 8);
        let owners: Vec<_> = (0..11).map(|lane| settings.owner(lane)).collect();
        assert_eq!(owners[..2], [(0, 0, 0), (0, 1, 0)]);
        assert_eq!(owners[2..5], [(1, 2, 0), (1, 2, 1), (1, 2, 2)]);
        assert_eq!(owners[5..8], [(1, 3, 0), (1, 3, 1), (1, 3, 2)]);
        assert_eq!(owners[8..], [(1, 4, 0), (1, 4, 1), (1, 4, 2)]);

        // The second of three shards of 1 + 6 clients: 1 and 4, later 7, 10, ...
        settings.groups = vec![group(1, 0, 1), group(1, 2, 2)];
        settings.step = 3;
        let owners: Vec<_> = (0..6).map(|lane| settings.owner(lane)).collect();
        assert_eq!(owners[..2], [(1, 1, 0), (1, 1, 1)]);
        assert_eq!(owners[2..4], [(1, 4, 0), (1, 4, 1)]);
        assert_eq!(owners[4..], [(1, 7, 0), (1, 7, 1)]);
    }
}
