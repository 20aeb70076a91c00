"""The longest blocks of a clock that would have looked like none."""

from collections.abc import Iterable, Iterator, Sequence
from math import ceil, prod

from rateproof.probe.seen import History

LONGEST = 4
"""Parts of a window: longer blocks are families of their own."""
_CHANCE = 0.01
_MOST_GAPS = 8


def longest_blocks(limit: int, keys: Sequence[History], more: Sequence[int] = ()) -> int | None:
    """The longest blocks that may have looked like none; None if nothing is known of them.

    Args:
        limit: of a key.
        keys: what was seen of them.
        more: gaps, in ns, that would be seen, too, each at a phase of its own.

    A filled key comes back between a denial and an admission. Without blocks it does so after
    the same time whenever it was filled. With blocks of B the time is anywhere within B, by
    the phase at which it was filled: it falls between two instants g apart with a chance of
    g/B at most. The closest two say where to look, and that all others fit them has a chance
    of at most the product of theirs. Two keys filled at the same phase count as one. The
    blocks may be a clock's, or begin with a key's first request: of both the longer ones.
    """
    gaps = [*_gaps(limit, keys)]
    longest = [
        _bound(
            ((filled_ns - begun_ns * of_key, gap_ns) for filled_ns, begun_ns, gap_ns in gaps), more
        )
        for of_key in (False, True)
    ]
    known = [longest_ns for longest_ns in longest if longest_ns is not None]
    return max(known) if len(known) == len(longest) else None


def missing_gaps(limit: int, keys: Sequence[History], gap_ns: int, longest_ns: int) -> int:
    """Count the gaps, all as far apart, that tell, with those that were seen, that blocks are no longer."""
    for number in range(_MOST_GAPS):
        known_ns = longest_blocks(limit, keys, [gap_ns] * number)
        if known_ns is not None and known_ns <= longest_ns:
            return number
    return _MOST_GAPS


def _bound(gaps: Iterable[tuple[int, int]], more: Sequence[int]) -> int | None:
    """The longest blocks whose chance to fit all gaps, each with its phase, is not too small."""
    gaps_ns: list[int] = []
    last_ns: int | None = None
    for phase_ns, gap_ns in sorted(gaps):
        if last_ns is not None and phase_ns - last_ns < gap_ns:
            gaps_ns[-1] = min(gaps_ns[-1], gap_ns)
        else:
            gaps_ns.append(gap_ns)
            last_ns = phase_ns
    _, *others = sorted([*gaps_ns, *more]) or [0]
    return min(
        (
            ceil((prod(others[:number]) / _CHANCE) ** (1 / number))
            for number in range(1, len(others) + 1)
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
