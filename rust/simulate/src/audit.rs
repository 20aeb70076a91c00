//! How far the generator kept its own schedule: what makes a run valid or not.

use crate::histogram::Histogram;

/// What one loop, or a whole run, owes to its own slowness.
#[derive(Clone, Default)]
pub struct Audit {
    /// Sent - intended, ns, never below 0.
    pub lag: Histogram,
    /// The part of it that neither the server nor the pacer caused.
    pub own_lag: Histogram,
    /// Requests that the pacer held back.
    pub paced: u64,
    /// Requests whose own lag is above the tolerance.
    pub late: u64,
    /// Requests that were due before the end and never sent.
    pub dropped: u64,
    /// Turns of a loop above the tolerance.
    pub stalls: u64,
    /// The longest turn.
    pub stall_max_ns: i64,
    /// Processor time of the loops.
    pub cpu_ns: i64,
    /// Time from the start to the end of the loops, all added up.
    pub wall_ns: i64,
}

impl Audit {
    /// Adds another loop's.
    pub fn add(&mut self, other: &Self) {
        self.lag.merge(&other.lag);
        self.own_lag.merge(&other.own_lag);
        self.paced += other.paced;
        self.late += other.late;
        self.dropped += other.dropped;
        self.stalls += other.stalls;
        self.stall_max_ns = self.stall_max_ns.max(other.stall_max_ns);
        self.cpu_ns += other.cpu_ns;
        self.wall_ns += other.wall_ns;
    }
}
