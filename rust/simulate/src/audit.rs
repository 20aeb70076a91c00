//! Audit of the generator against its own schedule: is a run valid?

use crate::histogram::Histogram;

/// The effects of its own slowness on one loop, or on a whole run.
#[derive(Clone, Default)]
pub struct Audit {
    /// Sent - intended, ns, never below 0.
    pub lag: Histogram,
    /// The part of it for which no connection of those that are allowed was free.
    pub connection_wait: Histogram,
    /// The part of it that the loop alone caused: neither the server, the pacer nor that wait.
    pub own_lag: Histogram,
    /// Requests that the pacer held back.
    pub paced: u64,
    /// Requests whose own lag is above the tolerance.
    pub late: u64,
    /// Requests that were due before the end and never sent.
    pub dropped: u64,
    /// Requests whose wait for a connection is above the tolerance.
    pub waited: u64,
    /// Connections opened by lanes that had opened one before.
    pub reconnects: u64,
    /// Requests for which the machine had no descriptor or port left.
    pub unsent: u64,
    /// Number of times that a loop stood still beyond the tolerance, at work or waking up.
    pub stalls: u64,
    /// For how long in all.
    pub stalled_ns: i64,
    /// For how long at most.
    pub stall_max_ns: i64,
    /// Rows waited for their reader in such numbers that the run was ended.
    pub overrun: bool,
    /// Processor time of the loops.
    pub cpu_ns: i64,
    /// Time from the start to the end of the loops, all added up.
    pub wall_ns: i64,
}

impl Audit {
    /// Counts a request's own lag.
    pub fn own_late(&mut self, own_lag_ns: i64, tolerance_ns: i64) {
        self.own_lag.add(own_lag_ns);
        self.late += u64::from(own_lag_ns > tolerance_ns);
    }

    /// Counts a request's wait for a connection, 0 where it had none.
    pub fn waits(&mut self, wait_ns: i64, tolerance_ns: i64) {
        self.connection_wait.add(wait_ns);
        self.waited += u64::from(wait_ns > tolerance_ns);
    }

    /// Counts a time for which a loop stood still, if it is above the tolerance.
    pub fn stood_still(&mut self, stall_ns: i64, tolerance_ns: i64) {
        if stall_ns > tolerance_ns {
            self.stalls += 1;
            self.stalled_ns += stall_ns;
            self.stall_max_ns = self.stall_max_ns.max(stall_ns);
        }
    }

    /// Adds another loop's.
    pub fn add(&mut self, other: &Self) {
        self.lag.merge(&other.lag);
        self.connection_wait.merge(&other.connection_wait);
        self.own_lag.merge(&other.own_lag);
        self.paced += other.paced;
        self.late += other.late;
        self.dropped += other.dropped;
        self.waited += other.waited;
        self.reconnects += other.reconnects;
        self.unsent += other.unsent;
        self.stalls += other.stalls;
        self.stalled_ns += other.stalled_ns;
        self.overrun |= other.overrun;
        self.stall_max_ns = self.stall_max_ns.max(other.stall_max_ns);
        self.cpu_ns += other.cpu_ns;
        self.wall_ns += other.wall_ns;
    }
}
