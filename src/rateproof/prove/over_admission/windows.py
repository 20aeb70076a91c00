"""Counting what fell into one window: readable evidence, and how hard a run pressed.

An interval lies in a window provably when it is nested in it, and possibly
when it touches it.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

from rateproof.clock import Interval
from rateproof.prove.over_admission.gaps import Stair


@dataclass(frozen=True, slots=True)
class Nest:
    """The tightest place for `stair.size(steps)` jobs: all sent and received within `span_ns`.

    Args:
        steps: how many steps of the stair they climb.
        sent_ns: when the first of them was sent.
        span_ns: from there until the last of them was received.
    """

    steps: int
    sent_ns: int
    span_ns: int

    def members(self, jobs: Sequence[Interval], size: int) -> list[int]:
        """The indices of `size` jobs nested in it, the earliest received first."""
        inside = [
            i
            for i, (sent_ns, received_ns) in enumerate(jobs)
            if sent_ns >= self.sent_ns and received_ns <= self.sent_ns + self.span_ns
        ]
        inside.sort(key=lambda i: (jobs[i][1], -jobs[i][0]))
        return sorted(inside[:size], key=lambda i: (*jobs[i], i))


def tightest_nests(jobs: Sequence[Interval], stair: Stair, most_steps: int) -> list[Nest]:
    """For each number of steps that enough jobs exist for, their tightest nest.

    `m` jobs that all lie within a span below gap(m) cannot have kept it: this
    is sound for every model, and for a sliding log complete when no interval
    strictly contains another.

    From the last sent to the first, the `size` smallest ends of the jobs sent
    since are kept in order: the size-th of them closes the tightest nest that
    opens there.
    """
    most_steps = min(most_steps, (len(jobs) - 1 - stair.lag) // stair.width)
    if most_steps < 1:
        return []
    sizes = [stair.size(steps) for steps in range(1, most_steps + 1)]
    tightest: list[tuple[int, int] | None] = [None] * most_steps
    ends: list[int] = []
    for sent_ns, received_ns in sorted(jobs, reverse=True):
        if len(ends) < sizes[-1] or received_ns < ends[-1]:
            insort(ends, received_ns)
            del ends[sizes[-1] :]
        for index, size in enumerate(sizes):
            if size > len(ends):
                break
            found = (ends[size - 1] - sent_ns, sent_ns)
            best = tightest[index]
            if best is None or found < best:
                tightest[index] = found
    return [
        Nest(steps, best[1], best[0]) for steps, best in enumerate(tightest, 1) if best is not None
    ]


def most_nested(jobs: Sequence[Interval], window_ns: int) -> int:
    """The most jobs that certainly lie in one half-open window."""
    most = 0
    ends: list[int] = []
    for sent_ns, received_ns in sorted(jobs, reverse=True):
        # Windows that open earlier end earlier: ends cut here are never needed again.
        del ends[bisect_left(ends, sent_ns + window_ns) :]
        if received_ns < sent_ns + window_ns:
            insort(ends, received_ns)
        most = max(most, len(ends))
    return most


def most_touching(jobs: Sequence[Interval], window_ns: int) -> int:
    """The most jobs that may lie in one half-open window, were each decided at the right time."""
    starts = sorted(sent_ns for sent_ns, _ in jobs)
    most = 0
    # Among windows holding the same jobs, take the last: it opens as one of them ends.
    for gone, opens_ns in enumerate(sorted(received_ns for _, received_ns in jobs)):
        most = max(most, bisect_left(starts, opens_ns + window_ns) - gone)
    return most
