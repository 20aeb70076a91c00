//! One connection's worth of one client: a plan that it follows, one request at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::identity::{Identity, identity_of};
use crate::program::{self, Send};
use crate::settings::Settings;

/// No connection, or no lane.
pub const NONE: u32 = u32::MAX;

/// The stages of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its next request is due some time.
    Waiting,
    /// Its next request is due, and no connection is free.
    Queued,
    /// Its next request is due, and the ceiling on the rate holds it back.
    Held,
    /// Its request is in flight.
    Busy,
    /// It sends nothing any more.
    Ended,
}

/// Times are ns of the run's clock.
pub struct Lane {
    /// The state of its plan.
    pub plan: program::Lane,
    /// The request that is in flight or comes next; instants count from `origin_ns`.
    pub send: Send,
    /// Instant at which its client joined.
    pub origin_ns: i64,
    /// Instant at which its last answer was complete.
    pub free_ns: i64,
    /// The instant that the schedule has it down for.
    pub due_ns: i64,
    /// Since when the pacer's slot of its next request was free; `i64::MIN`: it has none.
    pub slot_ns: i64,
    /// Number of the scenario's group that it belongs to.
    pub group: u32,
    /// Number of its client.
    pub client: u32,
    /// Its connection, in flight or idle.
    pub connection: u32,
    /// Its present occupation.
    pub stage: Stage,
    /// It ends after the request in flight.
    pub retired: bool,
    /// Its next request has waited for a connection.
    pub queued: bool,
    /// It has opened a connection before.
    pub connected: bool,
    identity: Identity,
    identity_alias: u32,
}

impl Lane {
    /// A lane that joins now; it has ended where its plan has nothing to send.
    pub fn join(settings: &Settings, number: u64, now_ns: i64) -> Self {
        let (group, client, connection) = settings.owner(number);
        let seed = format!("{}/{client}", settings.seed);
        let connections = settings.groups[group].connections;
        let mut plan = program::Lane::new(seed.as_bytes(), connection, connections);
        let first = settings.groups[group].program.first(&mut plan);
        Self {
            plan,
            stage: first.map_or(Stage::Ended, |_| Stage::Waiting),
            send: first.unwrap_or_default(),
            origin_ns: now_ns,
            free_ns: now_ns,
            due_ns: 0,
            slot_ns: i64::MIN,
            group: group as u32,
            client,
            connection: NONE,
            retired: false,
            queued: false,
            connected: false,
            identity: identity_of(&settings.namespace, client, 0),
            identity_alias: 0,
        }
    }

    /// Instant at which the schedule wants its next request sent.
    pub fn intended_ns(&self) -> i64 {
        self.origin_ns.saturating_add(self.send.intended_ns)
    }

    /// From when on the generator alone delays its next request.
    pub fn ready_ns(&self) -> i64 {
        self.intended_ns().max(self.free_ns).max(self.slot_ns)
    }

    /// The identity that its next request carries.
    pub fn identity(&mut self, namespace: &str) -> Identity {
        if self.identity_alias != self.send.alias {
            self.identity_alias = self.send.alias;
            self.identity = identity_of(namespace, self.client, self.send.alias);
        }
        self.identity
    }
}

/// Lanes by the instant at which they are due; those put off meanwhile are passed over.
#[derive(Default)]
pub struct Schedule {
    due: BinaryHeap<Reverse<(i64, u32)>>,
}

impl Schedule {
    /// Puts a lane down for an instant; what it was down for before is void.
    pub fn put(&mut self, lanes: &mut [Lane], lane: u32, due_ns: i64) {
        lanes[lane as usize].due_ns = due_ns;
        self.due.push(Reverse((due_ns, lane)));
    }

    /// The next instant for which a lane is down.
    pub fn next_ns(&mut self, lanes: &[Lane]) -> Option<i64> {
        while let Some(&Reverse((due_ns, lane))) = self.due.peek() {
            let lane = &lanes[lane as usize];
            if lane.due_ns == due_ns && matches!(lane.stage, Stage::Waiting | Stage::Busy) {
                return Some(due_ns);
            }
            self.due.pop();
        }
        None
    }

    /// Takes the lane that is down for the earliest instant, if that has come.
    pub fn take(&mut self, lanes: &mut [Lane], now_ns: i64) -> Option<u32> {
        let due_ns = self.next_ns(lanes)?;
        if due_ns > now_ns {
            return None;
        }
        let Reverse((_, lane)) = self.due.pop()?;
        lanes[lane as usize].due_ns = i64::MIN;
        Some(lane)
    }
}
