//! Lanes of a loop and their next step: join, wait, come due, end.

use std::sync::atomic::Ordering;

use crate::clock::monotonic_ns;
use crate::lane::{Lane, NONE, Stage};
use crate::outcome::{ErrorKind, Outcome};
use crate::program::Heard;
use crate::worker::Worker;

/// For so long requests are begun in one turn, before answers are looked at again.
const STARTING_NS: i64 = 500_000;
/// Of one loop, but for one of each lane; nobody needs the figure beyond.
const MOST_DROPPED: u64 = 100_000;

impl Worker {
    /// Changes how many clients the last group has.
    pub(crate) fn change_clients(&mut self, extra_clients: i64, elapsed_ns: i64) {
        let settings = &self.shared.settings;
        let last = &settings.groups[settings.groups.len() - 1];
        let clients = (i64::from(last.clients) + extra_clients).max(0) as u64;
        let wanted = settings.lanes() - last.lanes() + clients * u64::from(last.connections);
        let loops = settings.loops as u64;
        for index in 0..self.lanes.len() {
            let beyond = index as u64 * loops + self.number as u64 >= wanted;
            let lane = &mut self.lanes[index];
            match lane.stage {
                Stage::Ended if !beyond && lane.retired => self.rejoin(index, elapsed_ns),
                Stage::Busy => lane.retired = beyond,
                Stage::Waiting | Stage::Queued | Stage::Held if beyond => {
                    lane.retired = true;
                    self.end(index as u32);
                }
                _ => {}
            }
        }
        self.join_lanes(wanted, elapsed_ns);
    }

    /// Lanes of this loop that are not there yet, up to the run's `wanted` ones.
    pub(crate) fn join_lanes(&mut self, wanted: u64, elapsed_ns: i64) {
        let loops = self.shared.settings.loops as u64;
        loop {
            let number = self.lanes.len() as u64 * loops + self.number as u64;
            if number >= wanted || self.stopping {
                return;
            }
            let lane = Lane::join(&self.shared.settings, number, elapsed_ns);
            self.lanes.push(lane);
            self.begin_waiting((self.lanes.len() - 1) as u32, elapsed_ns);
        }
    }

    fn rejoin(&mut self, index: usize, elapsed_ns: i64) {
        if self.stopping {
            return;
        }
        let number = (index * self.shared.settings.loops + self.number) as u64;
        let connection = self.lanes[index].connection;
        self.lanes[index] = Lane::join(&self.shared.settings, number, elapsed_ns);
        self.lanes[index].connection = connection;
        self.begin_waiting(index as u32, elapsed_ns);
    }

    fn begin_waiting(&mut self, lane: u32, elapsed_ns: i64) {
        if self.lanes[lane as usize].stage == Stage::Waiting {
            self.active += 1;
            self.shared.active.fetch_add(1, Ordering::AcqRel);
            self.put_down(lane, elapsed_ns);
        }
    }

    /// Puts a lane down for its next request, or ends it where the run is over.
    ///
    /// One whose next request lies beyond the end waits until then: a burst may come.
    pub(crate) fn put_down(&mut self, lane: u32, elapsed_ns: i64) {
        let end_ns = self.shared.settings.duration_ns;
        if elapsed_ns >= end_ns || self.stopping {
            self.drop(lane, elapsed_ns);
            return;
        }
        let owner = &mut self.lanes[lane as usize];
        owner.stage = Stage::Waiting;
        let due_ns = owner.ready_ns().min(end_ns);
        self.schedule.put(&mut self.lanes, lane, due_ns);
    }

    /// Go on after an answer: the next request at once where it is due, or later.
    pub(crate) fn go_on(&mut self, lane: u32, heard: &Heard, done_ns: i64, at_once: bool) {
        let owner = &mut self.lanes[lane as usize];
        owner.slot_ns = i64::MIN;
        owner.queued = false;
        owner.free_ns = done_ns;
        let program = &self.shared.settings.groups[owner.group as usize].program;
        let next = program.next(&mut owner.plan, heard);
        let Some(next) = next.filter(|_| !owner.retired) else {
            self.end(lane);
            return;
        };
        owner.send = next;
        let due = owner.intended_ns() <= done_ns && done_ns < self.shared.settings.duration_ns;
        let free = self.queue.is_empty() && self.paused_at_ns.is_none() && !self.stopping;
        if at_once && due && free && self.shared.pacer.is_none() {
            self.begin_behind(lane, done_ns);
        } else {
            self.put_down(lane, done_ns);
        }
    }

    /// Ends a lane that has nothing in flight.
    pub(crate) fn end(&mut self, lane: u32) {
        let scarce = self.pool.is_scarce(self.lanes.len());
        let owner = &mut self.lanes[lane as usize];
        owner.stage = Stage::Ended;
        // Where lanes share connections, another takes it over.
        if owner.connection != NONE && !scarce {
            let connection = std::mem::replace(&mut owner.connection, NONE);
            self.pool.close(connection, monotonic_ns());
        }
        self.active -= 1;
        if self.shared.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.control.wake();
        }
    }

    /// The delays of a lane's next request until an instant: for want of a free connection, and
    /// by the loop alone.
    pub(crate) fn delays(&self, lane: u32, now_ns: i64) -> (i64, i64) {
        let owner = &self.lanes[lane as usize];
        let ready_ns = owner.ready_ns();
        let free_ns = match (owner.queued, self.pool.can_serve()) {
            (false, _) => ready_ns,
            (true, false) => now_ns,
            (true, true) => now_ns.min(self.elapsed_ns(self.pool.free_since_ns())),
        };
        let served_ns = ready_ns.max(free_ns);
        (served_ns - ready_ns, now_ns - served_ns)
    }

    /// Ends a lane with the run, and counts what it had to send before that and did not.
    ///
    /// A request that a closed plan wants at the very instant of an answer is not due before the end, unless
    /// it has been left lying for long.
    pub(crate) fn drop(&mut self, lane: u32, elapsed_ns: i64) {
        let settings = &self.shared.settings;
        let end_ns = elapsed_ns.min(settings.duration_ns).min(self.stopped_ns);
        let (wait_ns, own_lag_ns) = self.delays(lane, end_ns);
        let owner = &mut self.lanes[lane as usize];
        let own_fault = self.shared.pacer.is_none() && own_lag_ns > 0;
        let late = own_fault && own_lag_ns > settings.tolerance_ns;
        let before_ns = if late || wait_ns > settings.tolerance_ns {
            end_ns
        } else {
            owner.free_ns.min(end_ns)
        };
        if owner.intended_ns() < before_ns {
            let end_ns = end_ns - owner.origin_ns;
            let nothing = Heard {
                done_ns: end_ns,
                outcome: Outcome::Unknown,
                retry_after_ns: None,
            };
            let program = &settings.groups[owner.group as usize].program;
            let mut next = Some(owner.send);
            let most = MOST_DROPPED.saturating_sub(self.audit.dropped).max(1);
            let mut dropped = 0;
            while dropped < most && next.is_some_and(|send| send.intended_ns < end_ns) {
                dropped += 1;
                next = program.next(&mut owner.plan, &nothing);
            }
            self.audit.dropped += dropped;
            if own_fault {
                self.audit.own_late(own_lag_ns, settings.tolerance_ns);
            }
            if wait_ns > 0 {
                self.audit.waits(wait_ns, settings.tolerance_ns);
            }
        }
        self.end(lane);
    }

    /// Ends every lane that has nothing in flight.
    pub(crate) fn end_waiting(&mut self) {
        for lane in 0..self.lanes.len() as u32 {
            if matches!(
                self.lanes[lane as usize].stage,
                Stage::Waiting | Stage::Queued | Stage::Held
            ) {
                self.drop(lane, self.stopped_ns);
            }
        }
    }

    /// Every lane that waits sends its next request now.
    pub(crate) fn send_all_now(&mut self, elapsed_ns: i64) {
        for lane in 0..self.lanes.len() as u32 {
            let owner = &mut self.lanes[lane as usize];
            if owner.stage == Stage::Waiting {
                owner.send.intended_ns = elapsed_ns - owner.origin_ns;
                self.put_down(lane, elapsed_ns);
            }
        }
    }

    /// Begins what is due.
    pub(crate) fn start_due(&mut self) {
        // A request in flight finishes, pause or not.
        while let Some(lane) = self.drips.take(&mut self.lanes, monotonic_ns()) {
            self.drip(lane);
        }
        if self.paused_at_ns.is_some() {
            return;
        }
        let until_ns = monotonic_ns() + STARTING_NS;
        loop {
            let now_ns = monotonic_ns();
            if now_ns >= until_ns {
                return;
            }
            let elapsed_ns = self.elapsed_ns(now_ns);
            let over = elapsed_ns >= self.shared.settings.duration_ns;
            if self.serve_held(elapsed_ns, over) || self.serve_queue(elapsed_ns, over) {
                continue;
            }
            let Some(lane) = self.schedule.take(&mut self.lanes, elapsed_ns) else {
                return;
            };
            if over {
                self.drop(lane, elapsed_ns);
            } else if self.shared.pacer.is_some() {
                self.hold(lane);
            } else {
                self.begin(lane, elapsed_ns);
            }
        }
    }

    fn hold(&mut self, lane: u32) {
        self.lanes[lane as usize].stage = Stage::Held;
        self.held.push_back(lane);
    }

    /// Gives the free slot, if there is one, to the lane that has waited longest; false: nothing done.
    fn serve_held(&mut self, elapsed_ns: i64, over: bool) -> bool {
        let Some(&lane) = self.held.front() else {
            return false;
        };
        let owner = &mut self.lanes[lane as usize];
        // One that ended meanwhile, or joined again, is passed over.
        if owner.stage != Stage::Held {
            self.held.pop_front();
        } else if over {
            self.held.pop_front();
            self.drop(lane, elapsed_ns);
        } else if owner.connection == NONE && !self.pool.can_serve() {
            // Whoever took a slot first would waste it.
            self.held.pop_front();
            owner.stage = Stage::Queued;
            owner.queued = true;
            self.queue.push_back(lane);
        } else {
            let pacer = self.shared.pacer.as_ref().expect("it holds lanes back");
            match pacer.take(elapsed_ns) {
                Err(next_ns) => {
                    self.slot_ns = next_ns;
                    return false;
                }
                Ok(slot_ns) => {
                    self.audit.paced += u64::from(slot_ns > owner.ready_ns());
                    owner.slot_ns = slot_ns;
                    self.held.pop_front();
                    self.begin(lane, elapsed_ns);
                }
            }
        }
        true
    }

    /// Serves the lane that has waited longest for a connection; false: nothing done.
    fn serve_queue(&mut self, elapsed_ns: i64, over: bool) -> bool {
        if !(over || self.pool.can_serve()) {
            return false;
        }
        let Some(lane) = self.queue.pop_front() else {
            return false;
        };
        if self.lanes[lane as usize].stage != Stage::Queued {
            return true;
        }
        if over {
            self.drop(lane, elapsed_ns);
        } else if self.shared.pacer.is_some() {
            self.lanes[lane as usize].stage = Stage::Held;
            self.held.push_front(lane);
            return self.serve_held(elapsed_ns, over);
        } else {
            self.begin(lane, elapsed_ns);
        }
        true
    }

    /// Gives up what is in flight when nobody wants to wait for it: its outcome is unknown.
    pub(crate) fn let_go(&mut self) {
        for lane in 0..self.lanes.len() as u32 {
            let owner = &self.lanes[lane as usize];
            if owner.stage == Stage::Busy && owner.connection != NONE {
                self.finish(owner.connection, ErrorKind::Other, monotonic_ns());
            }
        }
    }
}
