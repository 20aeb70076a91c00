"""Counts of a summary, table by table: the reference of `rust/python/src/tally.rs`."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from rateproof.core import native
from rateproof.events.columns import NULL
from rateproof.simulate.histogram import Histogram

COLUMNS: Final = (
    "sent_ns",
    "received_ns",
    "done_ns",
    "intended_ns",
    "status",
    "bytes",
    "connection",
)
"""The columns of numbers that a tally reads, in the order in which it takes them."""

LATENCY, RESPONSE = 0, 1
"""Times: from the instant of sending, and from the intended one where that was earlier."""

_BLOCK = 4_096


class PlainTally:
    """Counts in memory that does not grow with the number of events.

    Connections are counted exactly, by a bit for each number, so that a server
    that closes each one costs an eighth of a byte a request.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.bytes = 0
        self._outcomes = [0, 0, 0]
        self._statuses: Counter[int] = Counter()
        self._span: tuple[int, int] | None = None
        self._times = tuple([Histogram() for _ in range(3)] for _ in (LATENCY, RESPONSE))
        self._blocks: dict[int, int] = {}

    def observe(
        self, columns: Sequence[Any], outcomes: Any, kinds: bytes, errors: Any, words: int
    ) -> list[int]:
        """Count a table of events.

        Args:
            columns: those of `COLUMNS`, each a buffer of int64 in native order.
            outcomes: a code for each event, a buffer of int32.
            kinds: for each code of an outcome 0 admitted, 1 rejected or 2 unknown.
            errors: a code for each event, a buffer of int32.
            words: how many codes of errors there are.

        Returns:
            For each code of an error how many events had it.
        """
        seen = [0] * words
        for row in zip(*columns, outcomes, errors, strict=True):
            sent_ns, received_ns, done_ns, intended_ns, status, size, connection, code, error = row
            kind = kinds[code]
            self.requests += 1
            self.bytes += size
            self._outcomes[kind] += 1
            seen[error] += 1
            if status != NULL:
                self._statuses[status] += 1
            if connection:
                block = connection // _BLOCK
                self._blocks[block] = self._blocks.get(block, 0) | 1 << connection % _BLOCK
            end_ns = received_ns if done_ns == NULL else done_ns
            if end_ns == NULL:
                end_ns = sent_ns
            else:
                self._times[LATENCY][kind].add(end_ns - sent_ns)
                if intended_ns != NULL:
                    self._times[RESPONSE][kind].add(end_ns - min(sent_ns, intended_ns))
            first_ns, last_ns = self._span or (sent_ns, end_ns)
            self._span = min(first_ns, sent_ns), max(last_ns, end_ns)
        return seen

    @property
    def connections(self) -> int:
        """Number of different connections; 0 is none."""
        return sum(block.bit_count() for block in self._blocks.values())

    def outcomes(self) -> list[int]:
        """Number of each kind."""
        return list(self._outcomes)

    def statuses(self) -> dict[int, int]:
        """Number of each status."""
        return dict(self._statuses)

    def span(self) -> tuple[int, int] | None:
        """The first instant of sending and the last end, in ns; None without events."""
        return self._span

    def buckets(self, which: int, kind: int) -> tuple[int, int, dict[int, int]] | None:
        """A histogram of `LATENCY` or `RESPONSE` of one kind: its least, greatest, buckets."""
        times = self._times[which][kind]
        if times.min is None or times.max is None:
            return None
        return times.min, times.max, times.buckets


def new_tally() -> PlainTally:
    """An empty tally of the active core."""
    module = native()
    tally: PlainTally = PlainTally() if module is None else module.Tally()
    return tally
