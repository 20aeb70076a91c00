"""The requests of each key: intervals in which decisions were made, by outcome."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress, count

from rateproof.clock import Interval
from rateproof.events import ADMITTED, REJECTED, UNKNOWN, EventLog
from rateproof.events.facts import Stretch
from rateproof.events.judged import answers, marks_told

_MARKS = ("status", "retry_after_s", "ratelimit_remaining")
_NAMES = ("sent_ns", "received_ns", "outcome", "done_ns", "error")
UNMARKED = 503
"""The one status of a rejection that is no mark of the limiter by itself."""

_UNMARKED = [UNMARKED, None, None]
_NO_MARK = (None, UNMARKED)


@dataclass(slots=True)
class KeyLog:
    """The requests of one key. Rows are positions in the log, parallel to the intervals.

    Args:
        key: the client's identity.
        first_sent_ns: when its first request in the log was sent.
        code: of the key in the log.
        admitted: intervals of the requests that were admitted.
        rejected: intervals of the requests that were rejected.
        unknown: (sent_ns, ended_ns) of the rest; ended_ns is when the client
            saw it fail or gave up, None where the log does not say. The
            limiter may have decided later, unless the request never left.
        admitted_rows: rows of `admitted`.
        rejected_rows: rows of `rejected`.
        unknown_rows: rows of `unknown`.
        stretch: which of its requests these are, where they are not all.
    """

    key: bytes
    first_sent_ns: int
    code: int = 0
    admitted: list[Interval] = field(default_factory=list)
    rejected: list[Interval] = field(default_factory=list)
    unknown: list[tuple[int, int | None]] = field(default_factory=list)
    admitted_rows: list[int] = field(default_factory=list)
    rejected_rows: list[int] = field(default_factory=list)
    unknown_rows: list[int] = field(default_factory=list)
    stretch: Stretch | None = None

    @property
    def requests(self) -> int:
        """Number of them."""
        return len(self.admitted) + len(self.rejected) + len(self.unknown)

    def attempts(self) -> list[Interval]:
        """Every request, an unknown one until it ended, or as it was sent."""
        ended = [(sent_ns, sent_ns if end is None else end) for sent_ns, end in self.unknown]
        return self.admitted + self.rejected + ended

    def ended_unknowns(self) -> list[Interval]:
        """The requests of unknown outcome that are known to have ended."""
        return [(sent_ns, end) for sent_ns, end in self.unknown if end is not None]

    def maybe_admitted(self) -> list[tuple[int, int | None]]:
        """Every request that may ever have been admitted; unknown ones may be decided any time."""
        return [*self.admitted, *((sent_ns, None) for sent_ns, _ in self.unknown)]


_MASK = 2**64 - 1


def digest(key: bytes) -> int:
    """A number by which keys are ordered: FNV-1a in 64 bits, mixed once more.

    What comes first among equals so depends neither on the order of rows nor on who chose the key
    to be first in the alphabet.
    """
    found = 0xCBF29CE484222325
    for byte in key:
        found = (found ^ byte) * 0x100000001B3 & _MASK
    found = (found ^ found >> 33) * 0xFF51AFD7ED558CCD & _MASK
    return found ^ found >> 33


def by_digest(keys: Iterable[KeyLog]) -> list[KeyLog]:
    """The keys in the order of their digests."""
    return sorted(keys, key=lambda one: (digest(one.key), one.code))


def observe(
    log: EventLog, rows: Sequence[int] | None = None, *, marked: bool | None = None
) -> list[KeyLog]:
    """Sort a log's events by key, in order of appearance, and outcome.

    Where the limiter is seen to mark its rejections (Retry-After or RateLimit
    headers on any of them, or another status than 503), a 503 without these headers came
    from a failing server or a proxy: its outcome is unknown. So is that of a request called
    admitted or rejected for which there is no answer to bound the decision. A
    refused connection carried no request: it ended as it was sent.

    Args:
        log: what clients saw. Different codes are different keys, whatever their words.
        rows: which of its rows, in order; all of them if None.
        marked: whether the limiter is seen to mark its rejections, anywhere in
            the log; None if that is not known yet.
    """
    keys: dict[int, KeyLog] = {}
    if marked is None:
        marked = marks_rejections(log)
    codes, words = log.codes("key") if len(log) else ((), [])
    numbers = range(len(log)) if rows is None else rows
    names = (*_NAMES, *_MARKS) if marked else _NAMES
    columns = [log.column(name, rows) for name in names]
    for row, sent_ns, received_ns, said, done_ns, error, *marks in zip(
        numbers, *columns, strict=True
    ):
        code = codes[row]
        entry = keys.get(code)
        if entry is None:
            entry = keys[code] = KeyLog(words[code], sent_ns, code)
        entry.first_sent_ns = min(entry.first_sent_ns, sent_ns)
        unsure = received_ns is None or (marks == _UNMARKED and said == REJECTED)
        outcome = UNKNOWN if unsure else said
        if outcome == ADMITTED:
            entry.admitted.append((sent_ns, received_ns))
            entry.admitted_rows.append(row)
        elif outcome == REJECTED:
            entry.rejected.append((sent_ns, received_ns))
            entry.rejected_rows.append(row)
        else:
            ended_ns = received_ns if received_ns is not None else done_ns
            refused = error == "refused" and received_ns is None
            entry.unknown.append((sent_ns, None if refused else ended_ns))
            entry.unknown_rows.append(row)
    return list(keys.values())


_ROWS_AT_ONCE = 4_096


def observe_each(log: EventLog) -> Iterator[KeyLog]:
    """The requests of one key after the other, in order of appearance.

    As `observe` has them all, and without room for an object for each event.
    """
    if not len(log):
        return
    marked, codes = marks_rejections(log), log.codes("key")[0]
    place = {code: place for place, code in enumerate(dict.fromkeys(codes))}
    rows = array("q", sorted(range(len(log)), key=lambda row: place[codes[row]]))
    begin = 0
    while begin < len(rows):
        end = min(begin + _ROWS_AT_ONCE, len(rows))
        while end < len(rows) and codes[rows[end]] == codes[rows[end - 1]]:
            end += 1
        yield from observe(log, rows[begin:end], marked=marked)
        begin = end


def marks_rejections(log: EventLog) -> bool:
    """True if the log says so of its limiter, or any rejection carries marks of the limiter's own."""
    if (told := marks_told(log)) is not None:
        return told
    return any(
        of.outcome == REJECTED and (of.status not in _NO_MARK or of.marked) for of in answers(log)
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """The evidence that a verdict rests on, in numbers.

    Args:
        keys: different keys.
        events: requests.
        admitted: requests known to be admitted.
        rejected: requests known to be rejected by the limiter.
        unknown: the rest.
        judged: rejections that could be judged, under a policy that has a rule
            and where the log goes back far enough.
    """

    keys: int = 0
    events: int = 0
    admitted: int = 0
    rejected: int = 0
    unknown: int = 0
    judged: int = 0

    def sentence(self) -> str:
        """The figures in one line."""
        return (
            f"{self.events} requests of {self.keys} {'key' if self.keys == 1 else 'keys'}: "
            f"{self.admitted} admitted, {self.rejected} rejected, {self.unknown} unknown"
        )

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


def counts_of(log: EventLog, keys: int, *, marked: bool) -> Counts:
    """Count requests, of so many keys, where it is known whether the limiter marks its rejections."""
    kinds = {ADMITTED: 0, REJECTED: 0, UNKNOWN: 0}
    for of, found in answers(log).items():
        bare = marked and of.outcome == REJECTED and of.status == UNMARKED and not of.marked
        known = of.answered and not bare and of.outcome in kinds
        kinds[of.outcome if known else UNKNOWN] += found.times
    return Counts(keys, len(log), *kinds.values())


def fresh(log: EventLog) -> bool:
    """Tell whether the log says that no key was in use before it began."""
    return log.metadata.get("fresh_keys") is True


def cut_off(log: EventLog) -> bool:
    """True if the log says that requests of its run are missing: no rejection is judged then."""
    return log.metadata.get("complete") is False


def covered(log: EventLog) -> dict[str, int | None]:
    """Return from when on a log has every request, and from when on rejections come too late.

    A log that is cut out of what a server writes for ever says from when until when it has all
    that was decided. What rejected a later request may have ended after the log.
    """
    told = log.metadata.get("complete_ns")
    if not isinstance(told, list):
        return {}
    since_ns, until_ns, *late_ns = told
    if late_ns:
        return {"since_ns": since_ns, "until_ns": late_ns[0]}
    return {"since_ns": since_ns, "until_ns": first_late(log, until_ns)}


def first_late(log: EventLog, until_ns: int) -> int | None:
    """Return when the first request was sent of those rejected after the log is complete."""
    (outcomes, words), sent = log.codes("outcome"), log.ints("sent_ns")
    late = compress(count(), map(until_ns.__lt__, log.ints("received_ns")))
    rejected = (sent[row] for row in late if words[outcomes[row]] == REJECTED)
    return min(rejected, default=None)


def taken_for_fresh(log: EventLog) -> EventLog:
    """The log, assumed to say that no key was used before it began."""
    return log if fresh(log) else log.noting(fresh_keys=True, fresh_keys_assumed=True)


def requests_missing(log: EventLog) -> bool:
    """True if an admission may be missing; a run of a key in several can be whole all the same."""
    return cut_off(log) and not log.metadata.get("complete_by_run")
