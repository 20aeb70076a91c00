"""A kind of limiter, as an automaton over what was seen.

`advance(state, seen, box)` gives every state in which a limiter of `box` may be after a
request, for a state in which it may have been before: decision instants and parameters are
intervals, and what cannot be excluded is kept. No state left: no limiter of the box behaves
as seen. So a box is only ever refuted by what all of its limiters would do otherwise (the
converse does not hold: constraints that several requests put on one parameter together are
seen only as the box gets smaller).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rateproof.policy import Algorithm
from rateproof.probe.seen import Box, History, Seen

__all__ = [
    "LOOSE",
    "NEVER",
    "Advance",
    "LimiterFamily",
    "State",
    "admissions",
    "explains",
    "windows_of",
]

State: TypeAlias = Any
Advance: TypeAlias = Callable[[State, Seen, Box], list[State]]

NEVER = -(2**62)
LOOSE = 2**62
"""The latest window of a limiter whose box is too large to say which a request was in."""
_MOST_STATES = 64


@dataclass(frozen=True, slots=True)
class LimiterFamily:
    """One kind of limiter.

    Args:
        of: the record of the algorithm of ours; where there is none, what to call it.
        rank: how likely one meets it: 0 is the likeliest, and equal for no two.
        start: the state of a key never seen.
        advance: see the module.
        apart: how it differs from the algorithm as we have it.
        alike: what behaves the same, in a sentence.
    """

    of: Algorithm | str
    rank: int
    start: State
    advance: Advance
    apart: str = ""
    alike: str = ""

    @property
    def record(self) -> Algorithm | None:
        """The algorithm of ours that it is of."""
        return None if isinstance(self.of, str) else self.of

    @property
    def name(self) -> str:
        """The algorithm of our notation, with what that has no word for."""
        name = self.of if isinstance(self.of, str) else self.of.name
        return f"{name}, {self.apart}" if self.apart else name

    @property
    def plain(self) -> bool:
        """True if our notation says all of it."""
        return self.record is not None and not self.apart

    @property
    def phased(self) -> bool:
        """True if its windows lie on a clock, with a phase that all keys share."""
        return self.record is not None and self.record.windows == "clock"

    @property
    def refills(self) -> bool:
        """True if what is free comes back one by one, up to a burst."""
        return self.record is not None and self.record.has_burst


def explains(family: LimiterFamily, box: Box, keys: Iterable[History]) -> bool:
    """Tell if some limiter of the box might have answered so, on each key by itself."""
    return all(_possible(family, box, history) for history in keys)


def _possible(family: LimiterFamily, box: Box, history: History) -> bool:
    advance = family.advance
    states: list[State] = [family.start]
    for seen in history:
        if len(states) == 1:
            states = advance(states[0], seen, box)
        else:
            states = list({after: None for state in states for after in advance(state, seen, box)})
        if not states:
            return False
        if len(states) > _MOST_STATES:
            return True
    return True


def admissions(
    family: LimiterFamily, point: Box, steps: Sequence[tuple[int, int]]
) -> tuple[int, ...]:
    """Count the requests of each step that the limiter `point` admits on a fresh key."""
    state, counts = family.start, []
    for at_ns, requests in steps:
        admitted = 0
        for _ in range(requests):
            after = family.advance(state, Seen(at_ns, at_ns, admitted=True), point)
            if after:
                admitted += 1
            else:
                after = family.advance(state, Seen(at_ns, at_ns, admitted=False), point)
                if after and after[0] == state:
                    break  # it denies the rest as well
            if not after:
                return ()
            state = after[0]
        counts.append(admitted)
    return tuple(counts)


def windows_of(seen: Seen, box: Box) -> range:
    """The windows in which a request may have been decided, counted from the phase."""
    early_ns, late_ns = seen.sent_ns - box.phase_high_ns, seen.received_ns - box.phase_low_ns
    first = early_ns // (box.high_ns if early_ns >= 0 else box.low_ns)
    last = late_ns // (box.low_ns if late_ns >= 0 else box.high_ns)
    return range(first, last + 1)
