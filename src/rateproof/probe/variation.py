"""The most by which times may vary and look the same: blocks of a clock, other windows, late edges."""

from collections.abc import Iterable, Iterator, Sequence
from math import ceil, prod

from rateproof.probe.inference import Kind
from rateproof.probe.seen import History

LONGEST = 4
"""Parts of a window: longer blocks are families of their own."""
_CHANCE = 0.01
_MOST_GAPS = 16  # more of them tell little, and their product would be beyond a float
_BACK, _CLOCK = 1, 2
"""The number of times that are fitted: after what time a key comes back, or the phase and the period of a clock."""


def unseen_variation(kind: Kind, keys: Sequence[History]) -> int | None:
    """The most by which the times of a kind may vary unseen; None if nothing is known of it.

    Args:
        kind: comes back after the same time, or at edges of a clock.
        keys: what was seen of them.

    A filled key comes back between a denial and an admission. Where the time varies by up to B
    it falls between two instants g apart with a chance of g/B at most. The closest of them say
    where to look: one for the time after which a filled key comes back, two for the edges of a
    clock. That all others fit them has a chance of at most the product of theirs.

    The time after which a key comes back varies with blocks of B, by the phase at which it was
    filled: two keys at the same phase count as one. The blocks may be a clock's, or begin with
    a key's first request: of both the longer ones. An edge that is late is so for all keys:
    those that come back at the same one count as one.
    """
    if kind.family.other == "own phase":  # a phase is fitted to each key: too few edges are left
        return None
    if kind.on_clock:
        return _bound(_edges(kind, keys), _CLOCK)
    gaps = [*_gaps(kind.limit, keys)]
    longest = [
        _bound(
            (
                (phase_ns := filled_ns - begun_ns * of_key, phase_ns + gap_ns)
                for filled_ns, begun_ns, gap_ns in gaps
            ),
            _BACK,
        )
        for of_key in (False, True)
    ]
    known = [longest_ns for longest_ns in longest if longest_ns is not None]
    return max(known) if len(known) == len(longest) else None


def _bound(gaps: Iterable[tuple[int, int]], fitted: int) -> int | None:
    """The most of which the chance to fit all gaps is not too small; of those that overlap the closest counts."""
    gaps_ns: list[int] = []
    last_ns: int | None = None
    for begin_ns, end_ns in sorted(gaps, key=lambda gap: gap[1]):
        if last_ns is not None and begin_ns < last_ns:
            gaps_ns[-1] = min(gaps_ns[-1], end_ns - begin_ns)
        else:
            gaps_ns.append(end_ns - begin_ns)
            last_ns = end_ns
    others = sorted(gaps_ns)[fitted:]
    return min(
        (
            ceil((prod(others[:number]) / _CHANCE) ** (1 / number))
            for number in range(1, min(len(others), _MOST_GAPS) + 1)
        ),
        default=None,
    )


def _gaps(limit: int, keys: Sequence[History]) -> Iterator[tuple[int, int, int]]:
    """Of each filled key: when, when it began, and how far apart at most its last denial and next admission are."""
    for history in keys:
        for number, filled in enumerate(history):
            if filled.admitted < limit:  # all at once: nothing that was before counts any more
                continue
            before = filled
            for after in history[number + 1 :]:
                if after.admitted:
                    if before is not filled:
                        width_ns = filled.received_ns - filled.sent_ns
                        gap_ns = after.received_ns - before.sent_ns + width_ns
                        yield filled.sent_ns, history[0].sent_ns, gap_ns
                    break
                before = after


def _edges(kind: Kind, keys: Sequence[History]) -> Iterator[tuple[int, int]]:
    """Between which instants an edge was: of a denial and an admission, or of more of them than one window has."""
    for history in keys:
        for number, after in enumerate(history):
            admitted = after.admitted
            for before in reversed(history[:number] if admitted else ()):
                admitted += before.admitted
                # Where a full window puts off the next, that comes later than an edge.
                if before.denied or (admitted > kind.limit and not kind.family.carries):
                    yield before.sent_ns, after.received_ns
                    break
