"""State that the lanes of a run share: its clock, what is asked of it, what they recorded."""

import itertools
import sys
import threading
import time

from rateproof.events import EventLog
from rateproof.simulate.audit import Audit
from rateproof.simulate.behaviour import rate_interval_ns
from rateproof.simulate.programs.program import NEVER_NS
from rateproof.simulate.scenario import Scenario
from rateproof.simulate.transports.over_requests import Requester


class Shared:
    """State that lanes read and write while they hold `state`.

    `state` is notified when anything changes that a lane waits for. The clock stands still
    until the run begins, and while it is paused.
    """

    def __init__(self, scenario: Scenario, run_number: int, bursts: int) -> None:
        self.scenario = scenario
        self.run_number = run_number
        self.requester = Requester(scenario)
        rate = scenario.max_rate
        self.pace_ns = 0 if rate is None else rate_interval_ns(rate)
        self.sequences, self.workers = itertools.count(), itertools.count()
        self.most = sys.maxsize if scenario.max_requests is None else scenario.max_requests
        self.state = threading.Condition()
        self.audit = Audit(tolerance_ns=scenario.lag_tolerance_ns)
        self.seen = EventLog()
        self.ends_ns = NEVER_NS if scenario.duration_ns is None else scenario.duration_ns
        self.stopped = False
        self.failure: BaseException | None = None
        self.bursts, self.burst_ns = bursts, 0
        self.start_ns = self._origin_ns = self._slot_ns = 0
        self.paused_ns: int | None = 0

    def begin(self, start_ns: int) -> None:
        """Let the clock go from an instant on."""
        with self.state:
            self.start_ns = self._origin_ns = start_ns
            self.paused_ns = None
            self.state.notify_all()

    def age_ns(self, instant_ns: int) -> int:
        """The run's age at a monotonic instant: it stands still while the run is paused."""
        paused_ns = self.paused_ns
        return (instant_ns if paused_ns is None else min(instant_ns, paused_ns)) - self._origin_ns

    def slot_ns(self, intended_ns: int) -> int:
        """The next free slot of `max_rate`, an instant of the run; those that nobody wanted are gone."""
        if not self.pace_ns:
            return intended_ns
        slot_ns = max(self._slot_ns, self.age_ns(time.monotonic_ns()))
        self._slot_ns = slot_ns + self.pace_ns
        return slot_ns

    def ended(self, opened: int, failure: BaseException | None) -> None:
        """Take leave of a lane that opened so many connections; a failure ends the run."""
        with self.state:
            self.failure = self.failure or failure
            self.audit.cpu_ns += time.thread_time_ns()
            self.audit.reconnects += max(0, opened - 1)
        if failure is not None:
            self.stop()

    def heed(self, now_ns: int, *, paused: bool, bursts: int) -> None:
        """Take the wishes of a control; `state` is held."""
        if (bursts, paused) != (self.bursts, self.paused_ns is not None):
            self.state.notify_all()
        if bursts != self.bursts:
            self.bursts, self.burst_ns = bursts, self.age_ns(now_ns)
        if paused and self.paused_ns is None:
            self.paused_ns = now_ns
        elif self.paused_ns is not None and not paused:
            self._origin_ns += now_ns - self.paused_ns
            self.paused_ns = None

    def stop(self) -> None:
        """Send nothing new."""
        with self.state:
            if not self.stopped:
                self.ends_ns = min(self.ends_ns, self.age_ns(time.monotonic_ns()))
            self.stopped = True
            self.state.notify_all()
