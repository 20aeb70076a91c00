"""Which statements of header fields did not come true: the rules, for the answers of one key.

A limiter says in an answer seen as [s, r], so at some instant of it,

    Retry-After: v   a rejected client passes if it waits v seconds, and not much sooner
    RateLimit: r=k   k more may pass at once; t=t: in t seconds the whole quota is free

and each rule names a later answer that no honest limiter gives whatever was
decided when. Seconds are whole and rounded up. `docs/prove/headers.md`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rateproof.prove.models import Tolerance

__all__ = ["RULES", "Answer", "Broken", "Promises", "Terms", "broken_promises"]

RULES: Final = (
    "retry-after-too-short",
    "retry-after-too-long",
    "remaining-too-high",
    "remaining-too-low",
)
"""What is wrong with a statement, in the order in which they are looked for."""

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """A request of a key, and what its answer says.

    Args:
        sent_ns: see `rateproof.events.Event`.
        received_ns: None for a request of unknown outcome.
        admitted: whether it passed; None for one of unknown outcome.
        row: its place in the log.
        retry_after_ns: None where the field is missing, as in the others.
        remaining: how many more may pass.
        reset_ns: until the whole quota is free.
    """

    sent_ns: int
    received_ns: int | None
    admitted: bool | None
    row: int
    retry_after_ns: int | None = None
    remaining: int | None = None
    reset_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """How statements are read.

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
        """How long that many rounded-up seconds of the limiter's clock last at least."""
        short_ns = max(0, said_ns - _SECOND_NS)
        lasts_ns = short_ns * (1_000_000 - self.tolerance.ppm) // 1_000_000
        return max(0, lasts_ns - self.tolerance.granularity_ns)


@dataclass(frozen=True, slots=True)
class Broken:
    """A statement that did not come true.

    Args:
        rule: which of `RULES`, by index.
        said: row of the answer that says it.
        seen: row of the answer that gives it the lie.
    """

    rule: int
    said: int
    seen: int


@dataclass(frozen=True, slots=True)
class Promises:
    """What was found of one key.

    Args:
        judged: statements that later answers put to the test, by rule.
        broken: those of them that did not come true.
    """

    judged: tuple[int, int, int, int]
    broken: tuple[Broken, ...]


def broken_promises(
    answers: Sequence[Answer], terms: Terms, known_ns: int | None = None
) -> Promises:
    """Hold every statement of a key against what then happened.

    Args:
        answers: all requests of the key.
        terms: how to read them.
        known_ns: by when all requests that are not in the log had been decided;
            None if there were none.
    """
    return _Key(answers, terms, known_ns).promises()


class _Key:
    """The requests of a key by sending time, and what may have used up the quota."""

    def __init__(self, answers: Sequence[Answer], terms: Terms, known_ns: int | None) -> None:
        self._terms = terms
        self._known_ns = known_ns
        self._all = sorted(answers, key=_by_time)
        self._starts = [answer.sent_ns for answer in self._all]
        used = [answer for answer in answers if self._uses(answer)]
        self._used_starts = sorted(answer.sent_ns for answer in used)
        ends = (answer.received_ns for answer in used)
        self._used_ends = sorted(end for end in ends if end is not None)
        self._admitted = [answer for answer in self._all if answer.admitted is True]
        self._admitted_starts = [answer.sent_ns for answer in self._admitted]
        self._admitted_ends = sorted(_end(answer) for answer in self._admitted)
        self._rejected = [answer for answer in self._all if answer.admitted is False]
        self._rejected_starts = [answer.sent_ns for answer in self._rejected]
        # From each on, the one that was answered first: nothing later is judged by another.
        self._first_admitted = _earliest_from(self._admitted)
        self._first_rejected = _earliest_from(self._rejected)

    def _uses(self, answer: Answer) -> bool:
        return answer.admitted is not False or self._terms.denied_count

    def promises(self) -> Promises:
        """Every statement, in the order in which they were sent for."""
        judged = [0] * len(RULES)
        broken: list[Broken] = []
        rules = (self._too_short, self._too_long, self._too_high, self._too_low)
        for answer in self._all:
            if answer.received_ns is None:
                continue
            for rule, look in enumerate(rules):
                seen = look(answer, answer.received_ns)
                if seen is not None:
                    judged[rule] += 1
                    if seen.broken:
                        broken.append(Broken(rule, answer.row, seen.answer.row))
        return Promises((judged[0], judged[1], judged[2], judged[3]), tuple(broken))

    def _since(self, answer: Answer, until_ns: int) -> int:
        """How many others may have used up the quota after the answer was decided."""
        count = bisect_right(self._used_starts, until_ns) - bisect_left(
            self._used_ends, answer.sent_ns
        )
        return count - self._uses(answer)

    def _complete(self, answer: Answer) -> bool:
        """Whether no request that the log lacks can have been decided after this one."""
        return self._known_ns is None or answer.sent_ns >= self._known_ns

    def _too_short(self, said: Answer, received_ns: int) -> "_Seen | None":
        """It waited, nothing else can have passed meanwhile, and was rejected again."""
        if said.admitted is not False or said.retry_after_ns is None or not self._complete(said):
            return None
        waited_ns = received_ns + self._terms.tolerance.at_most_ns(said.retry_after_ns)
        at = bisect_left(self._starts, waited_ns)
        if at == len(self._all):
            return None
        seen = self._all[at]
        if seen.received_ns is None:
            return None
        if self._since(said, seen.received_ns) > self._uses(seen):
            return None
        return _Seen(seen, broken=seen.admitted is False)

    def _too_long(self, said: Answer, received_ns: int) -> "_Seen | None":
        """Another was admitted more than a second before the wait was over."""
        if said.admitted is not False or said.retry_after_ns is None:
            return None
        over_ns = said.sent_ns + self._terms.at_least_ns(said.retry_after_ns)
        passed = self._next(received_ns, self._admitted_starts, self._first_admitted)
        denied = self._next(received_ns, self._rejected_starts, self._first_rejected)
        if passed is not None and _end(passed) < over_ns:
            return _Seen(passed, broken=True)
        if denied is not None and _end(denied) < over_ns:
            return _Seen(denied, broken=False)
        return None

    def _too_high(self, said: Answer, received_ns: int) -> "_Seen | None":
        """Another was rejected although fewer than remained can have passed."""
        if not said.remaining or not self._complete(said):
            return None
        denied = self._next(received_ns, self._rejected_starts, self._first_rejected)
        if denied is not None:
            used = self._since(said, _end(denied)) - self._uses(denied)
            if used < said.remaining:
                return _Seen(denied, broken=True)
        passed = self._next(received_ns, self._admitted_starts, self._first_admitted)
        return None if passed is None else _Seen(passed, broken=False)

    def _too_low(self, said: Answer, received_ns: int) -> "_Seen | None":
        """More than remained were admitted before the window can have ended."""
        if not self._terms.hard_reset or said.remaining is None or said.reset_ns is None:
            return None
        over_ns = said.sent_ns + self._terms.at_least_ns(said.reset_ns)
        before = bisect_right(self._admitted_starts, received_ns)
        passed = bisect_left(self._admitted_ends, over_ns) - before
        if passed <= 0:
            return None
        first = self._first_admitted[before]
        return _Seen(self._admitted[first], broken=passed > said.remaining)

    def _next(self, after_ns: int, starts: Sequence[int], first: Sequence[int]) -> Answer | None:
        """Of those sent later, the one that was answered first."""
        at = bisect_right(starts, after_ns)
        if at == len(starts):
            return None
        kind = self._admitted if starts is self._admitted_starts else self._rejected
        return kind[first[at]]


@dataclass(frozen=True, slots=True)
class _Seen:
    """The answer that put a statement to the test."""

    answer: Answer
    broken: bool


def _by_time(answer: Answer) -> tuple[int, bool, int, int]:
    return answer.sent_ns, answer.received_ns is None, answer.received_ns or 0, answer.row


def _end(answer: Answer) -> int:
    return answer.sent_ns if answer.received_ns is None else answer.received_ns


def _earliest_from(answers: Sequence[Answer]) -> list[int]:
    """For each place the place, from it on, of the answer that was received first."""
    earliest = list(range(len(answers)))
    for at in range(len(answers) - 2, -1, -1):
        later = earliest[at + 1]
        if _end(answers[later]) < _end(answers[at]):
            earliest[at] = later
    return earliest
