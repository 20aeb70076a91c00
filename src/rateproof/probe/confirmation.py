"""The proof of a name: predictions that came true, and rivals whose predictions did not.

A rival is every other family: at the parameters that explained the most keys where it is
refuted, at all that are left where it is not. It is excluded by three keys that it does not
explain. Where no schedule is found on which it would have to answer otherwise than the
candidate, within the intervals, it looks the same, and the name says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, pairwise

from rateproof.policy.sliding_log import SLIDING_LOG
from rateproof.probe.family import LimiterFamily, explains, foreseen
from rateproof.probe.inference import Hypotheses, Kind, spread
from rateproof.probe.seen import GRANULARITY_NS, Box, History, Seen
from rateproof.probe.variation import LONGEST, unseen_variation
from rateproof.units import SECOND_NS

PREDICTIONS = 12
EXCLUDING = 3
EDGES, EDGES_OF_LOG, _MOST_EDGES = 2, 4, 8
_CLOCKS = {"phase", "tick", "own phase"}
_CLOSELY, _WIDTHS = 8, 4  # parts of the time between two edges, and answers, that they may be apart
_FINE = 8  # parts of a window: blocks need not be told closer
_SLOWLY = 16  # answers in which a token comes back
_LONGER, _SHORT_NS = 2, 3 * SECOND_NS  # times the shortest window that is left; none takes long
_HALF = 2  # of a window: a name that may vary by more says too little
BOXES = 4
"""Of a kind: so many stand for all of it."""


@dataclass(slots=True)
class Confirmation:
    """The state of the proof of a candidate.

    Args:
        candidate: the family and limit whose predictions are made.
        true: how many came true: numbers of a volley that had to be so.
        keys: on how many keys.
        excluded: how many keys each rival does not explain.
        alike: rivals that would answer the same, within the intervals.
        stood: keys that every name has to stand went as foreseen, too.
        edges: how often it was foretold closely when a key comes back.
        closely: keys were asked just before and after they come back, denied in between or not.
        measured: rounds in which it was asked when a key comes back.
        varies_ns: times that vary by so much or less would look the same; None: nothing is known of them.
        coarse: it is so much that it is worth while to look closer.
        slow: tokens come back so slowly that it can be foretold when one does.
    """

    candidate: tuple[LimiterFamily, int]
    true: int = 0
    keys: int = 0
    excluded: dict[LimiterFamily, int] = field(default_factory=dict)
    alike: list[LimiterFamily] = field(default_factory=list)
    stood: bool = False
    edges: int = 0
    closely: bool = False
    measured: int = 0
    varies_ns: int | None = 0
    coarse: bool = False
    slow: bool = False

    @property
    def open(self) -> list[LimiterFamily]:
        """The rivals that are not excluded yet, nor alike."""
        return [
            family
            for family, keys in self.excluded.items()
            if keys < EXCLUDING and family not in self.alike
        ]

    @property
    def done(self) -> bool:
        """True if it may be named."""
        return self.foretold and self.stood and self.closely

    @property
    def foretold(self) -> bool:
        """True if enough was foretold, and all rivals are excluded."""
        return self.true >= PREDICTIONS and not self.open and not self.missing_edges

    @property
    def missing_edges(self) -> int:
        """Edges that are to be foretold still, where a clock's phase, or chance, might explain any one of them."""
        family, _ = self.candidate
        needed = EDGES if family.other in _CLOCKS or self.slow else 0
        # Blocks of another number come back near the same edges, now and then; what has no ticks, near theirs.
        if self.coarse or family.number > 1 or family.other == "tick":
            needed = EDGES_OF_LOG
        # That edges of a clock vary by an unknown time is part of the name.
        return max(self.varies_ns is None and not family.other, needed - self.edges)


def guessed(kinds: Sequence[Kind]) -> Kind:
    """The likeliest of those whose window is not much longer than the shortest: if it is wrong, it costs little time.

    One that is strained is none, as long as there are others.
    """
    kinds = [kind for kind in kinds if not kind.strained] or kinds
    least_ns = max(_SHORT_NS, min(kind.whole_ns for kind in kinds))
    return next(kind for kind in kinds if kind.whole_ns < _LONGER * least_ns)


def alone(proof: Confirmation, left: Hypotheses) -> bool:
    """Tell if nothing else is possible but what would answer the same."""
    return {kind.family for kind in left.kinds()} - {*proof.alike} <= {proof.candidate[0]}


def rivals(left: Hypotheses, kind: Kind) -> dict[LimiterFamily, Sequence[Box]]:
    """The limiters of every other family that come closest to what was seen."""
    found: dict[LimiterFamily, Sequence[Box]] = {
        family: [box] for family, box in left.fallen.items() if family is not kind.family
    }
    for other in left.kinds():
        if other.family is not kind.family:
            found[other.family] = [*found.get(other.family, ()), *left.points(other, BOXES)]
    return found


def count_excluded(
    proof: Confirmation, left: Hypotheses, kind: Kind, keys: Sequence[History]
) -> None:
    """Count the keys that each rival does not explain, whichever of its limiters it is."""
    for family, boxes in rivals(left, kind).items():
        proof.excluded[family] = min(
            sum(not explains(family, box, (history,)) for history in keys) for box in boxes
        )
    proof.slow = kind.family.refills and kind.grain_ns > _SLOWLY * kind.interval_ns
    if not (kind.timeless or kind.on_clock or kind.weighs):
        return
    varies_ns, most_ns = unseen_variation(kind, keys), kind.grain_ns // _HALF
    if kind.timeless:
        proof.coarse = varies_ns is None or varies_ns > kind.high_ns // _FINE
        most_ns = kind.high_ns // LONGEST
        if varies_ns and proof.edges >= _MOST_EDGES:  # more of them tell little
            if kind.family.record is SLIDING_LOG:  # longer blocks are families
                varies_ns = min(varies_ns, most_ns)
            most_ns = kind.high_ns // _HALF
    enough = varies_ns is not None and varies_ns <= most_ns
    proof.varies_ns = varies_ns if enough else None


def count_predictions(
    proof: Confirmation, kind: Kind, keys: Sequence[History], since_ns: int = 0
) -> None:
    """Count the volleys since an instant, of explained keys, that had to go as they went, for more requests than a fresh key gets."""
    boxes = spread(sorted(kind.boxes), BOXES)
    own = kind.family.other == "own phase"  # nothing is certain before a key came back once
    since_ns -= GRANULARITY_NS  # so much earlier than it was sent
    for history in keys:
        told = [list(foreseen(kind.family, box, history, knowing=own)) for box in boxes]
        asked = accumulate(seen.admitted + seen.denied for seen in history)
        outcomes = zip(asked, *told, strict=False)
        certain = [
            total > kind.fresh and len({*chain(*each)}) == 1 and seen.sent_ns >= since_ns
            for seen, (total, *each) in zip(history, outcomes, strict=False)
        ]
        true = sum(certain)
        foretold = [seen for sure, seen in zip(certain, history, strict=False) if sure]
        edges = sum(_edge(kind, before, after) for before, after in pairwise(foretold))
        proof.edges += edges if own else min(1, edges)  # of one key, at one phase
        proof.true += true
        proof.keys += bool(true) and history[0].sent_ns >= since_ns


def _edge(kind: Kind, before: Seen, after: Seen) -> bool:
    """Tell if a key was denied and then admitted again within little time, at most that between two edges."""
    widths_ns = sum(seen.received_ns - seen.sent_ns for seen in (before, after))
    closely_ns = min(kind.grain_ns // _CLOSELY + _WIDTHS * widths_ns, kind.grain_ns)
    back = not before.admitted and after.admitted > 0
    return back and after.received_ns - before.sent_ns <= closely_ns
