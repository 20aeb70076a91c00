"""Looking after a server of our own while it is tested: what it suffers, and what it dies of."""

import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from rateproof.errors import RateproofError
from rateproof.hunt.server.child import ChildServer
from rateproof.hunt.server.nemesis import Deed, Stroke
from rateproof.units import SECOND_NS

if TYPE_CHECKING:
    from rateproof.hunt.server.workers import WorkerProcess

_TICK_S = 0.05
_LOOK_NS = SECOND_NS // 4

# A server that gives up because its worker was killed does so within this time: granian,
# for one, takes two deaths of a worker within 5.5 s for a loop.
_BLAME_NS = 6 * SECOND_NS
_BACK_NS = 10 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Crash:
    """The `server`, or a `worker`, failed: `at_s` seconds into the iteration, and on its clock."""

    at_s: float
    what: str
    whose: str = "server"
    at_ns: int = 0

    def __str__(self) -> str:
        return f"{self.what} at {self.at_s:.1f} s"


class Watch:
    """Notes every death of the child while the body runs, and starts it again.

    It also carries out what is planned against the server, in the same thread,
    so that deaths that it causes are never taken for the server's own.

    `first_end` says how it ended by itself for the first time, and `last_words` what it wrote then.

    Args:
        child: the server.
        strokes: what is to be done to it, in order of time from the body's beginning.
    """

    def __init__(self, child: ChildServer, strokes: Sequence[Stroke] = ()) -> None:
        self.crashes: list[Crash] = []
        self.deeds: list[Deed] = []
        self.first_end = self.last_words = ""
        self._child = child
        self._strokes = list(strokes)
        self._start_ns = 0
        self._paused: list[tuple[int, Deed, WorkerProcess]] = []
        self._recovering: list[tuple[Deed, WorkerProcess]] = []
        self._victims: dict[int, Deed] = {}
        self._blamed: Deed | None = None
        self._looked_ns = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch-server")

    def _run(self) -> None:
        while not self._over.wait(_TICK_S):
            self._tick()

    def _tick(self) -> None:
        now_ns = time.monotonic_ns()
        self._note_deaths(now_ns)
        self._resume(now_ns)
        self._note_recovery(now_ns)
        while self._strokes and self._start_ns + self._strokes[0].at_ns <= now_ns:
            self._strike(self._strokes.pop(0))
        if now_ns - self._looked_ns >= _LOOK_NS:
            self._looked_ns = now_ns
            self._child.workers()

    def _note_deaths(self, now_ns: int) -> None:
        how = self._child.died()
        if how is not None:
            blamed = self._to_blame(self._blamed, now_ns)
            if blamed is None:
                if not self.first_end:
                    self.first_end, self.last_words = how, self._child.last_words()
                self._crash(f"server {how}")
            else:
                blamed.then.append(f"after which the server {how} and was started again")
            self._start_again(blamed)
            return
        for worker in self._child.departed():
            blamed = self._to_blame(self._victims.pop(worker.pid, None), now_ns)
            if blamed is None:
                self._crash(f"worker {worker.number} died", "worker")
            elif blamed.what == "pause":
                blamed.then.append("after which it died")

    @staticmethod
    def _to_blame(deed: Deed | None, now_ns: int) -> Deed | None:
        """The deed, unless whatever it could cause is over."""
        over_ns = 0 if deed is None else (deed.until_ns or now_ns) + _BLAME_NS
        return deed if now_ns < over_ns else None

    def _strike(self, stroke: Stroke) -> None:
        workers = self._child.workers()
        deed = Deed(stroke.what, time.monotonic_ns(), self._start_ns)
        if stroke.what == "restart":
            self.deeds.append(deed)
            self._start_again(deed)
        elif workers:
            # Of those that serve longest: some servers give up when one is killed again and again.
            elders = workers[: (len(workers) + 1) // 2] if stroke.what == "kill" else workers
            worker = elders[int(stroke.choice * len(elders))]
            deed.worker, deed.pid = worker.number or None, worker.pid
            self.deeds.append(deed)
            self._victims[worker.pid] = self._blamed = deed
            if stroke.what == "pause":
                worker.send(signal.SIGSTOP)
                self._paused.append((deed.at_ns + stroke.for_ns, deed, worker))
            elif worker.leads:
                deed.then.append("and it was started again")
                self._start_again(deed)
            else:
                worker.send(signal.SIGKILL)
                self._recovering.append((deed, worker))

    def _resume(self, now_ns: int | None) -> None:
        """Let go on whoever was paused long enough; without an instant, everybody."""
        for entry in list(self._paused):
            until_ns, deed, worker = entry
            if now_ns is None or until_ns <= now_ns:
                self._paused.remove(entry)
                worker.send(signal.SIGCONT)
                deed.until_ns = time.monotonic_ns()

    def _note_recovery(self, now_ns: int) -> None:
        answers = bool(self._recovering) and self._child.answers()
        for entry in list(self._recovering):
            deed, worker = entry
            if worker.gone and answers:
                deed.until_ns = time.monotonic_ns()
                self._recovering.remove(entry)
            elif now_ns - deed.at_ns > _BACK_NS:
                self._crash(f"server did not come back within {_BACK_NS // SECOND_NS} s")
                self._start_again(deed)
                return

    def _start_again(self, deed: Deed | None) -> None:
        """Start the server again, because of a deed or because it died by itself."""
        for _, paused, _ in self._paused:
            paused.until_ns = time.monotonic_ns()  # a new start ends every process before it
        self._paused.clear()
        self._victims.clear()
        self._blamed = None
        recovered = [deed, *(killed for killed, _ in self._recovering)]
        self._recovering.clear()
        try:
            self._child.restart()
        except RateproofError as error:
            self._crash(error.message)
            return
        for each in filter(None, recovered):
            each.until_ns = time.monotonic_ns()

    def _crash(self, what: str, whose: str = "server") -> None:
        now_ns = time.monotonic_ns()
        at_s = (now_ns - self._start_ns) / SECOND_NS
        self.crashes.append(Crash(at_s, what, whose, now_ns))

    def __enter__(self) -> Self:
        self._start_ns = time.monotonic_ns()
        if not self._child.running:
            self._start_again(None)
        self._child.workers()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._resume(None)
        self._note_deaths(time.monotonic_ns())
