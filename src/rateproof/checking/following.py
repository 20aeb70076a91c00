"""Files that grow, read for those who judge them: `rateproof check --follow`."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from rateproof.checking.watch import LogWatch
from rateproof.errors import LogError
from rateproof.events.access_logs import Reading
from rateproof.events.access_logs.feeding import begun_of
from rateproof.events.access_logs.scan import Scan
from rateproof.events.access_logs.tail import Tail
from rateproof.exposition import family, served
from rateproof.output import say
from rateproof.prove import Verdict

_WAIT_S: Final = 0.2
_LAST_BLOCKS: Final = 64
_BEGUN_BY: Final = 50  # lines


def follow(
    paths: Sequence[str],
    reading: Reading,
    watch: LogWatch,
    stop: threading.Event,
    *,
    metrics_port: int | None,
) -> Verdict:
    """Judge logs that grow until it is told to stop, or standard input ends.

    Args:
        paths: of the files, of a host each; `-` alone is standard input.
        reading: how they are to be read.
        watch: judges them.
        stop: ends it.
        metrics_port: of a page `/metrics` on the loopback; None: there is none.

    Raises:
        LogError: a file cannot be read, or is of no known format.
    """
    with ExitStack() as stack:
        sources = []
        for path in paths:
            tail = Tail(path)
            stack.callback(tail.close)
            sources.append(_Source(tail, reading, watch))
        return _Reader(sources, watch, stop).run(metrics_port)


class _Source:
    """A log that grows: what it shows is passed on to what judges it."""

    def __init__(self, tail: Tail, reading: Reading, watch: LogWatch) -> None:
        self.tail, self._reading, self._watch = tail, reading, watch
        self.scan: Scan | None = None
        self._head = b""

    @property
    def newest_ns(self) -> int:
        """The latest instant at which a request had ended."""
        return 0 if self.scan is None else self.scan.found.get("done_ns", 0)

    def step(self) -> bool:
        """Take what is there next; False if there is nothing."""
        block = self.tail.read()
        if self.scan is not None:
            self._watch.quiet(self.scan, now=not block)
            if block:
                self._take(self.scan, block)
            return bool(block)
        self._head += block
        if block and self._head.count(b"\n") < _BEGUN_BY:
            return True
        if b"\n" in self._head or (self.tail.over and self._head):
            self._begin()
            return True
        if self.tail.over:
            raise LogError(f"{self.tail.name} has no events", "a log needs a request")
        return False

    def pause(self) -> bool:
        """See to it that there will be more; True if there is another file."""
        turned = self.tail.turned()
        if turned and self.scan is not None:
            self.scan.end(self.tail.name)
            self._watch.add(self.scan.take(), self.scan)
            say(f"{self.tail.name} was {turned}: going on with the new one")
            # Renamed too: a file of two quick rotations, or lines of a worker that opens late.
            self._watch.lost(self.scan)
        return bool(turned)

    def drain(self) -> None:
        """Read what was there when it was told to stop."""
        if self.scan is not None and not any(not self.step() for _ in range(_LAST_BLOCKS)):
            say(f"hint: {self.tail.name} grows faster than it is read: the rest is left out")
        if self.scan is not None:
            self.scan.end(self.tail.name)
            self._watch.add(self.scan.take(), self.scan)

    def _begin(self) -> None:
        scan = Scan(begun_of(iter([self._head])), self.tail.name, self._reading)
        say(scan.introduction)
        say(f"following {self.tail.name}: each client that violates is a line on stdout")
        self._reading = replace(self._reading, format=scan.format)
        self.scan = scan
        self._take(scan, self._head)
        self._head = b""

    def _take(self, scan: Scan, block: bytes) -> None:
        scan.feed(block)
        chunk = scan.take()
        if scan.was_set_back():
            say(f"hint: {scan.set_back()}: judging starts over behind it")
            self.scan = Scan([], self.tail.name, self._reading)
            self._watch.start_over(scan, self.scan)
            return
        self._watch.add(chunk, scan)
        if scan.found["lines"] >= 1_000:
            scan.refuse_strange()


class _Reader:
    """Passes on what files show to what judges them."""

    def __init__(self, sources: Sequence[_Source], watch: LogWatch, stop: threading.Event) -> None:
        self._sources, self._watch, self._stop = sources, watch, stop

    def run(self, metrics_port: int | None) -> Verdict:
        """Read until it is stopped."""
        with served(self.page, metrics_port):
            while not self._stop.is_set():
                behind = sorted(self._sources, key=lambda source: source.newest_ns)
                if any(source.step() for source in behind):
                    continue  # one was read, as far behind as there is
                if all(source.tail.over for source in self._sources):
                    break
                turned = [source.pause() for source in self._sources]
                if not any(turned):
                    self._watch.idle()
                    self._sources[0].tail.wait(self._stop, _WAIT_S)
            for source in self._sources:
                source.drain()
            self._watch.judge()
            for source in self._sources:
                if source.scan is not None:
                    source.scan.refuse()
        return self._watch.verdict()

    def page(self) -> str:
        """The metrics."""
        watch, counts = self._watch, self._watch.counts
        found = [{} if one.scan is None else one.scan.found for one in self._sources]
        outcomes = {name: getattr(counts, name) for name in ("admitted", "rejected", "unknown")}
        by_outcome = [({"outcome": name}, count) for name, count in outcomes.items()]
        lines, strange = (sum(one.get(name, 0) for one in found) for name in ("lines", "strange"))
        newest_s = max(0, min(one.newest_ns for one in self._sources)) // 10**9
        rotations = sum(one.tail.rotations for one in self._sources)
        newest = "The latest stamp of the log that is most behind."
        figures = (
            ("lines_total", "counter", "Lines that were read.", lines),
            ("lines_strange_total", "counter", "Of these, of no such format.", strange),
            ("violating_keys", "gauge", "Clients that violate the policy.", watch.told),
            ("requests_held", "gauge", "Requests in memory.", watch.held),
            ("rotations_total", "counter", "Times that another file began.", rotations),
            ("newest_timestamp_seconds", "gauge", newest, newest_s),
        )
        requests = "Requests judged, by outcome."
        return "".join(
            (
                family("check_requests_total", "counter", requests, by_outcome),
                *(
                    family(f"check_{name}", kind, meaning, [({}, figure)])
                    for name, kind, meaning, figure in figures
                ),
            )
        )
