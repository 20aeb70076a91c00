"""Rejections of which only a search over orders can tell, with what may explain them.

A rejection is *doubtful* if no log certainly was full as it was sent, nor as it
was answered. The others are right whatever the search would choose. Around
doubtful ones a *piece* of the key's requests is cut out: leaving out admissions
that no window of theirs reaches only leaves out bounds, so a piece that cannot be
explained is a violation. Those a window before and after are taken in for theirs.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from rateproof.clock import Interval
from rateproof.prove.keys import KeyLog
from rateproof.prove.over_admission.gaps import Exhausted, Feasible, Infeasible
from rateproof.prove.wrong_rejection.orders import Episode, Log, explain

# Rejections that are explained together, at most.
_MOST = 32


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A piece of a key's log, by index.

    Args:
        admitted: of its admissions.
        rejected: of its rejections that need a reason.
        others: of its other rejections, where denied requests count.
    """

    admitted: tuple[int, ...]
    rejected: tuple[int, ...]
    others: tuple[int, ...]

    def episode(self, key: KeyLog, *, denied_count: bool) -> Episode:
        """Its intervals."""
        return Episode(
            [key.admitted[i] for i in self.admitted],
            [key.rejected[i] for i in self.rejected],
            [key.rejected[i] for i in self.others],
            denied_count,
        )


def pieces(
    key: KeyLog, judged: Sequence[int], logs: Sequence[Log], *, denied_count: bool
) -> Iterator[Excerpt]:
    """Return what is to be explained together; nothing that a request of unknown outcome may touch."""
    doubtful = _doubtful(key, judged, logs, denied_count=denied_count)
    if not doubtful:
        return
    cutter = _Cutter(key, logs, denied_count=denied_count)
    group: list[int] = []
    latest_ns = 0
    for i in doubtful:
        sent_ns, received_ns = key.rejected[i]
        if group and (len(group) == _MOST or not cutter.reaches(sent_ns, latest_ns)):
            yield cutter.around(group)
            group = []
        latest_ns = max(latest_ns, received_ns) if group else received_ns
        group.append(i)
    yield cutter.around(group)


def cut_out(
    key: KeyLog,
    rejected: Sequence[int],
    logs: Sequence[Log],
    *,
    denied_count: bool,
    windows: int = 1,
) -> Excerpt:
    """The piece around these rejections, see `pieces`; only what may fill a log if `windows` is 0."""
    return _Cutter(key, logs, denied_count=denied_count).around(rejected, windows)


def _doubtful(
    key: KeyLog, judged: Sequence[int], logs: Sequence[Log], *, denied_count: bool
) -> list[int]:
    """By sending time. A rejection is not among those that fill the log for it."""
    taken = [*key.admitted, *key.rejected] if denied_count else key.admitted
    starts = sorted(sent_ns for sent_ns, _ in taken)
    ends = sorted(received_ns for _, received_ns in taken)
    unknown_from = min((sent_ns for sent_ns, _ in key.unknown), default=None)

    def full(instant_ns: int) -> bool:
        ended = bisect_right(ends, instant_ns)
        return any(
            ended >= bisect_left(starts, instant_ns - log.high_ns) + log.limit + denied_count
            for log in logs
        )

    return [
        i
        for i in sorted(judged, key=lambda i: (*key.rejected[i], i))
        if (unknown_from is None or key.rejected[i][1] < unknown_from)
        and not any(map(full, key.rejected[i]))
    ]


class _Cutter:
    """Finds what the windows of some rejections reach."""

    def __init__(self, key: KeyLog, logs: Sequence[Log], *, denied_count: bool) -> None:
        self.reach_ns = max(log.high_ns for log in logs)
        self._rejected = key.rejected
        self._admissions = _Reached(key.admitted)
        self._denied = _Reached(key.rejected if denied_count else [])

    def reaches(self, sent_ns: int, latest_ns: int) -> bool:
        """True if a rejection sent then may share a request with others, answered by `latest_ns`."""
        ends_ns = max(latest_ns, self._admissions.latest(latest_ns))
        return sent_ns - self.reach_ns <= ends_ns

    def around(self, rejected: Sequence[int], windows: int = 1) -> Excerpt:
        """These rejections, all that may have filled a log for them, and so many windows more."""
        from_ns = min(self._rejected[i][0] for i in rejected) - (1 + windows) * self.reach_ns
        until_ns = max(self._rejected[i][1] for i in rejected) + windows * self.reach_ns
        chosen = set(rejected)
        return Excerpt(
            tuple(self._admissions.between(from_ns, until_ns)),
            tuple(rejected),
            tuple(i for i in self._denied.between(from_ns, until_ns) if i not in chosen),
        )


class _Reached:
    """Intervals by time, to find those that touch a span."""

    def __init__(self, intervals: Sequence[Interval]) -> None:
        self._order = sorted(range(len(intervals)), key=lambda i: (*intervals[i], i))
        self._starts = [intervals[i][0] for i in self._order]
        self._ends = [intervals[i][1] for i in self._order]
        self._latest = list(accumulate(self._ends, max))

    def latest(self, sent_ns: int) -> int:
        """The last end of those sent by an instant; the instant where there are none."""
        sent = bisect_right(self._starts, sent_ns)
        return self._latest[sent - 1] if sent else sent_ns

    def between(self, from_ns: int, until_ns: int) -> list[int]:
        """Return which of them may have been decided from `from_ns` to `until_ns`."""
        first = bisect_left(self._latest, from_ns)
        last = bisect_right(self._starts, until_ns)
        return [self._order[at] for at in range(first, last) if self._ends[at] >= from_ns]


# Effort beyond the decision itself, spent on making evidence readable.
_MINIMISE_BUDGET = 300_000


def find_together(
    key: KeyLog, judged: Sequence[int], logs: Sequence[Log], budget: int, *, denied_count: bool
) -> tuple[Excerpt | Exhausted | None, int]:
    """Requests that no order of decisions explains, though admissions alone are explained.

    Returns:
        The part of the log, with as few rejections as it takes; None (they can be
        explained), or `Exhausted`; and what was spent of the budget.
    """
    spent = 0
    if not logs:
        return None, spent
    for part in pieces(key, judged, logs, denied_count=denied_count):
        piece = part.episode(key, denied_count=denied_count)
        answer = explain(piece, logs, budget - spent)
        spent += answer.spent
        if isinstance(answer, Infeasible):
            # Too many admissions are another claim.
            admissions = explain(Episode(piece.admissions, []), logs, budget - spent)
            spent += admissions.spent
            if isinstance(admissions, Feasible):
                return _fewest(key, part, logs, denied_count=denied_count), spent
            answer = admissions
        if isinstance(answer, Exhausted):
            return answer, spent
    return None, spent


def _fewest(key: KeyLog, part: Excerpt, logs: Sequence[Log], *, denied_count: bool) -> Excerpt:
    """Leave out what is not needed: rejections, then admissions that no window of theirs reaches."""
    budget = _MINIMISE_BUDGET

    def smaller(rejected: Sequence[int], windows: int) -> Excerpt:
        """The piece around these, if it is not explained either; else the same as before."""
        nonlocal budget
        if denied_count and len([*pieces(key, rejected, logs, denied_count=True)]) != 1:
            # They share denied requests only, and are no longer looked at together.
            return part
        tried = cut_out(key, rejected, logs, denied_count=denied_count, windows=windows)
        answer = explain(tried.episode(key, denied_count=denied_count), logs, budget)
        budget -= answer.spent
        return tried if isinstance(answer, Infeasible) else part

    for rejection in part.rejected:
        fewer = [other for other in part.rejected if other != rejection]
        if fewer:
            part = smaller(fewer, 1)
    return smaller(part.rejected, 0)
