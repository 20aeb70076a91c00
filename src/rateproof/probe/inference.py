"""Limiters that explain everything seen: boxes of parameters, refuted and cut in halves."""

from collections.abc import Iterable
from typing import NamedTuple

from rateproof.policy import Quota
from rateproof.policy.leaky_queue import LEAKY_QUEUE
from rateproof.policy.sliding_log import SLIDING_LOG
from rateproof.policy.token_bucket import TOKEN_BUCKET
from rateproof.probe.families import FAMILIES
from rateproof.probe.family import LimiterFamily, explains
from rateproof.probe.roundness import Guess, rate_in, window_in
from rateproof.probe.seen import Box, History

__all__ = ["Hypotheses", "Kind", "Recovery"]

_MOST_BOXES = 96
_TRIES, _MORE_TRIES = 400, 600
"""Boxes that are looked at to find out which of many hold anything."""
_FINEST = 1 / 400  # of a window
_FINEST_NS = 500_000
_LEAST_NS = 1_000_000
_LEAST_SCATTERED_NS = 100_000_000  # several counters look like one with a window of less
_MOST_EXTRA = 8


class Recovery(NamedTuple):
    """The recovery of one key that was filled at once.

    Args:
        limit: how many it admitted at first.
        begun_ns: before the first of them.
        filled_ns: the earliest instant at which it was full.
        denied_ns: the latest at which it still denied; `filled_ns` if it never did.
        admitted_ns: the latest at which it admitted again.
    """

    limit: int
    begun_ns: int
    filled_ns: int
    denied_ns: int
    admitted_ns: int


class Kind(NamedTuple):
    """The limiters of a family with one limit that are still possible.

    Args:
        family: which.
        limit: N of a window or log, the burst of a bucket.
        low_ns: the least window that is possible; of a bucket, the least time of one token.
        high_ns: the largest.
        boxes: all that is possible.
    """

    family: LimiterFamily
    limit: int
    low_ns: int
    high_ns: int
    boxes: list[Box]

    @property
    def guess(self) -> Guess:
        """The roundest window, or rate, that is possible."""
        of = rate_in if self.family.refills else window_in
        return of(self.low_ns, self.high_ns)

    def quota(self, *, delaying: bool = False) -> Quota:
        """The policy in our notation; a family that has no word there as a sliding log.

        Args:
            delaying: what it admits is delayed: a queue, which holds all of a burst but the first.
        """
        guess = self.guess
        if self.family.refills:
            name, burst = TOKEN_BUCKET.name, self.limit
            if delaying:
                name, burst = LEAKY_QUEUE.name, max(1, self.limit - 1)
            return Quota(guess.limit, guess.window_ns, name, burst=burst)
        record = self.family.record or SLIDING_LOG
        return Quota(self.limit, guess.window_ns, record.name)


class Hypotheses:
    """The limiters that are still possible.

    Args:
        recovery: where to look for them.
        horizon_ns: the longest window that is looked for.
        families: those that are considered.
        scattered: the requests of a key may meet several counters: no window that these
            would look like is looked for.

    Attributes:
        limit: as in the recovery.
        boxes: what is still possible of each family.
    """

    def __init__(
        self,
        recovery: Recovery,
        horizon_ns: int,
        families: Iterable[LimiterFamily] = FAMILIES,
        *,
        scattered: bool = False,
    ) -> None:
        self.limit = recovery.limit
        self._keys: list[History] = []
        self._kinds: list[Kind] = []
        least_ns = min(_LEAST_SCATTERED_NS if scattered else _LEAST_NS, horizon_ns)
        self.boxes = {family: _all(family, recovery, least_ns, horizon_ns) for family in families}

    def learn(self, keys: Iterable[History]) -> None:
        """Drop what does not explain these keys too; what no box explains is dropped whole."""
        self._kinds = []
        self._keys[:0] = keys
        refined = {family: self._refined(family, boxes) for family, boxes in self.boxes.items()}
        self.boxes = {family: boxes for family, boxes in refined.items() if boxes}

    def _refined(self, family: LimiterFamily, boxes: list[Box]) -> list[Box]:
        boxes = [box for box in boxes if self._explains(family, box)]
        tries = _TRIES
        while any(map(_wide, boxes)):
            if len(boxes) > _MOST_BOXES // 2:
                if not tries:
                    break
                each = max(1, tries // len(boxes))
                boxes = [box for box in boxes if self._holds(family, box, each) is not False]
                tries = 0
                continue
            halves = [half for box in boxes for half in _cut(family, box)]
            boxes = [half for half in halves if self._explains(family, half)]
        return boxes

    def _holds(self, family: LimiterFamily, box: Box, tries: int) -> bool | None:
        """Tell if some limiter of the box explains everything; None where that was not found out.

        Depth first, down to a small box: False is certain, True nearly so.
        """
        pending = [box]
        while pending and tries:
            tries -= 1
            tried = pending.pop()
            if not _wide(tried):
                return True
            pending += [half for half in _cut(family, tried) if self._explains(family, half)]
        return None if pending else False

    def _explains(self, family: LimiterFamily, box: Box) -> bool:
        """Tell if a box explains all keys; the key that refutes it is asked first next time."""
        for position, history in enumerate(self._keys):
            if not explains(family, box, (history,)):
                self._keys.insert(0, self._keys.pop(position))
                return False
        return True

    def _likely(self, family: LimiterFamily, boxes: list[Box]) -> list[Box]:
        """The boxes in which a limiter was found that explains everything; all, if none was."""
        open_ = [box for box in boxes if _wide(box) and not self._explains(family, box.point())]
        each = 1 + _MORE_TRIES // max(1, len(open_))
        doubtful = {box for box in open_ if not self._holds(family, box, each)}
        return [box for box in boxes if box not in doubtful] or boxes

    def kinds(self) -> list[Kind]:
        """The limiters that are left, the likelier family first."""
        if self._kinds:
            return self._kinds
        found = self._kinds
        for family, everything in self.boxes.items():
            boxes = self._likely(family, everything)
            for limit in sorted({box.limit for box in boxes}, reverse=True):
                these = [box for box in boxes if box.limit == limit]
                low_ns = min(box.low_ns for box in these)
                high_ns = max(box.high_ns for box in these)
                found.append(Kind(family, limit, low_ns, high_ns, these))
        return found


def _all(family: LimiterFamily, recovery: Recovery, least_ns: int, horizon_ns: int) -> list[Box]:
    """Every limiter of a family that may have recovered so."""
    limit, held_ns = recovery.limit, max(1, recovery.denied_ns - recovery.filled_ns)
    if family.refills:
        # The first token came after held_ns; B + k of them were admitted with k come back before.
        since_ns = recovery.admitted_ns - recovery.begun_ns
        extra = min(limit - 1, _MOST_EXTRA, (recovery.filled_ns - recovery.begun_ns) // held_ns + 1)
        return [
            Box(limit - more, held_ns, since_ns // (more + 1))
            for more in range(extra + 1)
            if since_ns // (more + 1) > held_ns
        ]
    if not family.phased:
        return [Box(limit, least_ns, horizon_ns)]
    since_ns = (
        recovery.denied_ns if family.record and family.record.hard_reset else recovery.begun_ns
    )
    return [Box(limit, max(least_ns, held_ns // 2), horizon_ns, since_ns, recovery.admitted_ns)]


def _cut(family: LimiterFamily, box: Box) -> tuple[Box, ...]:
    return box.halves(phased=family.phased) if _wide(box) else (box,)


def _wide(box: Box) -> bool:
    finest_ns = max(_FINEST_NS, box.low_ns * _FINEST)
    return (
        box.high_ns - box.low_ns > finest_ns or box.phase_high_ns - box.phase_low_ns > 4 * finest_ns
    )
