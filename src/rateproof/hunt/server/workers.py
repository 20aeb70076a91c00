"""The processes of a server that answer its port, as Linux shows them."""

import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

from rateproof import linux

_SETTLING_S = 10.0  # a worker listens some time after it was started


class WorkerProcess:
    """One process, held by a descriptor: no other can be mistaken for it once it is gone.

    Args:
        number: 1, 2, ... in the order in which they were seen; 0 for the server's
            first process, which is the whole server then.
        pid: its process id.
        fd: what `linux.hold_process` gave for it.
    """

    def __init__(self, number: int, pid: int, fd: int) -> None:
        self.number = number
        self.pid = pid
        self._fd = fd

    @property
    def leads(self) -> bool:
        """True for the whole server."""
        return self.number == 0

    @property
    def gone(self) -> bool:
        """True once it has ended."""
        if self._fd < 0:
            return True
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(0))

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        with suppress(ProcessLookupError):
            if self._fd >= 0:
                linux.signal_process(self._fd, number)

    def close(self) -> None:
        """Let go of it, for good."""
        os.close(self._fd)
        self._fd = -1


class Workers:
    """The workers of one server: of its processes that listen, those that no listener descends from.

    A main process that only starts workers (gunicorn's, nginx's) listens too,
    but is none of them. A server of one process is its own only worker.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._known: dict[int, WorkerProcess] = {}
        self._seen = 0
        self._family: frozenset[int] = frozenset()
        self._changed_s = 0.0
        self._listeners: set[int] = set()

    def look(self, leader: int) -> list[WorkerProcess]:
        """Those that live now, the longest known first; `leader` is the id of the first process."""
        with suppress(OSError, ValueError):  # a process that ends while it is looked at
            found = self._found(leader)
            for pid in self._known.keys() - found:
                if not self._known[pid].gone:  # it turns out to be one that starts workers
                    self._known.pop(pid).close()
            for pid in sorted(found - self._known.keys()):
                with suppress(ProcessLookupError):
                    fd = linux.hold_process(pid)
                    self._seen += pid != leader
                    number = 0 if pid == leader else self._seen
                    self._known[pid] = WorkerProcess(number, pid, fd)
        return [worker for worker in self._known.values() if not worker.gone]

    def _found(self, leader: int) -> set[int]:
        """The workers; looked for anew while processes come and go, and some time after."""
        lines = list(_lineages(leader, ()))
        family = frozenset(line[-1] for line in lines)
        now_s = time.monotonic()
        if family != self._family:
            self._family, self._changed_s = family, now_s
        if now_s - self._changed_s < _SETTLING_S:
            self._listeners = _workers(lines, set(linux.listening_sockets(leader, self._port)))
        return self._listeners

    def departed(self) -> list[WorkerProcess]:
        """Those that have ended since it was last asked."""
        gone = [worker for worker in self._known.values() if worker.gone]
        for worker in gone:
            del self._known[worker.pid]
            worker.close()
        return gone

    def forget(self) -> None:
        """Let go of all: the server was ended."""
        for worker in self._known.values():
            worker.close()
        self._known.clear()
        self._family = frozenset()


def _workers(lines: Iterable[tuple[int, ...]], sockets: set[str]) -> set[int]:
    listening: set[int] = set()
    above: set[int] = set()
    for line in lines:
        if not sockets.isdisjoint(linux.sockets_of(line[-1])):
            listening.add(line[-1])
            above.update(line[:-1])
    return listening - above


def _lineages(pid: int, ancestors: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Every process that descends from one, itself included, after its ancestors."""
    line = (*ancestors, pid)
    yield line
    for child in linux.children(pid):
        yield from _lineages(child, line)
