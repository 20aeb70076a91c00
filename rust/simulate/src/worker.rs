//! One event loop: its lanes, its schedule, its connections, on one thread.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::audit::Audit;
use crate::clock::{Alarm, monotonic_ns, thread_cpu_ns};
use crate::control::Control;
use crate::lane::{Lane, NONE, Schedule};
use crate::pacer::Pacer;
use crate::pool::Pool;
use crate::rows::Recorder;
use crate::settings::Settings;
use crate::start::Start;

const ALARM: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);
const EVENTS_A_TURN: usize = 1_024;
const READ_BYTES: usize = 1 << 16;
/// Rows reach their reader at least so often.
const FLUSH_NS: i64 = 20_000_000;
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// State shared by the loops of a run.
pub struct Shared {
    /// The scenario.
    pub settings: Settings,
    /// Control of the run.
    pub control: Control,
    /// Its ceiling.
    pub pacer: Option<Pacer>,
    /// Counts the requests.
    pub sequences: AtomicI64,
    /// Counts the connections.
    pub connections: AtomicI64,
    /// Lanes of all loops that have not ended.
    pub active: AtomicI64,
    /// The barrier at which the loops wait before it begins.
    pub start: Start,
}

/// One event loop; times are ns of the run's clock unless they say monotonic.
pub struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) number: usize,
    pub(crate) poll: Poll,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) schedule: Schedule,
    pub(crate) pool: Pool,
    /// Dripping requests in flight, by the monotonic instants of their next pieces.
    pub(crate) drips: Schedule,
    /// Lanes that wait for a connection.
    pub(crate) queue: VecDeque<u32>,
    /// Lanes that wait for a slot, and when the next one is free.
    pub(crate) held: VecDeque<u32>,
    pub(crate) slot_ns: i64,
    pub(crate) deadlines: BinaryHeap<Reverse<(i64, u32)>>,
    pub(crate) recorder: Recorder,
    pub(crate) audit: Audit,
    pub(crate) request: Vec<u8>,
    pub(crate) buffer: Box<[u8]>,
    /// Of the target's addresses, the one that answered last.
    pub(crate) address: usize,
    /// Lanes that have not ended.
    pub(crate) active: usize,
    /// Monotonic instant of the run's 0.
    shift_ns: i64,
    pub(crate) paused_at_ns: Option<i64>,
    pub(crate) stopping: bool,
    /// Instant at which it was told to stop; `i64::MAX` until then.
    pub(crate) stopped_ns: i64,
    changes: u64,
    bursts: u64,
    extra_clients: i64,
    alarm: Alarm,
}

impl Worker {
    /// A loop that is ready to begin.
    ///
    /// # Errors
    /// The system has no descriptor left for it.
    pub fn new(shared: Arc<Shared>, number: usize, recorder: Recorder) -> io::Result<Self> {
        let poll = Poll::new()?;
        let alarm = Alarm::new()?;
        poll.registry().register(
            &mut SourceFd(&alarm.descriptor()),
            ALARM,
            Interest::READABLE,
        )?;
        shared
            .control
            .add_waker(Waker::new(poll.registry(), WAKER)?);
        let settings = &shared.settings;
        let most = settings.max_connections;
        let share = most / settings.loops + usize::from(number < most % settings.loops);
        let identity = [b'-'; crate::identity::IDENTITY_BYTES];
        let request = [&settings.before[..], &identity, &settings.after].concat();
        Ok(Self {
            number,
            poll,
            lanes: Vec::new(),
            schedule: Schedule::default(),
            pool: Pool::new(share.max(1)),
            drips: Schedule::default(),
            queue: VecDeque::new(),
            held: VecDeque::new(),
            slot_ns: 0,
            deadlines: BinaryHeap::new(),
            recorder,
            audit: Audit::default(),
            request,
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            address: 0,
            active: 0,
            shift_ns: 0,
            paused_at_ns: None,
            stopping: false,
            stopped_ns: i64::MAX,
            changes: 0,
            bursts: 0,
            extra_clients: 0,
            alarm,
            shared,
        })
    }

    /// Runs to the end of the run, and returns what it owes to its own slowness.
    ///
    /// # Errors
    /// The system's event queue failed.
    pub fn run(mut self) -> io::Result<Audit> {
        self.join_lanes(self.shared.settings.lanes(), 0);
        let Some(start_ns) = self.shared.start.wait() else {
            return Ok(self.audit);
        };
        let cpu_ns = thread_cpu_ns();
        self.shift_ns = start_ns;
        let ended = self.turns();
        self.let_go();
        self.recorder.flush();
        self.audit.cpu_ns = thread_cpu_ns() - cpu_ns;
        self.audit.wall_ns = monotonic_ns() - start_ns;
        ended.map(|()| self.audit)
    }

    fn turns(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_A_TURN);
        let tolerance_ns = self.shared.settings.tolerance_ns;
        let mut flushed_ns = monotonic_ns();
        let (mut asleep_ns, mut beat_ns) = (flushed_ns, 0);
        while (self.active > 0 || !self.is_over()) && !self.shared.control.abandoned() {
            let turned_ns = monotonic_ns();
            self.heed_wishes(turned_ns);
            for event in &events {
                if event.token().0 < NONE as usize {
                    self.on_ready(event.token().0 as u32, event);
                }
            }
            self.give_up(turned_ns);
            self.start_due();
            let now_ns = monotonic_ns();
            // Of a wait only what is beyond the heartbeat is known to be the loop's own delay.
            self.audit
                .stood_still(now_ns - asleep_ns - beat_ns, tolerance_ns);
            if self.recorder.overruns() {
                self.audit.overrun = true;
                self.shared.control.stop();
            }
            if now_ns - flushed_ns >= FLUSH_NS {
                self.recorder.flush();
                flushed_ns = now_ns;
            }
            // While answers may come, the loop wakes so often that it notices when it was kept from it.
            let awaits = self.pool.is_busy();
            (asleep_ns, beat_ns) = (
                now_ns,
                if awaits {
                    tolerance_ns / 2
                } else {
                    i64::MAX / 2
                },
            );
            let wait = self.wait_until(now_ns, flushed_ns, beat_ns)?;
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// True if nobody sends any more: until then a client may join, in this loop too.
    fn is_over(&self) -> bool {
        self.stopping
            || self.shared.active.load(Ordering::Acquire) <= 0
            || self.elapsed_ns(monotonic_ns()) >= self.shared.settings.duration_ns
    }

    /// Sets the alarm for what comes next, and returns how long to wait at most.
    fn wait_until(&mut self, now_ns: i64, flushed_ns: i64, beat_ns: i64) -> io::Result<Duration> {
        let mut next_ns = now_ns.saturating_add(beat_ns);
        if self.paused_at_ns.is_none() {
            if !self.queue.is_empty() && self.pool.can_serve() {
                return Ok(Duration::ZERO);
            }
            let end_ns = self.shared.settings.duration_ns;
            let mut due_ns = self.schedule.next_ns(&self.lanes).unwrap_or(i64::MAX);
            if !self.stopping && self.elapsed_ns(now_ns) < end_ns {
                due_ns = due_ns.min(end_ns);
            }
            if !self.held.is_empty() {
                due_ns = due_ns.min(self.slot_ns);
            }
            next_ns = next_ns.min(self.monotonic_of(due_ns));
        }
        if let Some(piece_ns) = self.drips.next_ns(&self.lanes) {
            next_ns = next_ns.min(piece_ns);
        }
        if let Some(&Reverse((deadline_ns, _))) = self.deadlines.peek() {
            next_ns = next_ns.min(deadline_ns);
        }
        if !self.recorder.is_empty() {
            next_ns = next_ns.min(flushed_ns + FLUSH_NS);
        }
        if next_ns <= now_ns {
            return Ok(Duration::ZERO);
        }
        self.alarm.set(next_ns)?;
        Ok(LONGEST_WAIT)
    }

    /// The run's clock, which stands still during a pause.
    pub(crate) fn elapsed_ns(&self, monotonic_ns: i64) -> i64 {
        let until_ns = self
            .paused_at_ns
            .map_or(monotonic_ns, |at_ns| monotonic_ns.min(at_ns));
        until_ns - self.shift_ns
    }

    /// The monotonic instant of an instant of the run.
    pub(crate) fn monotonic_of(&self, elapsed_ns: i64) -> i64 {
        elapsed_ns.saturating_add(self.shift_ns)
    }

    fn heed_wishes(&mut self, now_ns: i64) {
        if self.shared.control.stopping() && !self.stopping {
            self.stopping = true;
            self.stopped_ns = self.elapsed_ns(now_ns);
            self.end_waiting();
        }
        let changes = self.shared.control.changes();
        if changes == self.changes {
            return;
        }
        self.changes = changes;
        let wishes = self.shared.control.wishes();
        self.paused_at_ns = wishes.paused_at_ns;
        self.shift_ns = self.shared.start.instant_ns() + wishes.paused_ns;
        let elapsed_ns = self.elapsed_ns(now_ns);
        if wishes.extra_clients != self.extra_clients {
            self.extra_clients = wishes.extra_clients;
            self.change_clients(wishes.extra_clients, elapsed_ns);
        }
        if wishes.bursts != self.bursts {
            self.bursts = wishes.bursts;
            self.send_all_now(elapsed_ns);
        }
    }
}
