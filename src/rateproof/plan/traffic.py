"""The requests of a log, parted by client, and the most of each in any window."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from tempfile import SpooledTemporaryFile, gettempdir
from typing import Any, Final, Self, TypeVar

from rateproof.clock import MILLION, Tolerance
from rateproof.core import required_native
from rateproof.folders import writable
from rateproof.plan.progress import PlanProgress

_BINS: Final = 4_096
_THREADS: Final = 2
_HINT: Final = "parts of a large log go to a temporary folder: TMPDIR names another disk"
_T = TypeVar("_T")


def drifted(least_ns: int, most_ns: int) -> tuple[int, int]:
    """Return a length of the limiter's clock on the log's, at the least and at the most."""
    ppm = Tolerance().ppm
    shortest_ns = max(1, least_ns * (MILLION - ppm) // MILLION)
    return shortest_ns, -(-most_ns * (MILLION + ppm) // MILLION)


class Partitions:
    """Requests in parts, in which all of a client lie together. To be used in a `with`.

    The part of a request is the code of its client modulo their number. What a part has beyond
    `most_bytes` goes to the temporary folder, to a file without a name: it goes with this process.

    Args:
        count: number of parts.
        most_bytes: what each of them holds in memory.
    """

    def __init__(self, *, count: int = 64, most_bytes: int = 1 << 22) -> None:
        self.count, self._most_bytes = count, most_bytes

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._parts = [
                stack.enter_context(SpooledTemporaryFile(self._most_bytes))
                for _ in range(self.count)
            ]
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # the disk is full, as was told
            self._exit.close()

    def add(self, codes: bytes, columns: Sequence[bytes]) -> None:
        """Add requests.

        Args:
            codes: of their clients, as int32 in native byte order.
            columns: the earliest instant of each as int64, its width, and the hashes of its user
                agent and its path as uint32.

        Raises:
            CannotWrite: the disk is full.
        """
        parted = required_native("planning").parted(codes, columns, self.count)
        with writable(gettempdir(), _HINT):
            for part, rows in zip(self._parts, parted, strict=True):
                part.write(rows)
                part.flush()

    def filled(self) -> list[int]:
        """Return the numbers of the parts that have requests."""
        return [number for number, part in enumerate(self._parts) if part.tell()]

    def read(self, number: int) -> bytes:
        """Return the requests of a part, a row each, in the order of adding."""
        part = self._parts[number]
        part.seek(0)
        return part.read()


@dataclass(frozen=True, slots=True)
class Span:
    """The time of a log, in equal bins."""

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
        partitions: that have them.
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
        """Do something with the requests of each part, two at a time; the part, and what came of it."""
        if self.elsewhere is not None:
            for part, found in self.elsewhere(work):
                self.progress.passed()
                yield part, found
            return

        def one(part: int) -> tuple[int, _T]:
            found = work(part_of(self.partitions.read(part), self.partitions.count))
            self.progress.passed()
            return part, found

        with ThreadPoolExecutor(_THREADS) as pool:
            yield from pool.map(one, self.partitions.filled())

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
