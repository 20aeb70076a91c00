"""The most by which times may vary and look the same: blocks or ticks of a clock, other windows, late edges."""

from collections.abc import Iterable, Iterator, Sequence
from math import ceil, floor, prod

from rateproof.probe.inference import Kind
from rateproof.probe.seen import History

LONGEST = 4
"""Parts of a window: longer blocks are families of their own."""
_CHANCE = 0.01
_LEAST_GAP, _SLACK = 200, 8
"""Parts of a window: no gap counts as closer. Parts of the closest gap: so near is a tick looked for."""
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

    A weight that a clock's ticks change varies by the longest that one of them may last.
    """
    if kind.weighs:
        return _longest_tick(kind, keys)
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


def _longest_tick(kind: Kind, keys: Sequence[History]) -> int | None:
    """The longest tick of which one ends between each denial and the next admission: nothing comes back amid one.

    None if it may be half a window. The gaps are taken to be a little wider than they are: so
    much that the next shorter tick that is tried ends within them as well as any between the two.
    """
    least_ns = kind.high_ns // _LEAST_GAP
    gaps = ((begin_ns, max(end_ns, begin_ns + least_ns)) for begin_ns, end_ns in _edges(kind, keys))
    first, *others = sorted(gaps, key=lambda gap: gap[1] - gap[0]) or [(0, 0)]
    slack_ns = (first[1] - first[0]) / _SLACK
    wider = [(begin_ns - slack_ns, end_ns + slack_ns) for begin_ns, end_ns in others]
    far_ns = max((abs(begin_ns - first[0]) for begin_ns, _ in others), default=0)
    tick_ns = kind.high_ns / 2
    while far_ns and not _ends_within(tick_ns, first, wider):
        tick_ns /= 1 + 2 * slack_ns / far_ns
    return ceil(tick_ns) if far_ns and tick_ns < kind.high_ns / 2 else None


def _ends_within(
    tick_ns: float, first: tuple[float, float], gaps: Iterable[tuple[float, float]]
) -> bool:
    """Tell if ticks of which one ends within the first gap may end within all others, too; the closest come first."""
    instants = [first]
    for begin_ns, end_ns in gaps:
        if end_ns - begin_ns >= tick_ns:
            break
        later = (
            (tick * tick_ns, low_ns, high_ns)
            for low_ns, high_ns in instants
            for tick in range(
                ceil((begin_ns - high_ns) / tick_ns), floor((end_ns - low_ns) / tick_ns) + 1
            )
        )
        instants = [
            (max(low_ns, begin_ns - by_ns), min(high_ns, end_ns - by_ns))
            for by_ns, low_ns, high_ns in later
        ]
    return bool(instants)
