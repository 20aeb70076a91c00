"""The event log in memory: a typed table, stored by column."""

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from rateproof.errors import LogError

__all__ = [
    "ADMITTED",
    "COLUMNS",
    "REJECTED",
    "REJECTED_STATUSES",
    "UNKNOWN",
    "Event",
    "EventLog",
    "outcome_of",
]

ADMITTED: Final = "admitted"
REJECTED: Final = "rejected"
UNKNOWN: Final = "unknown"

REJECTED_STATUSES: Final = frozenset({429, 503})
"""Status codes that mean "the limiter said no" unless the policy says otherwise."""


def outcome_of(status: int | None, rejected: Iterable[int] = REJECTED_STATUSES) -> str:
    """What an answer says of the limiter's decision.

    No answer is `unknown`: the request may have been admitted. A 5xx that is
    not a rejection code is `unknown` too, since a server that fails may or may
    not have counted. Everything else got past the limiter: `admitted`.
    """
    if status is None:
        return UNKNOWN
    if status in rejected:
        return REJECTED
    return UNKNOWN if status >= 500 else ADMITTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One request as its client saw it. Times are ns of one monotonic clock.

    Args:
        key: the client's identity as sent, any bytes.
        sent_ns: taken before the first byte of the request was written, so the
            server's decision is not earlier.
        received_ns: taken after the first byte of the final status line had
            arrived, so the decision is not later; None if no answer came.
        status: the HTTP status, None if no answer came.
        outcome: `admitted`, `rejected` or `unknown`.
        run: number of the run in this log.
        sequence: number of the request within its run.
        attempt: 0 for a first try, n for the n-th repetition by the client.
        intended_ns: when the schedule wanted it sent; None if it had no plan.
        done_ns: when the whole answer had been read.
        error: kind of failure, such as `refused`, `reset` or `timeout`.
        bytes: length of the answer's body.
        retry_after_s: value of Retry-After in seconds.
        ratelimit_remaining: `r` of the RateLimit header.
        ratelimit_reset_s: `t` of the RateLimit header, in seconds.
        connection: number of the connection it went over.
        worker: number of the generator's thread that sent it.
    """

    key: bytes
    sent_ns: int
    received_ns: int | None
    status: int | None
    outcome: str
    run: int = 0
    sequence: int = 0
    attempt: int = 0
    intended_ns: int | None = None
    done_ns: int | None = None
    error: str | None = None
    bytes: int = 0
    retry_after_s: float | None = None
    ratelimit_remaining: int | None = None
    ratelimit_reset_s: float | None = None
    connection: int = 0
    worker: int = 0


INT, FLOAT, TEXT, BINARY = "int", "float", "text", "binary"

COLUMNS: Final[Mapping[str, str]] = {
    "run": INT,
    "key": BINARY,
    "sequence": INT,
    "attempt": INT,
    "intended_ns": INT,
    "sent_ns": INT,
    "received_ns": INT,
    "done_ns": INT,
    "status": INT,
    "outcome": TEXT,
    "error": TEXT,
    "bytes": INT,
    "retry_after_s": FLOAT,
    "ratelimit_remaining": INT,
    "ratelimit_reset_s": FLOAT,
    "connection": INT,
    "worker": INT,
}
"""Every column in file order, with its kind."""

REQUIRED = ("key", "sent_ns", "received_ns", "status")
"""A log needs no more than these columns to be judged."""

_NULL = -(2**63)


class _Ints:
    """Integers or None, 8 bytes each."""

    def __init__(self) -> None:
        self._values = array("q")

    def append(self, value: int | None) -> None:
        self._values.append(_NULL if value is None else value)

    def __getitem__(self, index: int) -> int | None:
        value = self._values[index]
        return None if value == _NULL else value


class _Floats:
    """Floats or None, 8 bytes each."""

    def __init__(self) -> None:
        self._values = array("d")

    def append(self, value: float | None) -> None:
        self._values.append(math.nan if value is None else value)

    def __getitem__(self, index: int) -> float | None:
        value = self._values[index]
        return None if math.isnan(value) else value


class _Words:
    """Repeating text or bytes or None: a number each, and every word once."""

    def __init__(self) -> None:
        self._codes = array("l")
        self._words: list[Any] = []
        self._code_of: dict[Any, int] = {}

    def append(self, value: Any) -> None:
        code = self._code_of.get(value)
        if code is None:
            code = self._code_of[value] = len(self._words)
            self._words.append(value)
        self._codes.append(code)

    def __getitem__(self, index: int) -> Any:
        return self._words[self._codes[index]]


_STORAGE = {INT: _Ints, FLOAT: _Floats, TEXT: _Words, BINARY: _Words}
_FIELDS = tuple(f.name for f in fields(Event))


@dataclass(slots=True)
class EventLog:
    """A table of events, in the order in which they were appended.

    Args:
        metadata: what is true of the whole log: the clock's identity, the
            scenario, the seed, the policy, whether the run was valid.
    """

    metadata: dict[str, Any] = field(default_factory=dict)
    _columns: dict[str, Any] = field(
        default_factory=lambda: {name: _STORAGE[kind]() for name, kind in COLUMNS.items()},
        repr=False,
    )
    _length: int = 0

    def append(self, event: Event) -> None:
        """Add one row.

        Raises:
            LogError: an answer that arrived before its request was sent.
        """
        if event.received_ns is not None and event.received_ns < event.sent_ns:
            raise LogError(
                f"event {self._length}: received_ns {event.received_ns} is before "
                f"sent_ns {event.sent_ns}",
                "both must be readings of one monotonic clock",
            )
        for name in _FIELDS:
            self._columns[name].append(getattr(event, name))
        self._length += 1

    def extend(self, events: Iterable[Event]) -> None:
        """Add rows in order."""
        for event in events:
            self.append(event)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Event:
        if not 0 <= index < self._length:
            raise IndexError(index)
        return Event(**{name: self._columns[name][index] for name in _FIELDS})

    def __iter__(self) -> Iterator[Event]:
        return map(self.__getitem__, range(self._length))

    def column(self, name: str) -> list[Any]:
        """The values of one column, None where there is none."""
        column = self._columns[name]
        return [column[index] for index in range(self._length)]

    def by_key(self) -> dict[bytes, list[Event]]:
        """The events of each key, in log order, keys in order of appearance."""
        keys: dict[bytes, list[Event]] = {}
        for event in self:
            keys.setdefault(event.key, []).append(event)
        return keys
