"""The requests of a log, parted by client, and the most of each in any window."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any, Final, TypeVar

from rateproof.clock import MILLION, Tolerance
from rateproof.core import required_native
from rateproof.events.partitions import Partitions
from rateproof.plan.progress import PlanProgress

COLUMNS: Final = (8, 4, 4, 4)
"""Bytes of a request's earliest instant, of its width, and of the hashes of user agent and path."""

_BINS: Final = 4_096
_THREADS: Final = 2
_T = TypeVar("_T")


def drifted(least_ns: int, most_ns: int) -> tuple[int, int]:
    """Return a length of the limiter's clock on the log's, at the least and at the most."""
    ppm = Tolerance().ppm
    shortest_ns = max(1, least_ns * (MILLION - ppm) // MILLION)
    return shortest_ns, -(-most_ns * (MILLION + ppm) // MILLION)


@dataclass(frozen=True, slots=True)
class Span:
    """The time of a log, in equal bins.

    Args:
        since_ns: earliest instant of a decision.
        until_ns: latest.
        bins: how many.
    """

    since_ns: int
    until_ns: int
    bins: int = _BINS

    @property
    def bin_ns(self) -> int:
        """Length of a bin."""
        return max(1, -(-(self.until_ns - self.since_ns + 1) // self.bins))

    @property
    def grid(self) -> tuple[int, int, int]:
        """Begin, length and number of bins, for the native core."""
        return self.since_ns, self.bin_ns, self.bins


@dataclass(frozen=True, slots=True)
class Peaks:
    """The most requests of each client in any window of a length.

    Args:
        window_ns: the length.
        least: by code of the client, what some window has held for certain.
        most: what one may have held.
        places: clients that a table holds at once, at most.
    """

    window_ns: int
    least: "array[int]"
    most: "array[int]"
    places: int

    def beyond(self, limit: int) -> int:
        """Return how many clients may be above a limit."""
        return sum(one > limit for one in self.most)

    def distribution(self) -> list[tuple[int, int]]:
        """Return how many clients have each peak at most, from the smallest on."""
        counts = Counter(self.most)
        del counts[0]  # codes without a request
        peaks = sorted(counts)
        return list(zip(peaks, accumulate(counts[peak] for peak in peaks), strict=True))


def part_of(rows: bytes, count: int) -> Any:
    """The native traffic of one of so many parts."""
    return required_native("planning").Traffic(rows, count)


def _peaks(lengths: Sequence[tuple[int, int]], grid: tuple[int, int, int], part: Any) -> Any:
    return part.peaks(lengths, grid)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests parted by client.

    Args:
        partitions: of `COLUMNS`.
        keys: each client's identity, by code.
        span: when the requests were decided.
        requests: how many.
        progress: notes the parts that are done.
        elsewhere: has others work on every part, and gives each with the result; None: it is done
            here.
    """

    partitions: Partitions
    keys: Sequence[bytes]
    span: Span
    requests: int
    progress: PlanProgress
    elsewhere: Callable[[Any], Iterable[tuple[int, Any]]] | None = None

    def each_part(self, work: Callable[[Any], _T]) -> Iterable[tuple[int, _T]]:
        """Do something with the requests of each part, two at a time; the part, and what came of it.

        Args:
            work: given the native traffic of a part.
        """
        if self.elsewhere is not None:
            for part, found in self.elsewhere(work):
                self.progress.passed()
                yield part, found
            return
        parts = [part for part, rows in enumerate(self.partitions.rows()) if rows]

        def one(part: int) -> tuple[int, _T]:
            found = work(part_of(self.partitions.read(part), self.partitions.count))
            self.progress.passed()
            return part, found

        with ThreadPoolExecutor(_THREADS) as pool:
            yield from pool.map(one, parts)

    def peaks(self, windows_ns: Sequence[int]) -> tuple[list[Peaks], list[int]]:
        """Return the peaks in each window, and the requests in each bin of the span."""
        size, native = len(self.keys), required_native("planning")
        least = [array("i", bytes(4 * size)) for _ in windows_ns]
        most = [array("i", bytes(4 * size)) for _ in windows_ns]
        rows: list[list[bytes]] = [[] for _ in (*windows_ns, None)]
        stride, lengths = self.partitions.count, [drifted(one, one) for one in windows_ns]
        for part, (sides, found) in self.each_part(partial(_peaks, lengths, self.span.grid)):
            keys = len(range(part, size, stride))
            for at, side in enumerate(sides):
                for peaks, told in zip((least[at], most[at]), side, strict=True):
                    peaks[part::stride] = array("i", told + bytes(4 * keys - len(told)))
            for row, one in zip(rows, found, strict=True):
                row.append(one)
        bins = [array("q", native.summed(row)).tolist() for row in rows]
        requests = bins.pop()
        return [
            Peaks(window_ns, low, high, max(accumulate(row), default=0))
            for window_ns, low, high, row in zip(windows_ns, least, most, bins, strict=True)
        ], requests
