"""Fixed windows at a known phase: earliest deadline first into slots of capacity N.

A job may lie in any of the slots that its interval touches. That is the same
question as in `feasible`, for jobs that occupy one slot on N machines, and there
are no crises that a barrier could resolve: slots do not shift.
"""

from heapq import heappop, heappush

from rateproof.prove.over_admission.families.phases import Piece, Stuck

__all__ = ["overfull"]


def overfull(piece: Piece, limit: int, window_ns: int, phase: int) -> Stuck | None:
    """Jobs that touch d slots only and are more than N*d; None if all fit.

    When a job is late, every slot before it was filled by more urgent ones, back
    to one that was not full or took a job due later: all of those since, and the
    late one, touch no other slots. Let the phase grow by no more than the first
    of them lie behind the begin of their slots: they touch no more slots.
    """
    low, high = piece.low, piece.high
    ready: list[tuple[int, int]] = []
    placed: list[int] = []
    slots: list[int] = []  # where in `placed` each slot since the last that was not full begins
    slot = job = 0
    while job < len(low) or ready:
        if not ready:
            slot = (low[job] - phase) // window_ns
            placed.clear()
            slots.clear()
        while job < len(low) and (low[job] - phase) // window_ns <= slot:
            heappush(ready, (high[job], job))
            job += 1
        slots.append(len(placed))
        for _ in range(min(limit, len(ready))):
            due, urgent = heappop(ready)
            if (due - phase) // window_ns < slot:
                first = len(slots) - 1
                while first > 0 and all(
                    (high[other] - phase) // window_ns < slot
                    for other in placed[slots[first - 1] : slots[first]]
                ):
                    first -= 1
                opens = slot - (len(slots) - 1 - first)
                block = [*placed[slots[first] :], urgent]
                behind = ((low[other] - phase) // window_ns == opens for other in block)
                return block, min(
                    (low[other] - phase) % window_ns
                    for other, opening in zip(block, behind, strict=True)
                    if opening
                )
            placed.append(urgent)
        slot += 1
    return None
