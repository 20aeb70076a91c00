"""An access log in, the traffic of its clients out."""

from array import array
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from rateproof.core import required_native
from rateproof.errors import LogError
from rateproof.events.access_logs import Reading
from rateproof.events.access_logs.access_log import hosts_of
from rateproof.events.access_logs.scan import LIMITERS_503, UNDECIDED, Chunk, begin, chunks
from rateproof.events.partitions import Partitions
from rateproof.output import say
from rateproof.plan.course import Course
from rateproof.plan.traffic import Span, Traffic

_HASHED: Final = (("header:user-agent",), ("path", "request"))
_Ends = tuple[int | None, int | None]
_CHUNK: Final = 1 << 24
"""Bytes of a log that are worked on at once."""


def read_traffic(
    names: Sequence[str], reading: Reading, partitions: Partitions, course: Course
) -> tuple[Traffic, list[str]]:
    """Read logs into partitions, and return their traffic with what all bounds rest on.

    Raises:
        InvalidArgument: a format has not what is asked for.
        LogError: no access log, or one that is damaged or empty.
        CannotWrite: there is no room for its parts.
    """
    keys: list[bytes] = []
    ends: list[_Ends] = []
    requests = 0
    assumptions: dict[str, None] = {}
    for number, (pieces, name) in enumerate(hosts_of(names, reading)):
        scan, files = begin(course.reading(pieces), name, reading, _HASHED)
        say(scan.introduction)
        codes = _Codes(keys, shared=number > 0)
        with ThreadPoolExecutor(1) as pool:  # while the next chunk is read
            adding: Future[_Ends] | None = None
            for chunk in chunks(scan, files, size=_CHUNK, keep=True):
                told = codes.of(chunk)
                requests += len(told)
                if adding is not None:
                    ends.append(adding.result())
                adding = pool.submit(_add, partitions, chunk, told)
            if adding is not None:
                ends.append(adding.result())
        scan.refuse()
        assumptions |= dict.fromkeys(scan.metadata()["assumptions"])
    if not requests:
        raise LogError(f"{name} has no requests", "a log needs at least one, with its client")
    since_ns = min(since_ns for since_ns, _ in ends if since_ns is not None)
    span = Span(since_ns, max(until_ns for _, until_ns in ends if until_ns is not None))
    course.passing(sum(map(bool, partitions.rows())))
    return Traffic(partitions, keys, span, requests, course), _assumed([*assumptions])


class _Codes:
    """The codes of clients over several logs, each of which numbers them by itself.

    Args:
        keys: those that are known, by code; new ones are added.
        shared: some may be known from logs before.
    """

    def __init__(self, keys: list[bytes], *, shared: bool) -> None:
        self._keys = keys
        self._known = {key: code for code, key in enumerate(keys)} if shared else None
        self._codes: list[int] = []

    def of(self, chunk: Chunk) -> Sequence[int]:
        if self._known is None:
            self._keys += chunk.words
            return chunk.keys
        for word in chunk.words:
            code = self._known.setdefault(word, len(self._keys))
            if code == len(self._keys):
                self._keys.append(word)
            self._codes.append(code)
        return array("i", map(self._codes.__getitem__, chunk.keys))


def _assumed(told: Sequence[str]) -> list[str]:
    """Return the assumptions, but for that on rejections: here they are requests like others."""
    return [one for one in told if one != LIMITERS_503]


def _add(partitions: Partitions, chunk: Chunk, codes: Sequence[int]) -> _Ends:
    """Add requests to their parts; return their earliest and their latest instant."""
    native: Any = required_native("planning")
    sent, received, status = map(_raw, (chunk.sent_ns, chunk.received_ns, chunk.status))
    widths, *ends = native.request_widths(sent, received, status, list(UNDECIDED))
    partitions.add(_raw(codes), [sent, widths, *map(_raw, chunk.hashes)])
    return ends[0], ends[1]


def _raw(values: Any) -> bytes:
    view = memoryview(values)
    return view.obj if isinstance(view.obj, bytes) else view.tobytes()
