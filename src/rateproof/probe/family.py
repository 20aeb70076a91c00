"""A kind of limiter, as an automaton over what was seen.

`advance(state, seen, box)` gives every state in which a limiter of `box` may be after a
volley of requests, for a state in which it may have been before: decision instants and
parameters are intervals, and what cannot be excluded is kept. No state left: no limiter of
the box behaves as seen. So a box is only ever refuted by what all of its limiters would do
otherwise (the converse does not hold: constraints that several requests put on one
parameter together are seen only as the box gets smaller). None: it gives up, because the
box or the interval is too wide for it. Such a box stays possible, and nothing is said about
it by the rest of the key, up to an idle time after which a key is as a fresh one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from rateproof.policy import Algorithm
from rateproof.probe.seen import Box, History, Seen

State: TypeAlias = Any
Advance: TypeAlias = Callable[[State, Seen, Box], list[State] | None]

NEVER = -(2**62)
_MOST_STATES = 32
_WINDOWS, _TICKS_NS = 2, 2_000_000_000  # after which nothing counts any more
_FEWER = 4  # than the most that may be admitted: more than one are as good as any


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
        other: the parameter beside limit and window: the `phase` of windows on a clock that
            all keys share, the phase of a `tick` of one second, for how long a denial is a
            `block`, or a second `window` beside the first; `own phase` where each key has
            one, which is no parameter.
        at_first: what a fresh key is admitted at once; None: all of the limit.
        number: of equal blocks that make up a window.
        forgets: a key that was idle for long enough is as a fresh one.
        carries: of windows on a clock the one before counts, too.
    """

    of: Algorithm | str
    rank: int
    start: State
    advance: Advance
    apart: str = ""
    alike: str = ""
    other: Literal["", "phase", "own phase", "tick", "block", "window"] = ""
    at_first: int | None = None
    number: int = 1
    forgets: bool = True
    carries: bool = False

    @property
    def record(self) -> Algorithm | None:
        """The algorithm of ours that it is of."""
        return None if isinstance(self.of, str) else self.of

    @property
    def name(self) -> str:
        """The algorithm of our notation, with what that has no word for; of blocks, how many there are."""
        if self.number > 1:
            return f"blocks of 1/{self.number}"
        name = self.of if isinstance(self.of, str) else self.of.name
        return f"{name}, {self.apart}" if self.apart else name

    @property
    def plain(self) -> bool:
        """True if our notation says all of it."""
        return self.record is not None and not self.apart

    @property
    def refills(self) -> bool:
        """True if what is free comes back one by one, up to a burst."""
        return self.record is not None and self.record.has_burst

    def memory_ns(self, box: Box) -> int:
        """The idle time after which a key is as a fresh one; too long for any where it never is."""
        if not self.forgets or self.at_first is not None:
            return -2 * NEVER
        tick_ns = _TICKS_NS if self.other == "tick" else 0
        block_ns = box.other_high_ns if self.other in {"block", "window"} else 0
        times = box.limit + 1 if self.refills else _WINDOWS
        return times * box.high_ns + tick_ns + block_ns


def explains(family: LimiterFamily, box: Box, keys: Iterable[History]) -> bool:
    """Tell if some limiter of the box might have answered so, on each key by itself."""
    return all(_possible(family, box, history) for history in keys)


def _possible(family: LimiterFamily, box: Box, history: History) -> bool:
    """Tell if some state is left; what it gives up on is skipped up to the next long idle time."""
    states: list[State] = [family.start]
    last_ns, lost = NEVER, False
    advance = family.advance
    for seen in history:
        if lost:
            if seen.sent_ns - last_ns <= family.memory_ns(box):
                last_ns = max(last_ns, seen.received_ns)
                continue
            states, lost = [family.start], False
        if len(states) == 1:
            after = advance(states[0], seen, box)
        else:
            after = _advanced(family, states, seen, box)
        if after is None:
            last_ns, lost = max(last_ns, seen.received_ns), True
            continue
        if not after:
            return False
        states, last_ns = after, max(last_ns, seen.received_ns)
    return True


def _advanced(
    family: LimiterFamily, states: list[State], seen: Seen, box: Box
) -> list[State] | None:
    """Every state after a volley; None where one of them gives up, or there are too many."""
    if len(states) == 1:
        return family.advance(states[0], seen, box)
    found: dict[State, None] = {}
    for state in states:
        after = family.advance(state, seen, box)
        if after is None:
            return None
        for each in after:
            found[each] = None
    return list(found) if len(found) <= _MOST_STATES else None


def admissions(
    family: LimiterFamily,
    point: Box,
    steps: Sequence[tuple[int, int]],
    width_ns: int = 0,
    before: History = (),
) -> tuple[tuple[int, ...], ...]:
    """The numbers of each step that the limiters of `point` may admit.

    Args:
        family: the kind.
        point: its parameters.
        steps: instants, and how many requests.
        width_ns: how long after that each may have been decided.
        before: what was seen of the key before them; nothing of a fresh one.

    Returns:
        The possible numbers of each step, the largest first, whatever came of the other steps;
        fewer steps where it gives up.
    """
    history = [Seen(at_ns, at_ns + width_ns, 0, requests) for at_ns, requests in steps]
    return tuple(tuple(outcomes) for outcomes in foreseen(family, point, history, before=before))


def foreseen(
    family: LimiterFamily,
    box: Box,
    history: History,
    *,
    knowing: bool = False,
    before: History = (),
) -> Iterator[list[int]]:
    """The numbers that may be admitted of each volley, as many requests as it has; until it gives up.

    Args:
        family: the kind.
        box: its parameters.
        history: the volleys, and what came of them.
        knowing: of each volley by what came of those before it; else whatever came of them.
        before: volleys whose outcome is known in any case.
    """
    states: list[State] = [family.start]
    for seen in before:
        if not (after := _advanced(family, states, seen, box)):
            return
        states = after
    for seen in history:
        outcomes: list[int] = []
        found: dict[State, None] = {}
        for tried in _splits(family, states, seen, box):
            after = _advanced(family, states, tried, box)
            if after is None:
                return
            if after:
                outcomes.append(tried.admitted)
                if not knowing or tried.admitted == seen.admitted:
                    found.update(dict.fromkeys(after))
        yield outcomes
        if len(found) > _MOST_STATES or (len(outcomes) >= _FEWER and not knowing):
            return
        states = list(found)


def _splits(family: LimiterFamily, states: list[State], seen: Seen, box: Box) -> Iterator[Seen]:
    """A volley with the most that may be admitted, and some less: with room, none is denied."""
    sent_ns, received_ns, admitted, denied = seen
    requests = admitted + denied
    low, high, middle = 0, requests, requests  # all of them, most often
    while low < high:
        if _advanced(family, states, Seen(sent_ns, received_ns, middle, 0), box) == []:
            high = middle - 1
        else:
            low = middle
        middle = (low + high + 1) // 2
    for number in range(low, max(-1, low - _FEWER), -1):
        yield Seen(sent_ns, received_ns, number, requests - number)


def windows_of(seen: Seen, box: Box, number: int = 1) -> tuple[int, int]:
    """The first and the last window in which a volley may have been decided, counted from the phase."""
    _, low_ns, high_ns, phase_low_ns, phase_high_ns, *_ = box
    if number > 1:
        low_ns, high_ns = low_ns // number, -(-high_ns // number)
    return indices(seen, low_ns, high_ns, phase_low_ns, phase_high_ns)


def indices(
    seen: Seen, low_ns: int, high_ns: int, phase_low_ns: int, phase_high_ns: int
) -> tuple[int, int]:
    """The first and the last window of such a length and phase in which it may have been decided."""
    early_ns, late_ns = seen[0] - phase_high_ns, seen[1] - phase_low_ns
    return (
        early_ns // (high_ns if early_ns >= 0 else low_ns),
        late_ns // (low_ns if late_ns >= 0 else high_ns),
    )
