"""`rateproof check --follow`: a log that grows is judged piece by piece, until it is stopped.

A piece holds the requests of the last two windows, and those that came since. What a piece shows
is true of the whole log: other requests make no excess smaller, and a rejection is judged only
where all that may be its reason lies in the piece. What shows over a longer time alone is not
seen.
"""

import json
import time
from array import array
from collections.abc import Callable, Container
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import compress
from typing import Any, Final

from rateproof.events import EventLog
from rateproof.events.access_logs.access_log import event_log, together
from rateproof.events.access_logs.scan import Chunk, Scan
from rateproof.policy import Policy
from rateproof.prove import Verdict, combine, judge, judge_keys
from rateproof.prove.keys import Counts
from rateproof.prove.terms import VIOLATED
from rateproof.prove.verdict import KeyVerdict

_EACH_S: Final = 1.0
_LEAST_ROWS: Final = 100_000
_SHARE: Final = 4  # of the time, judging takes at most one part in so many and one
_MOST_NAMES: Final = 200_000
"""Clients that violate whose names are kept: of others it may be told again."""

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

    def add(self, chunk: Chunk, left_out: Container[bytes]) -> None:
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

    def drop(self, before_ns: int, left_out: Container[bytes]) -> None:
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


class LogWatch:
    """The judging of logs that grow, of one host each.

    Args:
        policy: what is promised.
        judging: how: see `judge`.
        finish: what becomes of a piece before it is judged.
        found: is told of each client that violates, once, as a line of JSON.
        clock: seconds, of a clock that nobody sets.
        logs: how many; no rejection is judged before all of them have requests.
    """

    def __init__(
        self,
        policy: Policy,
        judging: dict[str, Any],
        finish: Callable[[EventLog], EventLog],
        found: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        logs: int = 1,
    ) -> None:
        self._logs, self._scans, self._gaps, self._quiet = logs, *(list[Scan]() for _ in range(3))
        self._policy, self._judging, self._finish, self._found = policy, judging, finish, found
        self._clock = clock
        self._piece = _Piece()
        self._since_ns = 0
        self._fresh = self._rows = 0
        self._next_s = clock()
        self._memory_ns = max(quota.memory_ns for quota in policy.quotas)
        self._verdict: Verdict | None = None
        self._counts = Counts()
        self.violating: dict[bytes, None] = {}
        """Clients that violate, the last ones: their requests are left out."""
        self.told = 0
        """Clients of which was told that they violate."""

    @property
    def held(self) -> int:
        """Requests in memory."""
        return len(self._piece)

    @property
    def counts(self) -> Counts:
        """Requests so far; those of clients that violate only until that was found."""
        return self._counts

    def add(self, chunk: Chunk, scan: Scan) -> None:
        """Take requests of a log, and judge what there is if there are enough."""
        if not len(chunk.keys):
            return
        if scan not in self._scans:
            self._scans.append(scan)
        if scan in self._gaps:
            self._gaps.remove(scan)
            since_ns = chunk.received_ns[0] + scan.found["back_ns"]
            self._since_ns = max(self._since_ns, since_ns)
        before = self.held
        if self._logs > 1:
            first, self._rows = self._rows + 1, self._rows + len(chunk.keys)
            chunk = replace(chunk, line=array("q", range(first, self._rows + 1)))
        self._piece.add(chunk, self.violating)
        self._fresh += self.held - before
        if self._fresh >= max(_LEAST_ROWS, self.held // 2):
            self.judge()

    def idle(self) -> None:
        """Judge what there is, where nothing more is there and the last time was long enough ago."""
        if self._fresh and self._clock() >= self._next_s:
            self.judge()

    def quiet(self, scan: Scan, *, now: bool) -> None:
        """Note whether nothing comes of a log: for it no requests are held."""
        if now is not (scan in self._quiet):
            (self._quiet.append if now else self._quiet.remove)(scan)

    def lost(self, scan: Scan) -> None:
        """Note that requests may be missing before the next one of this log."""
        if scan not in self._gaps:
            self._gaps.append(scan)

    def start_over(self, scan: Scan, fresh: Scan) -> None:
        """Forget the requests that are held: the clock of a log was set back, and it is read anew."""
        self._piece, self._fresh = _Piece(), 0
        for known in (self._scans, self._gaps, self._quiet):
            if scan in known:
                known.remove(scan)
        self._gaps.append(fresh)
        reach = (one.found["done_ns"] + one.longest_ns() + one.slack_ns() for one in self._scans)
        self._since_ns = max(reach, default=0)

    def judge(self) -> None:
        """Judge the piece, tell of the clients that violate, and forget what is not needed again."""
        if not self._fresh:
            return
        begun = self._clock()
        metadata = dict(together([scan.metadata() for scan in self._scans]))
        since_ns, until_ns = metadata["complete_ns"]
        if len(self._scans) < self._logs:
            until_ns = 0
        metadata["complete_ns"] = [max(since_ns, self._since_ns), until_ns]
        log = self._finish(event_log(self._piece.chunk(), metadata))
        verdict = judge(log, self._policy, **self._judging)
        self._count(log)
        if verdict.outcome == VIOLATED:
            for key in judge_keys(log, self._policy, **self._judging):
                if key.verdict.outcome != VIOLATED:
                    break  # those that violate are the first
                self._tell(key)
        told_so_far = [] if self._verdict is None else [self._verdict]
        self._verdict = combine([*told_so_far, verdict])
        self._since_ns = max(self._since_ns, self._needed_ns())
        self._piece.drop(self._since_ns, self.violating)
        self._fresh = 0
        now = self._clock()
        self._next_s = now + max(_EACH_S, _SHARE * (now - begun))

    def _needed_ns(self) -> int:
        """From when on requests may be needed again: no log that has stopped keeps more."""
        scans = self._scans
        back_ns = max(scan.found["back_ns"] for scan in scans)
        longest_ns = max(scan.longest_ns() for scan in scans)
        reach_ns: int = longest_ns + 2 * max(scan.slack_ns() for scan in scans) + back_ns
        until = [(scan in self._quiet, scan.complete_ns()[1]) for scan in scans]
        busy = [until_ns for quiet, until_ns in until if not quiet]
        newest_ns = min(busy, default=max(until_ns for _, until_ns in until))
        return newest_ns - 2 * self._memory_ns - reach_ns

    def _tell(self, key: KeyVerdict) -> None:
        """Tell of a client that violates, and leave it out from now on."""
        self.violating[key.key] = None
        self.told += 1
        while len(self.violating) > _MOST_NAMES:
            del self.violating[next(iter(self.violating))]
        claims = list(dict.fromkeys(piece.claim for piece in key.verdict.evidence))
        first_ns = key.verdict.evidence[0].events[0].sent_ns
        begun = f"{datetime.fromtimestamp(first_ns / 1e9, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        told = {**key.to_json(), "claims": claims, "from": begun}
        self._found(json.dumps({**told, "evidence": key.verdict.evidence[0].sentence()}))

    def verdict(self) -> Verdict:
        """The verdict on all that was judged."""
        nothing = replace(combine([]), reasons=("the log has no request",))
        return replace(self._verdict or nothing, counts=self._counts)

    def _count(self, log: EventLog) -> None:
        """Count the requests that are judged for the first time: the last ones."""
        codes, words = log.codes("outcome")
        fresh = codes[len(codes) - self._fresh :]
        by_word = {word: fresh.count(code) for code, word in enumerate(words)}
        told = (by_word.get(word, 0) for word in ("admitted", "rejected", "unknown"))
        self._counts += Counts(0, len(fresh), *told)
