//! The event loops: one a core, each with its connections, all accepting from the same sockets.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;

use crate::command::Desk;
use crate::connection::{Connection, Turn};
use crate::limits::Limits;
use crate::listener::{Door, Listener};
use crate::metrics::{self, CONNECTIONS};
use crate::told::{Known, Told};

const WAKER: Token = Token(usize::MAX);
/// Tokens from here on are doors.
const DOORS: usize = usize::MAX / 2;
/// Events that are taken at once.
const EVENTS: usize = 1024;
const ROOM: usize = 64 * 1024;
/// The longest time for the answers that are under way when it ends.
const DRAIN: Duration = Duration::from_secs(10);
/// The time for requests that clients send on open connections before they see that it ends.
const GRACE: Duration = Duration::from_secs(1);
const SWEEP: Duration = Duration::from_secs(1);
/// The time until a client that waits for what no event tells of has its next turn.
const PAUSE: Duration = Duration::from_millis(1);
/// As long as events come within this time, a loop looks for them before it sleeps: to be woken
/// would cost the client's processor more.
const SOON: Duration = Duration::from_micros(20);
/// After so many looks in vain it rests for the longest time: 2 to the power of this, in rounds.
const MOST_IN_VAIN: u32 = 6;

/// All that the loops share: the limits in force, the store, and whether it ends.
pub struct Shared {
    limits: Mutex<Arc<Limits>>,
    pub told: Arc<Told>,
    clients: AtomicU64,
    turn: AtomicU64,
    ends: AtomicBool,
}

impl Shared {
    pub fn new(limits: Limits, told: Told) -> Self {
        Self {
            limits: Mutex::new(Arc::new(limits)),
            told: Arc::new(told),
            clients: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            ends: AtomicBool::new(false),
        }
    }

    /// The limits in force.
    pub fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts others in their place.
    pub fn replace(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
        self.turn.fetch_add(1, Ordering::Release);
    }

    pub fn end(&self) {
        self.ends.store(true, Ordering::Release);
    }
}

/// Raises the number of descriptors that this process may have to what the machine allows.
pub fn allow_connections() {
    let mut most = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure is whole and outlives both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut most) == 0 {
            most.rlim_cur = most.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const most);
        }
    }
}

/// A thread's time slice on a processor that others want, too.
const SLICE: Duration = Duration::from_micros(100);

/// Asks for short time slices of this thread: Linux (from 6.12 on) then lets it answer at once on a
/// processor where the one who asks has more to do.
fn take_short_slices() {
    let mut how = scheduled();
    if how.sched_policy == libc::SCHED_OTHER as libc::c_uint {
        how.sched_runtime = SLICE.as_nanos() as libc::c_ulong;
        // SAFETY: the kernel reads one structure of plain numbers, which outlives the call.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const how, 0) };
    }
}

/// The machine's plan for this thread.
fn scheduled() -> libc::sched_attr {
    let size = size_of::<libc::sched_attr>() as libc::c_uint;
    // SAFETY: zero is a value of each field; the kernel writes at most `size` bytes.
    unsafe {
        let mut how: libc::sched_attr = std::mem::zeroed();
        libc::syscall(libc::SYS_sched_getattr, 0, &raw mut how, size, 0);
        how
    }
}

/// One event loop.
pub struct Loop {
    poll: Poll,
    doors: Vec<Door>,
    connections: Slab<Connection>,
    /// The most connections of all loops.
    most: u64,
    /// The last looks for events that found none, and rounds until it looks again.
    in_vain: u32,
    rest: u32,
}

impl Loop {
    /// A loop that accepts from the listeners as long as all loops have fewer connections than `most`,
    /// and what wakes it.
    ///
    /// # Errors
    /// The machine is out of descriptors.
    pub fn new(listeners: &[Listener], most: u64) -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let mut doors = Vec::new();
        for listener in listeners {
            let (door, token) = (listener.door()?, Token(DOORS + doors.len()));
            let mut source = SourceFd(&door.socket.as_raw_fd());
            poll.registry()
                .register(&mut source, token, Interest::READABLE)?;
            doors.push(door);
        }
        let made = Self {
            poll,
            doors,
            connections: Slab::new(),
            most,
            in_vain: 0,
            rest: 0,
        };
        Ok((made, waker))
    }

    /// Serves until it ends, and then what is under way.
    pub fn run(mut self, shared: &Shared, number: usize) {
        metrics::is_loop(number);
        take_short_slices();
        let mut events = Events::with_capacity(EVENTS);
        let mut room = vec![0; ROOM];
        let mut turn = shared.turn.load(Ordering::Acquire);
        let mut desk = Desk::new(shared.limits(), Known::new(Arc::clone(&shared.told)));
        let (mut more, mut swept) = (Vec::new(), Instant::now());
        let (mut ends_at, mut soon): (Option<Instant>, bool) = (None, false);
        loop {
            let (longest, looks) = match more.is_empty() {
                true if ends_at.is_some() => (GRACE / 4, soon),
                true => (SWEEP, soon),
                false if std::mem::take(&mut desk.waits) => (PAUSE, false),
                false => (Duration::ZERO, false),
            };
            let begun = Instant::now();
            if self.wait(&mut events, longest, looks).is_err() {
                continue; // a signal
            }
            soon = !events.is_empty() && begun.elapsed() < SOON;
            let now_turn = shared.turn.load(Ordering::Acquire);
            if now_turn != turn {
                (desk.limits, turn) = (shared.limits(), now_turn);
            }
            let mut ready = std::mem::take(&mut more);
            if ends_at.is_none() && shared.ends.load(Ordering::Acquire) {
                // Whoever is connected already may have asked.
                for door in 0..self.doors.len() {
                    self.accept(door, shared, &desk, &mut ready);
                }
                for door in self.doors.drain(..) {
                    let mut source = SourceFd(&door.socket.as_raw_fd());
                    let _ = self.poll.registry().deregister(&mut source);
                }
                ends_at = Some(Instant::now() + DRAIN);
                desk.ends = true;
                for (number, each) in &mut self.connections {
                    if each.says_that_it_ends() {
                        ready.push((number, false));
                    }
                }
            }
            for event in &events {
                match event.token() {
                    WAKER => {}
                    Token(number) if number >= DOORS => {
                        if ends_at.is_none() {
                            self.accept(number - DOORS, shared, &desk, &mut ready);
                        }
                    }
                    Token(number) => ready.push((number, event.is_read_closed())),
                }
            }
            // Answers are sent once all requests were taken: clients then have several at a time.
            let answered = self.serve_all(ready, &mut desk, &mut room, &mut more);
            let again = self.serve_all(answered, &mut desk, &mut room, &mut more);
            more.extend(again);
            let now = Instant::now();
            if let Some(ends_at) = ends_at {
                // Requests may wait behind events that were not taken yet.
                let all_taken = more.is_empty() && events.iter().count() < EVENTS;
                if all_taken && ends_at.duration_since(now) < DRAIN - GRACE {
                    self.close_all(Connection::owes_nothing);
                }
                if self.connections.is_empty() || now > ends_at {
                    return;
                }
            }
            if now.duration_since(swept) > SWEEP {
                swept = now;
                self.close_all(|connection| connection.is_idle(now));
                // Descriptors may have run out when these came.
                let mut ready = Vec::new();
                for door in 0..self.doors.len() {
                    self.accept(door, shared, &desk, &mut ready);
                }
                more.append(&mut ready);
            }
        }
    }

    /// Events, waited for as long as `longest`; before it sleeps, it `looks` for them. After looks in vain it
    /// looks less often: nothing comes while it looks where the clients have the same processor.
    fn wait(&mut self, events: &mut Events, longest: Duration, looks: bool) -> io::Result<()> {
        if looks && self.rest == 0 {
            let begun = Instant::now();
            while begun.elapsed() < SOON {
                self.poll.poll(events, Some(Duration::ZERO))?;
                if !events.is_empty() {
                    self.in_vain = 0;
                    return Ok(());
                }
            }
            self.in_vain = MOST_IN_VAIN.min(self.in_vain + 1);
            self.rest = 1 << self.in_vain;
        }
        self.rest = self.rest.saturating_sub(1);
        self.poll.poll(events, Some(longest))
    }

    /// Gives each connection its turn; those with answers to send, and added, those with more to do.
    fn serve_all(
        &mut self,
        ready: Vec<(usize, bool)>,
        desk: &mut Desk,
        room: &mut [u8],
        more: &mut Vec<(usize, bool)>,
    ) -> Vec<(usize, bool)> {
        let mut answered = Vec::new();
        for (number, closing) in ready {
            let Some(connection) = self.connections.get_mut(number) else {
                continue;
            };
            match connection.serve(desk, room, closing) {
                Turn::Waits => {}
                Turn::Answered => answered.push((number, closing)),
                Turn::More => more.push((number, closing)),
                Turn::Over => self.close(number),
            }
        }
        answered
    }

    fn accept(
        &mut self,
        door: usize,
        shared: &Shared,
        desk: &Desk,
        ready: &mut Vec<(usize, bool)>,
    ) {
        let tls = desk.limits.tls.as_ref();
        while let Ok(mut connection) = self.doors[door].accept(&shared.clients, tls) {
            if CONNECTIONS.fetch_add(1, Ordering::Relaxed) >= self.most {
                CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
                connection.turn_away();
                continue;
            }
            let place = self.connections.vacant_entry();
            let number = place.key();
            let both = Interest::READABLE | Interest::WRITABLE;
            let mut source = SourceFd(&connection.stream.socket().as_raw_fd());
            let registry = self.poll.registry();
            if registry.register(&mut source, Token(number), both).is_err() {
                CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            place.insert(connection);
            ready.push((number, true));
        }
    }

    fn close(&mut self, number: usize) {
        // A socket that is closed is watched no more.
        if self.connections.try_remove(number).is_some() {
            CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn close_all(&mut self, over: impl Fn(&Connection) -> bool) {
        self.connections.retain(|_, connection| {
            let closes = over(connection);
            CONNECTIONS.fetch_sub(closes.into(), Ordering::Relaxed);
            !closes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_slices_change_nothing_else_of_a_thread() {
        // SAFETY: a number for this thread alone.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 5) };
        let before = scheduled();
        take_short_slices();
        let after = scheduled();
        assert_eq!(
            (after.sched_policy, after.sched_nice),
            (before.sched_policy, 5)
        );
        let slices = [0, SLICE.as_nanos() as libc::c_ulong]; // older kernels tell none
        assert!(slices.contains(&after.sched_runtime));
    }
}
