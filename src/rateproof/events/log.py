"""The event log in memory: a typed table, stored by column."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from itertools import compress, count, islice
from operator import sub
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, get_args, get_type_hints

from rateproof import core
from rateproof.errors import InvalidArgument, LogError
from rateproof.events.columns import NULL, Column, Floats, Ints, Words

if TYPE_CHECKING:
    from array import array

ADMITTED: Final = "admitted"
REJECTED: Final = "rejected"
UNKNOWN: Final = "unknown"
OUTCOMES: Final = (ADMITTED, REJECTED, UNKNOWN)
"""By their codes in the native core."""

REJECTED_STATUSES: Final = frozenset({429, 503})
"""Status codes that mean "the limiter said no" unless the policy says otherwise."""

_REQUEST_TIMEOUT = 408


def outcome_of(status: int | None, rejected: Iterable[int] = REJECTED_STATUSES) -> str:
    """The limiter's decision, as far as an answer shows it.

    No answer is `unknown`: the request may have been admitted. So is what is no
    status, such as the 0 by which some tools mean no answer. A 5xx that is
    not a rejection code is `unknown` too, since a server that fails may or may
    not have counted; and so is 408, by which a server may give up a request
    that it never read in full (RFC 9110, section 15.5.9). Everything else got
    past the limiter: `admitted`.
    """
    if status is None or status < 100:
        return UNKNOWN
    if status in rejected:
        return REJECTED
    return UNKNOWN if status >= 500 or status == _REQUEST_TIMEOUT else ADMITTED


def absent(names: Sequence[str]) -> str:
    """The statement that columns are missing."""
    many = len(names) > 1
    return f"column{'s' * many} {', '.join(names)} {'are' if many else 'is'} missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One request as its client saw it. Times are ns of one monotonic clock.

    Args:
        run: number of the run in this log.
        key: the client's identity as sent, any bytes.
        sequence: number of the request within its run.
        attempt: 0 for a first try, n for the n-th repetition by the client.
        intended_ns: when the schedule wanted it sent; None if it had no plan.
        sent_ns: taken before the first byte of the request was written, so the
            server's decision is not earlier.
        received_ns: taken after all three digits of the final status had
            arrived, so the decision is not later; None if no answer came.
        done_ns: when the whole answer had been read.
        status: the HTTP status, None if no answer came.
        outcome: `admitted`, `rejected` or `unknown`.
        error: kind of failure, such as `refused`, `reset` or `timeout`.
        bytes: length of the answer's body.
        retry_after_s: value of Retry-After in seconds.
        ratelimit_remaining: `r` of the RateLimit header.
        ratelimit_reset_s: `t` of the RateLimit header, in seconds.
        connection: number of the connection it went over.
        worker: number of the generator's thread that sent it.
    """

    run: int = 0
    key: bytes
    sequence: int = 0
    attempt: int = 0
    intended_ns: int | None = None
    sent_ns: int
    received_ns: int | None
    done_ns: int | None = None
    status: int | None
    outcome: str
    error: str | None = None
    bytes: int = 0
    retry_after_s: float | None = None
    ratelimit_remaining: int | None = None
    ratelimit_reset_s: float | None = None
    connection: int = 0
    worker: int = 0


INT, FLOAT, TEXT, BINARY = "int", "float", "text", "binary"
_KINDS = {int: INT, float: FLOAT, str: TEXT, bytes: BINARY}

COLUMNS: Final[Mapping[str, str]] = {
    name: _KINDS[(get_args(told) or (told,))[0]] for name, told in get_type_hints(Event).items()
}
"""Every column in file order, which is that of `Event`, with its kind."""

REQUIRED = ("key", "sent_ns", "received_ns", "status")
"""A log needs no more than these columns to be judged."""

_STORAGE: Final[Mapping[str, Any]] = {INT: Ints, FLOAT: Floats, TEXT: Words, BINARY: Words}
_C = TypeVar("_C", bound=Column)
_FIELDS = tuple(f.name for f in fields(Event))

DEFAULTS: Final[Mapping[str, Any]] = {
    f.name: f.default for f in fields(Event) if f.default is not MISSING
}
"""Values of a column in every row where nothing says otherwise."""


@dataclass(slots=True)
class EventLog:
    """A table of events, in the order in which they were appended.

    Every answer in it arrived no earlier than its request was sent: whatever adds
    rows refuses others.

    Args:
        metadata: what is true of the whole log: the clock's identity, the
            scenario, the seed, the policy, whether the run was valid, and whether
            the log is complete (where it does not say, it is).
    """

    metadata: dict[str, Any] = field(default_factory=dict)
    _columns: dict[str, Any] = field(
        default_factory=lambda: {name: _STORAGE[kind]() for name, kind in COLUMNS.items()},
        repr=False,
    )
    _length: int = 0
    _found: dict[str, tuple[int, Any]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_columns(
        cls, columns: Mapping[str, Any], length: int, metadata: Mapping[str, Any] | None = None
    ) -> Self:
        """A table of `length` rows from whole columns, without an object for each row.

        Args:
            columns: by name: an integer column as bytes of int64, None being -2**63;
                a float column as bytes of float64, None being NaN; a text or binary
                column as a pair of bytes of int32 codes and the list of the words
                they stand for, each of them once, None allowed among them. Bytes are
                anything with a buffer, in native order, and are copied unless they
                cannot be changed. The list is
                kept: it may grow, and must not be changed otherwise. A column that is
                not there has the default of `Event` in every row.
            length: number of rows.
            metadata: as of the class.

        Raises:
            InvalidArgument: an unknown column, one that has no default and is not
                there, one of another length, or a code without a word.
            LogError: an answer that arrived before its request was sent; the message
                has the number of its row, counted from 0.
        """
        unknown = [name for name in columns if name not in COLUMNS]
        missing = [name for name in _FIELDS if name not in columns and name not in DEFAULTS]
        if unknown or missing:
            problem = f"no column {unknown[0]!r}" if unknown else absent(missing)
            raise InvalidArgument(f"a log of columns: {problem}", f"columns: {', '.join(COLUMNS)}")
        log = cls({} if metadata is None else dict(metadata))
        for name in COLUMNS:
            log._columns[name] = _column(name, columns.get(name), length)
        log._length = length
        row = log.first_short(0)
        if row is not None:
            sent, received = log.column("sent_ns", [row]), log.column("received_ns", [row])
            raise _early_answer(row, sent[0], received[0])
        return log

    def append(self, event: Event) -> None:
        """Add one row.

        Raises:
            LogError: an answer that arrived before its request was sent.
        """
        if event.received_ns is not None and event.received_ns < event.sent_ns:
            raise _early_answer(self._length, event.sent_ns, event.received_ns)
        for name in _FIELDS:
            self._columns[name].append(getattr(event, name))
        self._length += 1

    def extend(self, events: Iterable[Event]) -> None:
        """Add rows in order; those of a log by column, which is fast.

        Raises:
            LogError: an answer that arrived before its request was sent; the rows
                before it have been added.
        """
        if not isinstance(events, EventLog):
            for event in events:
                self.append(event)
            return
        length = len(events)
        theirs = events._columns  # noqa: SLF001 - of the same class
        for name, column in self._columns.items():
            column.extend(theirs[name])
        self._length += length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Event:
        if not 0 <= index < self._length:
            raise IndexError(index)
        return Event(**{name: self._columns[name][index] for name in _FIELDS})

    def __iter__(self) -> Iterator[Event]:
        rows = zip(*(self._columns[name] for name in _FIELDS), strict=True)
        for row in islice(rows, self._length):
            yield Event(**dict(zip(_FIELDS, row, strict=True)))

    def column(self, name: str, rows: Sequence[int] | None = None) -> list[Any]:
        """The values of one column, of these rows or of all; None where there is none."""
        column = self._columns[name]
        return list(column) if rows is None else column.picked(rows)

    def ints(self, name: str) -> "array[int]":
        """An integer column as it is stored, -2**63 for None; not to be changed."""
        return self._stored(name, Ints).values()

    def stored(self, name: str) -> Any:
        """A column as it is stored: one number or code for all rows, or a buffer of them."""
        column: Column = self._columns[name]
        return column.stored

    def extremes(self, name: str) -> tuple[int, int] | None:
        """The least and the greatest of an integer column, as stored; None where there is no row."""
        return self._stored(name, Ints).extremes()

    def first_short(self, least_ns: int) -> int | None:
        """The first row that was answered less than so many ns after it was sent."""
        native = core.native()
        if native is not None:
            sent, received = self.stored("sent_ns"), self.stored("received_ns")
            found: int | None = native.first_short(sent, received, self._length, least_ns)
            return found
        sent, received = self.ints("sent_ns"), self.ints("received_ns")
        rows = compress(count(), map(least_ns.__gt__, map(sub, received, sent)))
        return next((row for row in rows if received[row] != NULL), None)

    def distinct(self, name: str) -> frozenset[int]:
        """Every value of an integer column, -2**63 for None."""
        return self._stored(name, Ints).distinct()

    def floats(self, name: str) -> "array[float]":
        """A float column as it is stored, NaN for None; not to be changed."""
        return self._stored(name, Floats).values()

    def codes(self, name: str) -> "tuple[array[int], list[Any]]":
        """A text or binary column as it is stored: a code each, and the words; not to be changed.

        The list may have words that no row has, and None where a row has none.
        """
        return self._stored(name, Words).values(), self.words(name)

    def words(self, name: str) -> list[Any]:
        """The words that the codes of a text or binary column stand for; not to be changed."""
        return self._stored(name, Words).words

    def found(self, name: str, find: Callable[[Self], Any]) -> Any:
        """A fact of all rows, found once; not to be changed."""
        known = self._found.get(name)
        if known is None or known[0] != self._length:
            known = self._found[name] = self._length, find(self)
        return known[1]

    def same(self, name: str) -> Any:
        """The value of every row of a column; None where rows may differ or there are none.

        A column in which every row has the same value takes no memory.
        """
        column: Column = self._columns[name]
        return column.same if self._length else None

    def take(self, rows: "Sequence[int]") -> Self:
        """The rows with these numbers, in this order, with the same metadata."""
        columns = {name: column.take(rows) for name, column in self._columns.items()}
        return type(self)(dict(self.metadata), columns, len(rows))

    def with_column(self, name: str, values: Any) -> Self:
        """The same rows and metadata with another column; the rest is shared: do not add rows.

        Args:
            name: of the column.
            values: as of `from_columns`.

        Raises:
            InvalidArgument: a column of another length, or a code without a word.
        """
        column = _column(name, values, self._length)
        return type(self)(dict(self.metadata), self._columns | {name: column}, self._length)

    def noting(self, **metadata: Any) -> Self:
        """The same rows, of which this is true as well; they are shared: do not add rows."""
        return type(self)(self.metadata | metadata, self._columns, self._length)

    def by_key(self) -> dict[bytes, list[Event]]:
        """The events of each key, in log order, keys in order of appearance."""
        keys: dict[bytes, list[Event]] = {}
        for event in self:
            keys.setdefault(event.key, []).append(event)
        return keys

    def _stored(self, name: str, kind: type[_C]) -> _C:
        column = self._columns[name]
        if not isinstance(column, kind):
            raise InvalidArgument(f"{name} is a column of {COLUMNS[name]}")
        return column


def _column(name: str, given: Any, length: int) -> Any:
    kind = COLUMNS[name]
    if given is None:
        column = _STORAGE[kind]()
        column.append(DEFAULTS[name], length)
        return column
    try:
        column = Words.coded(*given) if kind in {TEXT, BINARY} else _STORAGE[kind].of(given)
    except (IndexError, TypeError, ValueError) as error:
        raise InvalidArgument(f"a log of columns: {name}: {error}") from error
    if len(column) != length:
        raise InvalidArgument(f"a log of columns: {name} has {len(column)} rows, not {length}")
    return column


def _early_answer(row: int, sent_ns: int, received_ns: int) -> LogError:
    return LogError(
        f"event {row}: received_ns {received_ns} is before sent_ns {sent_ns}",
        "both must be readings of one monotonic clock",
    )
