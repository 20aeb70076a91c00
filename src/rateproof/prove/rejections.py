"""Was a rejection wrong? The sound rule for sliding logs; `docs/theory.md`, section 3, proves it.

At instant t a sliding log of N per W is full only if N admissions were decided
in [t - W, t]. (At exactly t - W a correct log has room again; a limiter that
still denies there is excused.) An admission with interval [s, r] may be one of
them only if s <= t <= r + W. So a rejection is certainly wrong when fewer than
N intervals [s, r + W] contain t, for every t at which it may have been decided.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from rateproof.policy import Policy
from rateproof.prove.feasible import Interval
from rateproof.prove.models import EXACT, Tolerance
from rateproof.prove.observed import KeyLog

__all__ = [
    "Occupancy",
    "WrongRejection",
    "covered_from_ns",
    "has_rule",
    "judged",
    "wrong_rejections",
]


@dataclass(frozen=True, slots=True)
class WrongRejection:
    """A rejection that no choice of instants explains.

    Args:
        index: which of the rejections given.
        quota: which quota of the policy came nearest to being full.
        most: how many admissions its window can have held at most; below its limit.
        counted: indices of those admissions, for evidence.
    """

    index: int
    quota: int
    most: int
    counted: tuple[int, ...]


class Occupancy:
    """How many admissions a window may have held, by the instant at which it ends.

    Args:
        admissions: intervals (sent_ns, received_ns) of all that may have been
            admitted; received_ns None where it was never known to have ended.
        window_ns: the longest that the window may last.
        limit: how many fill it.
    """

    def __init__(
        self, admissions: Sequence[tuple[int, int | None]], window_ns: int, limit: int
    ) -> None:
        self.limit = limit
        self.window_ns = window_ns
        self._admissions = admissions
        self._starts = sorted(sent_ns for sent_ns, _ in admissions)
        self._ends = sorted(end + window_ns for _, end in admissions if end is not None)
        # The count rises only at a start: the next start at which it may be full, for each.
        self._next_full = [len(self._starts)] * (len(self._starts) + 1)
        for i in range(len(self._starts) - 1, -1, -1):
            full = self.at(self._starts[i]) >= limit
            self._next_full[i] = i if full else self._next_full[i + 1]

    def at(self, instant_ns: int) -> int:
        """How many admissions may lie in the window that ends at this instant."""
        return bisect_right(self._starts, instant_ns) - bisect_left(self._ends, instant_ns)

    def may_be_full(self, first_ns: int, last_ns: int) -> bool:
        """Whether the window may be full at some instant of [first_ns, last_ns]."""
        if self.at(first_ns) >= self.limit:
            return True
        start = self._next_full[bisect_right(self._starts, first_ns)]
        return start < len(self._starts) and self._starts[start] <= last_ns

    def fullest(self, first_ns: int, last_ns: int) -> tuple[int, ...]:
        """The admissions counted where the count over [first_ns, last_ns] is highest."""
        low = bisect_right(self._starts, first_ns)
        high = bisect_right(self._starts, last_ns)
        instant_ns = max([first_ns, *self._starts[low:high]], key=self.at)
        return tuple(
            i
            for i, (sent_ns, end) in enumerate(self._admissions)
            if sent_ns <= instant_ns and (end is None or end + self.window_ns >= instant_ns)
        )


def has_rule(policy: Policy) -> bool:
    """Whether rejections under this policy can be judged: every quota is a sliding log.

    A rejection is right when *any* quota was full, so one quota without a rule
    can excuse every rejection.
    """
    return all(quota.algorithm == "sliding-log" for quota in policy.quotas)


def covered_from_ns(
    first_sent_ns: int, longest_ns: int, policy: Policy, tolerance: Tolerance = EXACT
) -> int:
    """From when on rejections of a key can be judged although it is not fresh.

    Requests of the key that the log does not have were sent before the first
    that it has. Those that were still under way by then were decided within
    the longest time that any request of the log took; a whole window later
    they no longer matter. This rests on an assumption, that requests before
    the log took no longer than those in it, and fails where answers are lost.

    Args:
        first_sent_ns: when the key's first request in the log was sent.
        longest_ns: the longest time from sending to answer in the log.
        policy: its longest window counts.
        tolerance: how much longer the limiter's window may last on this clock.
    """
    windows = [tolerance.at_most_ns(quota.window_ns) for quota in policy.quotas]
    return first_sent_ns + longest_ns + max(windows)


def judged(
    key: KeyLog, policy: Policy, tolerance: Tolerance, *, fresh: bool, longest_ns: int | None
) -> list[int]:
    """Which of a key's rejections can be judged, by index.

    Args:
        key: its requests.
        policy: what was promised of it.
        tolerance: how much longer the limiter's window may last on this clock.
        fresh: whether the key was not in use before the log began.
        longest_ns: the longest time from sending to answer in the log; None
            where an answer was lost.
    """
    if not has_rule(policy):
        return []
    if fresh:
        return list(range(len(key.rejected)))
    if longest_ns is None:
        return []
    from_ns = covered_from_ns(key.first_sent_ns, longest_ns, policy, tolerance)
    return [i for i, (sent_ns, _) in enumerate(key.rejected) if sent_ns >= from_ns]


def wrong_rejections(
    rejections: Sequence[Interval],
    admissions: Sequence[tuple[int, int | None]],
    policy: Policy,
    tolerance: Tolerance = EXACT,
) -> list[WrongRejection]:
    """The rejections of one key that are certainly wrong.

    Args:
        rejections: intervals (sent_ns, received_ns).
        admissions: intervals of all that were or may have been admitted,
            received_ns None for those that may have been decided at any later time.
        policy: sliding logs only (see `has_rule`).
        tolerance: how much longer the limiter's window may last on this clock.

    Returns:
        In the order of `rejections`; empty too when there is no rule.
    """
    if not rejections or not has_rule(policy):
        return []
    quotas = [
        Occupancy(admissions, tolerance.at_most_ns(quota.window_ns), quota.limit)
        for quota in policy.quotas
    ]
    wrong = []
    for index, (sent_ns, received_ns) in enumerate(rejections):
        if any(quota.may_be_full(sent_ns, received_ns) for quota in quotas):
            continue
        counts = [quota.fullest(sent_ns, received_ns) for quota in quotas]
        nearest = min(range(len(quotas)), key=lambda q: quotas[q].limit - len(counts[q]))
        wrong.append(WrongRejection(index, nearest, len(counts[nearest]), counts[nearest]))
    return wrong
