"""`rateproof check --follow`: a log that grows is judged piece by piece, until it is stopped.

A piece holds the requests of the last two windows, and those that came since. What a piece shows
is true of the whole log: other requests make no excess smaller, and a rejection is judged only
where all that may be its reason lies in the piece. What shows over a longer time alone is not
seen.
"""

import json
import threading
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import compress
from typing import Any, Final

from rateproof.errors import LogError
from rateproof.events import EventLog
from rateproof.events.access_logs import Reading
from rateproof.events.access_logs.access_log import event_log
from rateproof.events.access_logs.scan import Chunk, Scan, begun_of
from rateproof.events.access_logs.tail import Tail
from rateproof.exposition import family, served
from rateproof.output import say
from rateproof.policy import Policy
from rateproof.prove import Verdict, combine, judge, judge_keys
from rateproof.prove.keys import Counts
from rateproof.prove.verdict import VIOLATED

_WAIT_S: Final = 0.2
_LAST_BLOCKS: Final = 64
_EACH_S: Final = 1.0
_LEAST_ROWS: Final = 100_000
_SHARE: Final = 4  # of the time, judging takes at most one part in so many and one
_COLUMNS: Final = ("sent_ns", "received_ns", "status", "line")


@dataclass(slots=True)
class _Piece:
    """Requests that are held, in order of their lines."""

    columns: dict[str, "array[int]"] = field(
        default_factory=lambda: {name: array("q") for name in _COLUMNS}
    )
    keys: "array[int]" = field(default_factory=lambda: array("i"))
    code_of: dict[bytes, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    def add(self, chunk: Chunk, left_out: set[bytes]) -> None:
        """Add the requests of a chunk, but for those of some clients."""
        kept = bytes(word not in left_out for word in chunk.words)
        rows = bytes(map(kept.__getitem__, chunk.keys))
        codes = [
            self.code_of.setdefault(word, len(self.code_of)) if keep else -1
            for word, keep in zip(chunk.words, kept, strict=True)
        ]
        self.keys.extend(compress(map(codes.__getitem__, chunk.keys), rows))
        for name, column in self.columns.items():
            column.extend(compress(getattr(chunk, name), rows))

    def drop(self, before_ns: int, left_out: set[bytes]) -> None:
        """Forget what was decided before an instant, and some clients."""
        words = list(self.code_of)
        held = _Piece()
        rows = [
            received >= before_ns and words[key] not in left_out
            for received, key in zip(self.columns["received_ns"], self.keys, strict=True)
        ]
        codes = [-1] * len(words)
        for key in compress(self.keys, rows):
            if codes[key] < 0:
                codes[key] = held.code_of.setdefault(words[key], len(held.code_of))
            held.keys.append(codes[key])
        for name, column in self.columns.items():
            held.columns[name].extend(compress(column, rows))
        self.columns, self.keys, self.code_of = held.columns, held.keys, held.code_of

    def chunk(self) -> Chunk:
        """All of them."""
        sent, received, status, line = self.columns.values()
        return Chunk(sent, received, status, line, self.keys, list(self.code_of))


class Watch:
    """The judging of a log that grows.

    Args:
        policy: what is promised.
        judging: how: see `judge`.
        finish: what becomes of a piece before it is judged.
        found: is told of each client that violates, once, as a line of JSON.
        clock: seconds, of a clock that nobody sets.
    """

    def __init__(
        self,
        policy: Policy,
        judging: dict[str, Any],
        finish: Callable[[EventLog], EventLog],
        found: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy, self._judging, self._finish, self._found = policy, judging, finish, found
        self._clock = clock
        self._piece = _Piece()
        self._since_ns = 0
        self._fresh = 0
        self._next_s = clock()
        self._memory_ns = max(quota.memory_ns for quota in policy.quotas)
        self._verdict: Verdict | None = None
        self._counts = Counts()
        self.violating: set[bytes] = set()
        self.gap = False
        """True if requests may be missing before the next one."""

    @property
    def held(self) -> int:
        """Requests in memory."""
        return len(self._piece)

    @property
    def counts(self) -> Counts:
        """Requests so far; those of clients that violate only until that was found."""
        return self._counts

    def add(self, chunk: Chunk, scan: Scan) -> None:
        """Take requests, and judge what there is if there are enough."""
        if not len(chunk.keys):
            return
        if self.gap:
            self._since_ns, self.gap = chunk.received_ns[0] + scan.found["back_ns"], False
        before = self.held
        self._piece.add(chunk, self.violating)
        self._fresh += self.held - before
        if self._fresh >= max(_LEAST_ROWS, self.held // 2):
            self.judge(scan)

    def idle(self, scan: Scan) -> None:
        """Judge what there is, where nothing more is there and the last time was long enough ago."""
        if self._fresh and self._clock() >= self._next_s:
            self.judge(scan)

    def start_over(self) -> None:
        """Forget the requests that are held: their clock was set back."""
        self._piece, self._fresh, self.gap = _Piece(), 0, True

    def judge(self, scan: Scan) -> None:
        """Judge the piece, tell of the clients that violate, and forget what is not needed again."""
        if not self._fresh:
            return
        begun = self._clock()
        metadata = scan.metadata()
        since_ns, until_ns = metadata["complete_ns"]
        metadata["complete_ns"] = [max(since_ns, self._since_ns), until_ns]
        log = self._finish(event_log(self._piece.chunk(), metadata))
        verdict = judge(log, self._policy, **self._judging)
        self._count(log)
        if verdict.outcome == VIOLATED:
            for key in judge_keys(log, self._policy, **self._judging):
                if key.verdict.outcome != VIOLATED:
                    break  # those that violate are the first
                self.violating.add(key.key)
                claims = list(dict.fromkeys(piece.claim for piece in key.verdict.evidence))
                first_ns = key.verdict.evidence[0].events[0].sent_ns
                told = {**key.to_json(), "claims": claims, "from": _instant(first_ns)}
                self._found(json.dumps({**told, "evidence": key.verdict.evidence[0].sentence()}))
        told_so_far = [] if self._verdict is None else [self._verdict]
        self._verdict = combine([*told_so_far, verdict])
        reach_ns = scan.longest_ns() + 2 * scan.slack_ns() + scan.found["back_ns"]
        needed_ns = until_ns - 2 * self._memory_ns - reach_ns
        self._since_ns = max(self._since_ns, needed_ns)
        self._piece.drop(self._since_ns, self.violating)
        self._fresh = 0
        now = self._clock()
        self._next_s = now + max(_EACH_S, _SHARE * (now - begun))

    def verdict(self) -> Verdict:
        """The verdict on all that was judged."""
        verdict = combine([]) if self._verdict is None else self._verdict
        return replace(verdict, counts=self._counts)

    def _count(self, log: EventLog) -> None:
        """Count the requests that are judged for the first time: the last ones."""
        codes, words = log.codes("outcome")
        fresh = codes[len(codes) - self._fresh :]
        by_word = {word: fresh.count(code) for code, word in enumerate(words)}
        told = (by_word.get(word, 0) for word in ("admitted", "rejected", "unknown"))
        self._counts += Counts(0, len(fresh), *told)


def follow(
    path: str, reading: Reading, watch: Watch, stop: threading.Event, *, metrics_port: int | None
) -> Verdict:
    """Judge a log that grows until it is told to stop, or standard input ends.

    Args:
        path: of the file; `-` is standard input.
        reading: how it is to be read.
        watch: judges it.
        stop: ends it.
        metrics_port: of a page `/metrics` on the loopback; None: there is none.

    Raises:
        LogError: the file cannot be read, or is of no known format.
    """
    tail = Tail(path)
    try:
        return _Reader(tail, reading, watch, stop).run(metrics_port)
    finally:
        tail.close()


class _Reader:
    """Passes on what a file shows to what judges it."""

    def __init__(self, tail: Tail, reading: Reading, watch: Watch, stop: threading.Event) -> None:
        self._tail, self._reading, self._watch, self._stop = tail, reading, watch, stop
        self._scan: Scan | None = None
        self._back = 0

    def run(self, metrics_port: int | None) -> Verdict:
        """Read until it is stopped."""
        with served(self.page, metrics_port):
            scan = self._scan = self._begun()
            while scan is not None and not self._stop.is_set():
                block = self._tail.read()
                if block:
                    self._take(block)
                elif self._tail.over:
                    break
                else:
                    self._pause()
            self._drain()
            if self._scan is not None:
                self._scan.end(self._tail.name)
                self._watch.add(self._scan.take(), self._scan)
                self._watch.judge(self._scan)
                self._scan.refuse()
        return self._watch.verdict()

    def _drain(self) -> None:
        """Read what was there when it was told to stop."""
        for _ in range(_LAST_BLOCKS):
            block = self._tail.read()
            if not block:
                break
            self._take(block)

    def page(self) -> str:
        """The metrics."""
        scan, watch = self._scan, self._watch
        found = {} if scan is None else scan.found
        counts = watch.counts
        outcomes = {name: getattr(counts, name) for name in ("admitted", "rejected", "unknown")}
        by_outcome = [({"outcome": name}, count) for name, count in outcomes.items()]
        newest_s = max(0, found.get("done_ns", 0)) // 10**9
        figures = (
            ("lines_total", "counter", "Lines that were read.", found.get("lines", 0)),
            (
                "lines_strange_total",
                "counter",
                "Of these, of no such format.",
                found.get("strange", 0),
            ),
            ("violating_keys", "gauge", "Clients that violate the policy.", len(watch.violating)),
            ("requests_held", "gauge", "Requests in memory.", watch.held),
            ("rotations_total", "counter", "Times that another file began.", self._tail.rotations),
            ("newest_timestamp_seconds", "gauge", "The latest stamp of the log.", newest_s),
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

    def _begun(self) -> Scan | None:
        """The scan, once there are lines that show the format; None if it was stopped before."""
        head = b""
        while not self._stop.is_set():
            block = self._tail.read()
            head += block
            if block and head.count(b"\n") < 50:
                continue
            if b"\n" in head or (self._tail.over and head):
                scan = Scan(begun_of(iter([head])), self._tail.name, self._reading)
                say(scan.introduction)
                say(f"following {self._tail.name}: each client that violates is a line on stdout")
                self._reading = replace(self._reading, format=scan.format)
                self._scan = scan
                self._take(head)
                return self._scan
            if self._tail.over:
                raise LogError(f"{self._tail.name} has no events", "a log needs a request")
            self._tail.turned()
            self._tail.wait(self._stop, _WAIT_S)
        return None

    def _take(self, block: bytes) -> None:
        scan = self._scan
        if scan is None:
            return
        scan.feed(block)
        chunk = scan.take()
        if scan.was_set_back():
            say(f"hint: {scan.set_back()}: judging starts over behind it")
            self._watch.start_over()
            self._scan = Scan([], self._tail.name, self._reading)
            return
        self._watch.add(chunk, scan)
        if scan.found["lines"] >= 1_000:
            scan.refuse_strange()

    def _pause(self) -> None:
        """Do what is to be done while nothing is there to read."""
        turned = self._tail.turned()
        if turned and self._scan is not None:
            self._scan.end(self._tail.name)
            self._watch.add(self._scan.take(), self._scan)
            say(f"{self._tail.name} was {turned}: going on with the new one")
            # Renamed too: a file of two quick rotations, or lines of a worker that opens late.
            self._watch.gap = True
        elif self._scan is not None:
            self._watch.idle(self._scan)
        if not turned:
            self._tail.wait(self._stop, _WAIT_S)


def _instant(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns / 1e9, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
