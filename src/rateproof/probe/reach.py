"""The reach of a name: what was tried, and so how far other limits may be excluded."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from rateproof.probe.seen import History, Seen

_CLOSE = 10  # parts of the time between two instants at which something comes back


class Reach(NamedTuple):
    """The reach of a probe.

    Args:
        requests: the most of one key.
        denied: the most denials of one key.
        denied_together: the most of one key within some window.
        watched_ns: the longest that one key was asked.
        idle_ns: the longest between two requests of one key.
        admitted: the most admissions of one key.
        admitted_ns: in how long they were.
        together: the most admissions of all keys within some window.
        keys: the most that were asked side by side.
        returns: how many times in a row one key was full and seen to come back in time.
    """

    requests: int
    denied: int
    denied_together: int
    watched_ns: int
    idle_ns: int
    admitted: int
    admitted_ns: int
    together: int
    keys: int
    returns: int


def reach_of(
    keys: Sequence[History], window_ns: int, limit: int = 1, grain_ns: int | None = None
) -> Reach:
    """The reach of a probe.

    Args:
        keys: what was seen of them.
        window_ns: that in which the admissions of all of them together are counted.
        limit: the admissions after which a key is full.
        grain_ns: the time between two instants at which something comes back; else the window.
    """
    close_ns = (window_ns if grain_ns is None else grain_ns) // _CLOSE
    seen = [key for key in keys if key]
    admitted, shortest_ns = max(map(_admitted, seen), default=(0, 0))
    return Reach(
        max((sum(each.admitted + each.denied for each in key) for key in seen), default=0),
        max((sum(each.denied for each in key) for key in seen), default=0),
        max((_within(map(_denials, key), window_ns) for key in seen), default=0),
        max((key[-1].received_ns - key[0].sent_ns for key in seen), default=0),
        max((_idle(key) for key in seen), default=0),
        admitted,
        -shortest_ns,
        _within((each[:3] for key in seen for each in key), window_ns),
        _side_by_side(seen),
        max((_returns(key, limit, close_ns) for key in seen), default=0),
    )


def _idle(key: History) -> int:
    """The longest time between two answers; 0 if there is none, as each is widened."""
    return max([0, *(two.sent_ns - one.received_ns for one, two in pairwise(key))])


def _denials(seen: Seen) -> tuple[int, int, int]:
    return seen.sent_ns, seen.received_ns, seen.denied


def _admitted(key: History) -> tuple[int, int]:
    """Count the admissions, and in how long they were, the shortest the greatest."""
    let = [each for each in key if each.admitted]
    took_ns = let[-1].received_ns - let[0].sent_ns if let else 0
    return sum(each.admitted for each in let), -took_ns


def _returns(key: History, limit: int, close_ns: int) -> int:
    """Count the most times in a row that it was full, denied, and admitted so soon after that."""
    most = row = admitted = 0
    for before, after in pairwise(key):
        admitted += before.admitted
        if admitted >= limit and before.denied and after.admitted:
            close = after.received_ns - before.sent_ns <= close_ns
            row, admitted = (row + 1) * close, 0
            most = max(most, row)
    return most


def _within(found: Iterable[tuple[int, int, int]], window_ns: int) -> int:
    """The most, of counts between an earliest and a latest instant, that were surely within one window."""
    counts = sorted((late_ns, early_ns, count) for early_ns, late_ns, count in found if count)
    return max(
        (
            sum(
                count
                for late_ns, early_ns, count in counts
                if early_ns > end_ns - window_ns and late_ns <= end_ns
            )
            for end_ns, _, _ in counts
        ),
        default=0,
    )


def _side_by_side(keys: Sequence[History]) -> int:
    """The most keys of which each was asked before an instant and is asked again after it."""
    spans = [(key[0].sent_ns, key[-1].received_ns) for key in keys]
    return max(
        (sum(first_ns <= at_ns <= last_ns for first_ns, last_ns in spans) for at_ns, _ in spans),
        default=0,
    )
