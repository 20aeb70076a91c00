"""Limiters that explain everything seen: boxes of parameters, refuted and cut in halves."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from heapq import heapify, heappop, heappush
from itertools import pairwise
from math import ceil, isqrt
from typing import NamedTuple, TypeVar

from rateproof.policy import Quota
from rateproof.policy.leaky_queue import LEAKY_QUEUE
from rateproof.policy.sliding_log import SLIDING_LOG
from rateproof.policy.token_bucket import TOKEN_BUCKET
from rateproof.probe.families import FAMILIES
from rateproof.probe.family import LimiterFamily, explains
from rateproof.probe.roundness import Figure, rate_in, window_in
from rateproof.probe.seen import GRANULARITY_NS, Box, History
from rateproof.units import SECOND_NS

T = TypeVar("T")

_TRIES, _LEAST_TRIES = 800, 40
"""Boxes that are looked at after each round: of all families together, and of one at least."""
_CAREFUL = 5  # times as many, and so much smaller, before a name
_MOST_BOXES = 300  # of a family: what lies so close together, no more of them refute
_FINEST = 1 / 400  # of a window
_FINEST_NS = 500_000
_LEAST_NS = 4_000_000
_LEAST_TOKEN_NS = 100_000
_LEAST_BLOCKED_NS, _VOLLEYS = 20_000_000, 6  # of a window that a denial outlasts
_MOST_EXTRA = 20
_SECOND = 4  # times a limit: the most that a window beside it is looked for
_POSTPONED = 10  # times the window that a key may be denied which each denial puts off
_LEAST_BLOCK = 8  # a denial that blocks for less than a window / 8 is not looked for
_FITTED = 24
_FAR, _SLICES = (
    2,
    24,
)  # windows from where a phase is measured; parts in which windows are taken anew
_NARROW = 50  # parts of a token's time
_LONGER = 10  # than an answer: a window that may be named


class Recovery(NamedTuple):
    """The recovery of one key that was filled at once.

    Args:
        limit: how many it admitted at first.
        filled_ns: the earliest instant at which it was full.
        full_ns: the latest.
        denied_ns: the latest at which it still denied; `filled_ns` if it never did.
        admitted_ns: the latest at which it admitted again.
        saved: how many it admitted at once when it had been left alone.
        denied: how many it denied at first.
    """

    limit: int
    filled_ns: int
    full_ns: int
    denied_ns: int
    admitted_ns: int
    saved: int = 2
    denied: int = 0


class Kind(NamedTuple):
    """The limiters of a family with one limit that are still possible.

    Args:
        family: which.
        limit: N of a window or log, the burst of a bucket.
        low_ns: the least window that is possible; of a bucket, the least time of one token.
        high_ns: the largest.
        boxes: all that is possible.
        interval_ns: how long an answer takes, about: how closely an instant is known.
    """

    family: LimiterFamily
    limit: int
    low_ns: int
    high_ns: int
    boxes: Sequence[Box]
    interval_ns: int = 2 * GRANULARITY_NS

    @property
    def figure(self) -> Figure:
        """The round window, or rate, that is possible, if there is one."""
        of = rate_in if self.family.refills else window_in
        return of(*self.bounds_ns, self.interval_ns)

    @property
    def bounds_ns(self) -> tuple[int, int]:
        """The least and the largest window, as our notation counts it: without the block that is open."""
        number = self.family.number
        blocks = max(1, number - 1)
        return self.low_ns * blocks // number, -(-self.high_ns * blocks // number)

    @property
    def block_ns(self) -> tuple[()] | tuple[int, int]:
        """Between which bounds a denial blocks; empty where none does."""
        if self.family.other != "block":
            return ()
        lows = min(box.other_low_ns for box in self.boxes)
        return lows, max(box.other_high_ns for box in self.boxes)

    @property
    def beside(self) -> tuple[()] | tuple[int, int, int, int]:
        """The bounds of the limit and of the length of a window beside it; empty where there is none."""
        if self.family.other != "window":
            return ()
        return (
            min(box.second_low for box in self.boxes),
            max(box.second_high for box in self.boxes),
            min(box.other_low_ns for box in self.boxes),
            max(box.other_high_ns for box in self.boxes),
        )

    @property
    def close(self) -> bool:
        """True if the window is known to 10 parts in 100, and longer than answers take."""
        return self._times * self.low_ns > _LONGER * self.interval_ns and self._within(10, 0)

    @property
    def narrow(self) -> bool:
        """True if it, and for how long a denial blocks, is known so closely that it may be named."""
        least_ns, most_ns = self.block_ns or (0, 0)
        part = 20 if self.family.refills else 40
        return self.close and self._within(part, 3) and 10 * (most_ns - least_ns) <= most_ns

    @property
    def tight(self) -> bool:
        """True if it is known so closely that no more requests are spent on it."""
        closely = self._within(200, 3) or (self._within(100, 3) and self.figure.round)
        return self.narrow and closely

    @property
    def fresh(self) -> int:
        """The requests that a fresh key admits at once."""
        return self.family.at_first or self.limit

    @property
    def whole_ns(self) -> int:
        """The time after which everything is back."""
        return self._times * self.high_ns

    @property
    def least_ns(self) -> int:
        """The same for the least window that is possible."""
        return self._times * self.low_ns

    @property
    def middle_ns(self) -> int:
        """The same for the window in the middle."""
        return self._times * isqrt(self.low_ns * self.high_ns)

    @property
    def grain_ns(self) -> int:
        """The time between two instants of a clock at which something comes back."""
        grain_ns = self.high_ns // self.family.number
        return min(grain_ns, SECOND_NS) if self.family.other == "tick" else grain_ns

    @property
    def timeless(self) -> bool:
        """True if a filled key comes back whole after the same time, at any phase of any clock."""
        return self.family.plain and not self.family.other and not self.family.refills

    @property
    def on_clock(self) -> bool:
        """True if what comes back does so at instants of a clock, not one by one."""
        one_tick = self.family.other == "tick" and self.whole_ns == SECOND_NS
        whole = self.at_once or self.family.number > 1
        return whole and (self.family.other in {"phase", "own phase"} or one_tick)

    @property
    def clockwise(self) -> bool:
        """True if all comes back at once, at an instant of a clock that all keys share."""
        return self.at_once and self.on_clock and self.family.other != "own phase"

    @property
    def strained(self) -> bool:
        """True if all keys leave less of its window than one answer takes: it is hardly the rule.

        Of a rule that is true, a denial leaves at least as much below the window as an answer
        may be off, and an admission above it, whatever the number of keys. Another rule, or a
        window that varies, is squeezed between them.
        """
        # With a limit of 1 a bucket is a log.
        same_time = not self.family.refills or self.limit == 1
        return same_time and not self.family.other and self.high_ns - self.low_ns < self.interval_ns

    @property
    def at_once(self) -> bool:
        """True if all that filled a key at once comes back at one instant."""
        return not self.family.refills and self.family.number == 1 and not self.weighs

    @property
    def weighs(self) -> bool:
        """True if the window before counts by the part of it that overlaps."""
        return self.family.record is not None and self.family.record.weighs

    @property
    def _times(self) -> int:
        return self.limit if self.family.refills else 1

    def _within(self, part: int, intervals: int) -> bool:
        most_ns = max(self._times * self.low_ns // part, intervals * self.interval_ns)
        return self._times * (self.high_ns - self.low_ns) <= most_ns

    def quota(self, *, delaying: bool = False) -> Quota:
        """The policy in our notation; a family that has no word there as a sliding log.

        Args:
            delaying: what it admits is delayed: a queue, which holds all of a burst but the first.
        """
        figure = self.figure
        if self.family.refills:
            name, burst = TOKEN_BUCKET.name, self.limit
            if delaying:
                name, burst = LEAKY_QUEUE.name, max(1, self.limit - 1)
            return Quota(figure.limit, figure.window_ns, name, burst=burst)
        record = self.family.record or SLIDING_LOG
        blocks = self.family.number - 1
        return Quota(self.limit, figure.window_ns, record.name, parameter=blocks)


class Hypotheses:
    """The limiters that are still possible.

    Args:
        recovery: where to look for them.
        horizon_ns: the longest window that is looked for.
        families: those that are considered.
        interval_ns: how long an answer takes.

    Attributes:
        limit: as in the recovery.
        boxes: what is still possible of each family.
        fallen: of each family that is not, the limiter that explained the most.
        keys: what was learned, that first which refutes the most.
    """

    def __init__(
        self,
        recovery: Recovery,
        horizon_ns: int,
        families: Iterable[LimiterFamily] = FAMILIES,
        *,
        interval_ns: int = 2 * GRANULARITY_NS,
    ) -> None:
        self.limit = recovery.limit
        self.interval_ns = interval_ns
        self.fallen: dict[LimiterFamily, Box] = {}
        self.keys: list[History] = []
        self._kinds: list[Kind] = []
        self.boxes = {
            family: list(_all(family, recovery, horizon_ns, interval_ns)) for family in families
        }

    def learn(self, keys: Iterable[History], *, careful: int = 0, anew: bool = False) -> None:
        """Drop what does not explain these keys too; what no box explains is dropped whole.

        Args:
            keys: what was seen of them, for the first time or since then.
            careful: look at more and smaller boxes, the smaller the higher, before anything is named.
            anew: these are all keys, those that were learned before among them.
        """
        self._kinds = []
        if anew:
            self.keys = []
        keys = list(keys)
        known = {id(history) for history in self.keys}
        self.keys[:0] = [history for history in keys if id(history) not in known]
        all_tries = _TRIES * (_CAREFUL if careful else 1)
        tries = min(3 * _TRIES, max(_LEAST_TRIES, all_tries // max(1, len(self.boxes))))
        left: dict[LimiterFamily, list[Box]] = {}
        for family, boxes in self.boxes.items():
            # What was left explains the other keys.
            these = [box for box in boxes if explains(family, box, keys)]
            if family.other == "phase" and keys:
                these = _anchored(these, max(key[-1].sent_ns for key in keys if key))
            if refined := self._refined(family, these, tries, 1 / _CAREFUL**careful):
                left[family] = refined
            elif boxes:
                self.fallen[family] = self._best(family, boxes)
        self.boxes = left

    def _best(self, family: LimiterFamily, boxes: Sequence[Box]) -> Box:
        """The limiter of them that explains the most keys."""
        every = max(1, len(boxes) // _FITTED)
        points = {point: None for box in boxes[::every] for point in _points(box)}
        return max(points, key=lambda point: self.explained(family, point))

    def points(self, kind: Kind, most: int) -> list[Box]:
        """Some limiters of a kind; those that explain everything, if any of them do."""
        points = [box.point() for box in spread(sorted(kind.boxes), most)]
        return [point for point in points if self._explains(kind.family, point)] or points

    def explained(self, family: LimiterFamily, box: Box) -> int:
        """Count the keys that a box explains."""
        return sum(explains(family, box, (history,)) for history in self.keys)

    def _refined(
        self, family: LimiterFamily, boxes: list[Box], tries: int, finest: float
    ) -> list[Box]:
        """Halve the widest of what explains everything as long as there are tries."""
        pending = [(-_width(box), box) for box in boxes]
        heapify(pending)
        while pending and pending[0][0] < -finest and tries > 0 and len(pending) < _MOST_BOXES:
            _, box = heappop(pending)
            for half in _halves(family, box):
                tries -= 1
                if self._explains(family, half):
                    heappush(pending, (-_width(half), half))
        return [box for _, box in pending]

    def _explains(self, family: LimiterFamily, box: Box) -> bool:
        """Tell if a box explains all keys; the key that refutes it is asked first next time."""
        for position, history in enumerate(self.keys):
            if not explains(family, box, (history,)):
                self.keys.insert(0, self.keys.pop(position))
                return False
        return True

    def kinds(self) -> list[Kind]:
        """The limiters that are left, the likelier family first."""
        if self._kinds:
            return self._kinds
        found = self._kinds
        for family, everything in self.boxes.items():
            for limit in sorted({box.limit for box in everything}, reverse=True):
                these = [box for box in everything if box.limit == limit]
                low_ns = min(box.low_ns for box in these)
                high_ns = max(box.high_ns for box in these)
                found.append(Kind(family, limit, low_ns, high_ns, these, self.interval_ns))
        return found


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most so many of them, evenly, both ends included."""
    if len(items) <= most:
        return list(items)
    return [items[round(n * (len(items) - 1) / (most - 1))] for n in range(most)]


def _all(
    family: LimiterFamily, recovery: Recovery, horizon_ns: int, interval_ns: int
) -> Iterator[Box]:
    """Every limiter of a family that may have recovered so."""
    limit, filled_ns, full_ns, denied_ns, admitted_ns, saved, _ = recovery
    held_ns, since_ns = max(_LEAST_NS, denied_ns - filled_ns), admitted_ns - filled_ns
    if family.other == "window":
        low_ns = max(_LEAST_TOKEN_NS, denied_ns - full_ns)
        yield Box(limit, low_ns, since_ns, low_ns, horizon_ns, limit, _SECOND * limit)
    elif family.at_first is not None:  # how much it saves, one finds out by leaving it alone
        if limit == family.at_first:
            yield Box(saved, held_ns // 2, 2 * since_ns)
    elif family.refills:
        yield from _refilling(family, recovery)
    elif family.other == "phase":
        low_ns, edge_ns = (held_ns // 2, filled_ns) if family.carries else (held_ns, denied_ns)
        yield Box(limit, low_ns, horizon_ns, edge_ns, admitted_ns)
    elif family.other == "tick":
        first = max(1, held_ns // SECOND_NS)
        for seconds in range(first, since_ns // SECOND_NS + 3):
            yield Box(limit, seconds * SECOND_NS, seconds * SECOND_NS, 0, SECOND_NS)
    elif family.other == "own phase":
        yield Box(limit, held_ns, horizon_ns)
    elif family.other == "block":
        least_ns = min(max(_LEAST_BLOCKED_NS, _VOLLEYS * interval_ns), since_ns)
        yield Box(limit, least_ns, since_ns, held_ns // _LEAST_BLOCK, 2 * since_ns)
    else:
        yield Box(limit, held_ns // _POSTPONED, since_ns)


def _refilling(family: LimiterFamily, recovery: Recovery) -> Iterator[Box]:
    """Every bucket that may have recovered so."""
    limit, filled_ns, full_ns, denied_ns, admitted_ns, *_ = recovery
    since_ns = admitted_ns - filled_ns
    # B + k of them were admitted with k come back before; from the first of them, which may
    # have been as late as full_ns, the next one took longer than held_ns.
    tick, held_ns = family.other == "tick", max(_LEAST_TOKEN_NS, denied_ns - full_ns)
    low_ns = max(1, held_ns - SECOND_NS, held_ns // limit) if tick else held_ns
    high_ns = since_ns + (SECOND_NS if tick else 0)
    extra = min(limit - 1, _MOST_EXTRA, (full_ns - filled_ns) // held_ns + 1)
    for more in range(1 if tick else extra + 1):
        if high_ns // (more + 1) > (least_ns := low_ns // (more + 1)):
            yield Box(limit - more, least_ns, high_ns // (more + 1), 0, SECOND_NS * tick)


def _anchored(boxes: Sequence[Box], at_ns: int) -> list[Box]:
    """The same limiters, their phase an instant shortly before `at_ns`.

    Far from where it is measured a phase and a window are known only together: a diagonal
    that no box fits closely.
    """
    if not boxes:
        return []
    least_ns, most_ns = min(box.low_ns for box in boxes), max(box.high_ns for box in boxes)
    windows = (at_ns - max(box.other_high_ns for box in boxes)) // most_ns
    if windows < _FAR:
        return list(boxes)
    found: list[Box] = []
    cuts = [least_ns + (most_ns - least_ns) * n // _SLICES for n in range(_SLICES + 1)]
    for low_ns, high_ns in pairwise(cuts):
        phases = sorted(
            (
                box.other_low_ns + windows * max(low_ns, box.low_ns),
                box.other_high_ns + windows * min(high_ns, box.high_ns),
            )
            for box in boxes
            if box.low_ns <= high_ns and low_ns <= box.high_ns
        )
        joined: list[tuple[int, int]] = []
        for first_ns, last_ns in phases:
            if joined and first_ns <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(joined[-1][1], last_ns)
            else:
                joined.append((first_ns, last_ns))
        found += [Box(boxes[0].limit, low_ns, high_ns, *phase) for phase in joined]
    return found


def _halves(family: LimiterFamily, box: Box) -> tuple[Box, Box]:
    """Cut in two; where a clock of whole seconds counts tokens, beside the rate above which a tick more is waited for."""
    narrow = 0 < box.high_ns - box.low_ns < box.low_ns // _NARROW
    if family.refills and family.other == "tick" and narrow:
        cut = _simplest(Fraction(box.low_ns, SECOND_NS), Fraction(box.high_ns - 1, SECOND_NS))
        if cut.denominator <= box.limit:
            cut_ns = int(cut * SECOND_NS)
            return box._replace(high_ns=cut_ns), box._replace(low_ns=cut_ns + 1)
    return box.halves(box.limit if family.refills else 1)


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    """The fraction of the least denominator between two bounds, both included."""
    whole = ceil(low)
    if whole <= high:
        return Fraction(whole)
    return whole - 1 + 1 / _simplest(1 / (high - whole + 1), 1 / (low - whole + 1))


def _points(box: Box) -> Iterator[Box]:
    yield box.point()
    if _width(box) > 1:
        for half in box.halves():
            yield half.point()


def _width(box: Box) -> float:
    """The size of a box in the finest steps: at 1 it is as small as it gets."""
    finest_ns = max(min(_FINEST_NS, box.low_ns // 20), box.low_ns * _FINEST)
    other_ns = box.other_high_ns - box.other_low_ns
    if box.second_high:  # a second window and its limit, to a tenth
        second = (box.second_high - box.second_low) / box.second_low
        return 10 * max(second, other_ns / box.other_low_ns, box.high_ns / box.low_ns - 1)
    return max((box.high_ns - box.low_ns) / finest_ns, other_ns / max(4 * finest_ns, _FINEST_NS))
