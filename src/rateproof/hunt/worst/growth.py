"""The kind of growth that runs show in which one thing was doubled and all else stayed as it was.

A rule says something only where nothing else explains the counts: more load widens
intervals, so a certain count that stays while the possible one grows says nothing.
`docs/theory.md`, section 7, has the rules; nothing is called unbounded.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from rateproof.hunt.worst.counts import Admissions
from rateproof.units import counted

CONSTANT: Final = (
    "constant: it grows neither with connections nor with other clients, as far as tried"
)

_LEAST_RATIO, _MOST_RATIO = 1.7, 2.3
_DOUBLINGS = 3


class Step(NamedTuple):
    """One run.

    Args:
        varied: how many connections, or other clients, there were.
        seen: what became of the client's requests, as many in each step.
    """

    varied: int
    seen: Admissions


def _same_offer(steps: Sequence[Step]) -> bool:
    return len({step.seen.offered for step in steps}) == 1


def _flat(steps: Sequence[Step]) -> bool:
    """Tell whether neither what is certain nor what is possible grew."""
    return len({(step.seen.certain, step.seen.possible) for step in steps}) == 1


def by_connections(steps: Sequence[Step]) -> str | None:
    """Growth with the connections of one client; None: nothing can be said.

    Proportional: denials at every step, three doublings by 1.7 to 2.3, of which the last
    comes out as those before predict. Constant: the last two doublings changed nothing.
    """
    if not _same_offer(steps) or not all(step.seen.denied for step in steps):
        return None
    if any(step.seen.lost for step in steps):
        return None
    doubled = all(later.varied == 2 * before.varied for before, later in pairwise(steps))
    if not doubled or len(steps) <= _DOUBLINGS - 1:
        return None
    last = steps[-(_DOUBLINGS + 1) :]
    ratios = [b.seen.certain / max(1, a.seen.certain) for a, b in pairwise(last)]
    if len(ratios) == _DOUBLINGS and all(_LEAST_RATIO <= r <= _MOST_RATIO for r in ratios):
        *before, end = last
        predicted = before[-1].seen.certain * before[-1].seen.certain / before[-2].seen.certain
        if _LEAST_RATIO / 2 <= end.seen.certain / predicted <= _MOST_RATIO / 2:
            return f"proportional to connections, as far as tried ({end.varied})"
    return CONSTANT if _flat(steps[-_DOUBLINGS:]) else None


def by_others(steps: Sequence[Step], limit: int, each: int) -> str | None:
    """Growth with the number of other clients; None: nothing can be said.

    Args:
        steps: the first without others, then some with `each` others in one gap of the
            client's requests or in several.
        limit: what the quota allows.
        each: others in a gap.
    """
    if not _same_offer(steps) or len(steps) < _DOUBLINGS or steps[0].varied:
        return None
    if any(step.seen.lost for step in steps) or not steps[0].seen.denied:
        return None
    base = steps[0].seen
    more = [base.certain + limit * (step.varied // each) for step in steps]
    exact = all(
        step.seen.certain <= due <= step.seen.possible and step.seen.certain > due - limit // 2
        for step, due in zip(steps, more, strict=True)
    )
    last = steps[-1].varied
    if exact and all(step.seen.certain > base.certain for step in steps[1:]):
        return f"{limit} more for each {counted(each, 'other client')}, as far as tried ({last})"
    return CONSTANT if _flat(steps) else None


def by_load(light: Admissions, heavy: Admissions, after: Admissions, allowed: int) -> str | None:
    """The fate of a limit under load; None: it limits, or nothing can be said.

    Args:
        light: requests one after the other, more than the limit.
        heavy: many at once, on many connections.
        after: as the first, once that is over.
        allowed: the most that the quota lets through in any window.
    """
    if any(one.lost or not one.offered for one in (light, heavy, after)) or heavy.denied:
        return None
    if heavy.certain <= allowed:  # nothing had to be rejected
        return None
    if not light.denied and not after.denied:
        if min(light.certain, after.certain) <= allowed:
            return None
        return "not limited: nothing was rejected, at the lightest load either"
    return "lets go under load: nothing was rejected then, and something at the lightest load"
