"""Statements of a limiter about one key, each against the answers that came later."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple

from rateproof.clock import Tolerance
from rateproof.units import SECOND_NS

RULES: Final = (
    "retry-after-too-short",
    "retry-after-too-long",
    "remaining-too-high",
    "remaining-too-low",
)
"""Faults of a statement, in the order in which they are looked for."""


class Told(NamedTuple):
    """A request of a key, and what its answer says; None where a field is missing."""

    sent_ns: int
    received_ns: int  # as it was sent, for one of unknown outcome
    admitted: bool | None  # None for one of unknown outcome
    row: int
    retry_after_ns: int | None = None
    remaining: int | None = None
    reset_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms by which statements are read.

    Args:
        tolerance: what clocks may disagree on.
        denied_count: whether denied requests use up the quota too.
        hard_reset: whether nothing is free before the whole quota is, as in
            fixed windows; else more than remain may pass before the reset.
    """

    tolerance: Tolerance
    denied_count: bool = False
    hard_reset: bool = False

    def at_least_ns(self, said_ns: int) -> int:
        """Return how long that many rounded-up seconds of the limiter's clock last at least."""
        short_ns = max(0, said_ns - SECOND_NS)
        lasts_ns = short_ns * (1_000_000 - self.tolerance.ppm) // 1_000_000
        return max(0, lasts_ns - self.tolerance.granularity_ns)


@dataclass(frozen=True, slots=True)
class Broken:
    """A statement that did not come true."""

    rule: int  # index of `RULES`
    said: int  # row of the answer that says it
    seen: int  # row of the answer that contradicts it


_Look = tuple[Told, bool] | None
"""The answer that put a statement to the test, and whether it contradicts it."""


class Statements:
    """The requests of a key by sending time, and what may have used up the quota.

    `known_ns`: by when all requests that are not in the log had been decided; None: there were none.
    """

    def __init__(self, answers: Sequence[Told], terms: Terms, known_ns: int | None) -> None:
        self._terms = terms
        self._known_ns = known_ns
        self._all = sorted(answers, key=lambda told: (told[0], told.admitted is None, *told[1:4:2]))
        self._starts = [answer.sent_ns for answer in self._all]
        used = [answer for answer in answers if self._uses(answer)]
        self._used_starts = sorted(answer.sent_ns for answer in used)
        self._used_ends = sorted(told.received_ns for told in used if told.admitted is not None)
        self._admitted = _Later([answer for answer in self._all if answer.admitted is True])
        self._rejected = _Later([answer for answer in self._all if answer.admitted is False])
        self._admitted_ends = sorted(answer.received_ns for answer in self._admitted.answers)

    def _uses(self, answer: Told) -> bool:
        return answer.admitted is not False or self._terms.denied_count

    def looks(self) -> Iterator[tuple[int, Told, _Look]]:
        """Every statement by rule, in the order in which they were sent for."""
        rules = (self._too_short, self._too_long, self._too_high, self._too_low)
        for answer in self._all:
            if answer.admitted is not None:
                yield from ((rule, answer, look(answer)) for rule, look in enumerate(rules))

    def _since(self, answer: Told, until_ns: int) -> int:
        """Return how many others may have used up the quota after the answer was decided."""
        count = bisect_right(self._used_starts, until_ns) - bisect_left(
            self._used_ends, answer.sent_ns
        )
        return count - self._uses(answer)

    def _complete(self, answer: Told) -> bool:
        """Tell whether no request that the log lacks can have been decided after this one."""
        return self._known_ns is None or answer.sent_ns >= self._known_ns

    def _too_short(self, said: Told) -> _Look:
        """It waited, nothing else can have passed meanwhile, and was rejected again."""
        if said.admitted is not False or said.retry_after_ns is None or not self._complete(said):
            return None
        waited_ns = said.received_ns + self._terms.tolerance.at_most_ns(said.retry_after_ns)
        at = bisect_left(self._starts, waited_ns)
        if at == len(self._all):
            return None
        seen = self._all[at]
        if seen.admitted is None or self._since(said, seen.received_ns) > self._uses(seen):
            return None
        return seen, seen.admitted is False

    def _too_long(self, said: Told) -> _Look:
        """Another was admitted more than a second before the wait was over."""
        if said.admitted is not False or said.retry_after_ns is None:
            return None
        over_ns = said.sent_ns + self._terms.at_least_ns(said.retry_after_ns)
        for later, broken in ((self._admitted, True), (self._rejected, False)):
            seen = later.first_after(said.received_ns)
            if seen is not None and seen.received_ns < over_ns:
                return seen, broken
        return None

    def _too_high(self, said: Told) -> _Look:
        """Another was rejected although fewer than remained can have passed."""
        if not said.remaining or not self._complete(said):
            return None
        denied = self._rejected.first_after(said.received_ns)
        if denied is not None:
            used = self._since(said, denied.received_ns) - self._uses(denied)
            if used < said.remaining:
                return denied, True
        passed = self._admitted.first_after(said.received_ns)
        return None if passed is None else (passed, False)

    def _too_low(self, said: Told) -> _Look:
        """More than remained were admitted before the window can have ended."""
        if not self._terms.hard_reset or said.remaining is None or said.reset_ns is None:
            return None
        over_ns = said.sent_ns + self._terms.at_least_ns(said.reset_ns)
        before = bisect_right(self._admitted.starts, said.received_ns)
        passed = bisect_left(self._admitted_ends, over_ns) - before
        first = self._admitted.first_after(said.received_ns)
        return None if first is None or passed <= 0 else (first, passed > said.remaining)


class _Later:
    """Answers by sending time: of those sent after an instant, which was received first?"""

    def __init__(self, answers: Sequence[Told]) -> None:
        self.answers = answers
        self.starts = [answer.sent_ns for answer in answers]
        self._first = list(accumulate(reversed(answers), _first))[::-1]

    def first_after(self, instant_ns: int) -> Told | None:
        at = bisect_right(self.starts, instant_ns)
        return self._first[at] if at < len(self._first) else None


def _first(later: Told, one: Told) -> Told:
    return later if later.received_ns < one.received_ns else one
