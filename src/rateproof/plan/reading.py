"""An access log in, the traffic of its clients out."""

from array import array
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from rateproof.core import required_native
from rateproof.errors import LogError
from rateproof.events.access_logs import Reading
from rateproof.events.access_logs.access_log import hosts_of
from rateproof.events.access_logs.feeding import begin, chunks
from rateproof.events.access_logs.scan import LIMITERS_503, UNDECIDED, Chunk
from rateproof.output import say
from rateproof.plan.progress import PlanProgress
from rateproof.plan.traffic import Partitions, Span, Traffic

HASHED: Final = (("header:user-agent",), ("path", "request"))
Ends = tuple[int | None, int | None]
CHUNK: Final = 1 << 24
"""Bytes of a log that are worked on at once."""


def read_traffic(
    names: Sequence[str], reading: Reading, partitions: Partitions, progress: PlanProgress
) -> tuple[Traffic, list[str]]:
    """Read logs into partitions, and return their traffic with what all bounds rest on.

    Raises:
        InvalidArgument: a format has not what is asked for.
        LogError: no access log, or one that is damaged or empty.
        CannotWrite: there is no room for its parts.
    """
    keys: list[bytes] = []
    ends: list[Ends] = []
    requests = 0
    assumptions: dict[str, None] = {}
    for number, (pieces, name) in enumerate(hosts_of(names, reading)):
        scan, files = begin(progress.reading(pieces), name, reading, HASHED)
        say(scan.introduction)
        codes = Codes(keys, shared=number > 0)
        with ThreadPoolExecutor(1) as pool:  # while the next chunk is read
            adding: Future[Ends] | None = None
            for chunk in chunks(scan, files, size=CHUNK, keep=True):
                told = codes.of(chunk.words, chunk.keys)
                requests += len(told)
                if adding is not None:
                    ends.append(adding.result())
                adding = pool.submit(_add, partitions, chunk, told)
            if adding is not None:
                ends.append(adding.result())
        scan.refuse()
        assumptions |= dict.fromkeys(scan.metadata()["assumptions"])
    span = span_of(ends, requests, name)
    progress.passing(len(partitions.filled()))
    return Traffic(partitions, keys, span, requests, progress), assumed([*assumptions])


def span_of(ends: Sequence[Ends], requests: int, name: str) -> Span:
    """The time of a log.

    Raises:
        LogError: it has no requests.
    """
    if not requests:
        raise LogError(f"{name} has no requests", "a log needs at least one, with its client")
    since_ns = min(since_ns for since_ns, _ in ends if since_ns is not None)
    return Span(since_ns, max(until_ns for _, until_ns in ends if until_ns is not None))


class Codes:
    """The codes of clients over several logs, each of which numbers them by itself.

    Args:
        keys: those that are known, by code; new ones are added.
        shared: some may be known from logs before.
    """

    def __init__(self, keys: list[bytes], *, shared: bool) -> None:
        self._keys = keys
        self._known = {key: code for code, key in enumerate(keys)} if shared else None
        self._codes: list[int] = []

    def of(self, words: Sequence[bytes], codes: Sequence[int]) -> Sequence[int]:
        """The codes of some requests of a log, whose own are given with the words of new ones."""
        if self._known is None:
            self._keys += words
            return codes
        for word in words:
            code = self._known.setdefault(word, len(self._keys))
            if code == len(self._keys):
                self._keys.append(word)
            self._codes.append(code)
        return array("i", map(self._codes.__getitem__, codes))


def assumed(told: Sequence[str]) -> list[str]:
    """Return the assumptions, but for that on rejections: here they are requests like others."""
    return [one for one in told if one != LIMITERS_503]


def _add(partitions: Partitions, chunk: Chunk, codes: Sequence[int]) -> Ends:
    """Add requests to their parts; return their earliest and their latest instant."""
    columns, ends = columns_of(chunk)
    partitions.add(raw(codes), columns)
    return ends


def columns_of(chunk: Chunk) -> tuple[list[bytes], Ends]:
    """The columns of requests as `Partitions` takes them, and their earliest and their latest instant."""
    native: Any = required_native("planning")
    sent, received, status = map(raw, (chunk.sent_ns, chunk.received_ns, chunk.status))
    widths, since_ns, until_ns = native.request_widths(sent, received, status, list(UNDECIDED))
    return [sent, widths, *map(raw, chunk.hashes)], (since_ns, until_ns)


def raw(values: Any) -> bytes:
    """The bytes of a column, which are not copied if nobody can change them."""
    view = memoryview(values)
    return view.obj if isinstance(view.obj, bytes) else view.tobytes()
