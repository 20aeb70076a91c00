"""Attacks: the shortest traffic that shows what the usual limiters do wrong, by family.

Each family is a recipe for one fresh key, made for a quota; `docs/theory.md`
derives what each shows. Where tighter quotas stand beside it, a burst is sent
as fast as these admit, so that it reaches the quota at all.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from rateproof.hunt.recipe import Recipe
from rateproof.policy import Policy, Quota
from rateproof.prove.over_admission.gaps import Stair, earliest_of
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.scenario import Group
from rateproof.units import counted, format_seconds

TICK_NS: Final = 400_000_000
"""The edge for clocks of whole seconds, by which a window may be over almost one early."""

REST_NS: Final = 5_000_000_000
"""No pause is longer, but where a window makes it so."""

_MOST_AT_ONCE = 5_000
_MOST_CONNECTIONS = 200
_MOST_DRIPS = 32
_PACE = 1.05

Steps = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Attack:
    """One family's recipe on several fresh keys, which begin at `starts` ns of the run.

    It presses the quota of that number, and comes as close as `edge_ns` to its window's end.
    """

    family: str
    quota: int
    edge_ns: int
    recipe: Recipe
    starts: tuple[int, ...]

    @property
    def end_ns(self) -> int:
        """The instant of the last request."""
        return max(self.starts) + self.recipe.span_ns

    def groups(self) -> list[Group]:
        """A client for each start; the others come with the first."""
        return [self.recipe.client(start_ns) for start_ns in self.starts]

    def crowd(self) -> list[Group]:
        """The others, beside the first client."""
        return self.recipe.crowd(self.starts[0])

    @property
    def brief(self) -> str:
        """Its kind, without how many and how close."""
        return FAMILIES[self.family].words + " among others" * bool(self.recipe.other_clients)

    def __str__(self) -> str:
        _, told, edged = FAMILIES[self.family]
        if edged:
            told += f" ({format_seconds(self.edge_ns)})"
        if self.recipe.connections > 1:
            told += f" on {self.recipe.connections} connections"
        if self.recipe.other_clients:
            told += f" among {self.recipe.other_clients} other clients"
        return f"{told}, {counted(len(self.starts), 'client')}"


class _Aim(NamedTuple):
    """The aim of an attack: a quota as far as it can be pressed, and how close to its end."""

    limit: int
    window_ns: int
    edge_ns: int
    tighter: list[Quota]

    def before(self, at_ns: int, count: int) -> Steps:
        """A burst of so many that is over at an instant."""
        return _paced(at_ns, count, self.tighter, -1)

    def after(self, at_ns: int, count: int) -> Steps:
        """One that begins at an instant."""
        return _paced(at_ns, count, self.tighter, 1)


def _opening(aim: _Aim) -> Steps:
    """One opens a window, the rest press on both sides of its end."""
    end_ns = aim.window_ns
    return [
        (0, 1),
        *aim.before(end_ns - aim.edge_ns, aim.limit - 1),
        *aim.after(end_ns + aim.edge_ns, aim.limit),
    ]


def _turn(aim: _Aim) -> Steps:
    """Two full bursts in less than a window: over the edge of one that is counted from the epoch."""
    return [*aim.after(0, aim.limit), *aim.after(aim.window_ns - aim.edge_ns, aim.limit)]


def _drip(aim: _Aim) -> Steps:
    """A full burst, then one whenever a bucket would have refilled one."""
    first = aim.after(0, aim.limit)
    every_ns = (aim.window_ns + aim.edge_ns) // aim.limit
    drips = min(aim.limit - 1, _MOST_DRIPS) or 1
    return first + [(first[-1][0] + drip * every_ns, 1) for drip in range(1, drips + 1)]


def _idle(aim: _Aim) -> Steps:
    """One, then silence for longer than a window, then twice the limit."""
    return [(0, 1), *aim.after(aim.window_ns * 5 // 4, 2 * aim.limit)]


def _rest(aim: _Aim) -> Steps:
    """The same after the silence of more than four windows, as far as there is time for it."""
    pause_ns = max(aim.window_ns * 5 // 4, min(aim.window_ns * 17 // 4, REST_NS))
    return [(0, 1), *aim.after(pause_ns, 2 * aim.limit)]


def _chain(aim: _Aim) -> Steps:
    """One opens a window and one the next; the rest press on both sides of that one's end."""
    end_ns = 2 * aim.window_ns
    return [
        (0, 1),
        (aim.window_ns + aim.edge_ns, 1),
        *aim.before(end_ns - aim.edge_ns, aim.limit - 1),
        *aim.after(end_ns + aim.edge_ns, aim.limit),
    ]


def _late(aim: _Aim) -> Steps:
    """One, a pause in which a permit may be saved, one late; from then on one every W/N.

    The pace leaves a tenth for jitter, and yet all after the pause lie within a window.
    """
    size = -(-aim.limit // _MOST_DRIPS)
    parts = -(-aim.limit // size)
    pace_ns = aim.window_ns // parts
    pause_ns = min(aim.window_ns, max(aim.window_ns // 4, 2 * pace_ns + pace_ns // 10))
    every_ns = pace_ns + pace_ns // (2 * parts)
    paced = [(pause_ns + turn * every_ns, size) for turn in range(parts)]
    return [(0, 1), (pause_ns, size), *paced]


def _fill(aim: _Aim) -> Steps:
    """All that fits and a few more, as fast as tighter quotas let them through."""
    return aim.after(0, aim.limit + min([aim.limit, *(quota.limit for quota in aim.tighter)]))


def _race(aim: _Aim) -> Steps:
    """All at once on as many connections."""
    return [(0, 2 * aim.limit)]


def _late_race(aim: _Aim) -> Steps:
    """A full burst, then all at once as its window ends."""
    return [*aim.after(0, aim.limit), (aim.window_ns + aim.edge_ns, 2 * aim.limit)]


class _Family(NamedTuple):
    """One family: the steps of one key, in words, and if it comes closer the smaller its edge is."""

    steps: Callable[[_Aim], Steps]
    words: str
    edged: bool = False


FAMILIES: Final = {
    "opening": _Family(_opening, "bursts around a window's end", edged=True),
    "turn": _Family(_turn, "two bursts within a window", edged=True),
    "drip": _Family(_drip, "a burst, then one as each permit returns", edged=True),
    "idle": _Family(_idle, "twice the limit after a pause"),
    "race": _Family(_race, "all at once"),
    "late race": _Family(_late_race, "all at once as a window ends", edged=True),
    "forget": _Family(_turn, "two bursts within a window", edged=True),
    "tick": _Family(_turn, "two bursts a moment less than a window apart"),
    "late": _Family(_late, "a pause, one late, then one as each permit returns"),
    "chain": _Family(_chain, "bursts around the end of the second window", edged=True),
    "fill": _Family(_fill, "until the quota is full"),
    "rest": _Family(_rest, "twice the limit after a pause of several windows"),
}
"""Every family by its name; `forget` has others in between."""

_RACES = {"race", "late race"}


def attack(
    family: str,
    policy: Policy,
    quota: int,
    edge_ns: int,
    *,
    starts: tuple[int, ...] = (0,),
    fold: int = 1,
    others: int = 0,
) -> Attack:
    """An attack of a family on one quota of a policy.

    Args:
        family: name, from `FAMILIES`.
        policy: what is claimed to hold.
        quota: the number of the quota, from 0.
        edge_ns: how close to the end of its window, above 0 and below it.
        starts: when each key begins, in ns of the run.
        fold: of a race: how often twice the limit, each request on a connection of its
            own; of the others: over how many connections bursts are dealt.
        others: other clients in between, from a tenth of the way on.
    """
    pressed = policy.quotas[quota]
    tighter = [each for each in policy.quotas if each.window_ns < pressed.window_ns]
    limit = min(pressed.limit, _MOST_AT_ONCE)
    steps = FAMILIES[family].steps(_Aim(limit, pressed.window_ns, edge_ns, tighter))
    connections = fold
    if family in _RACES:
        last_ns, most = steps[-1]
        steps[-1] = (last_ns, most * fold)
        connections = min(most * fold, _MOST_CONNECTIONS)
    schedule = Schedule(_in_order(steps))
    last_ns = schedule.steps[-1][0]
    crowd = Schedule(((last_ns // 10, others),)) if others and last_ns else None
    recipe = Recipe(schedule, connections, crowd)
    return Attack(family, quota, edge_ns, recipe, starts)


def _paced(at_ns: int, count: int, others: Sequence[Quota], way: int) -> Steps:
    """A burst as fast as other quotas admit it, from an instant on or until it."""
    bounds = earliest_of([Stair.of(quota) for quota in others], count)
    counts: Counter[int] = Counter()
    now_ns = 0
    for place in range(count):
        now_ns = max([now_ns, *(bound.earliest(place, now_ns) for bound in bounds)])
        for bound in bounds:
            bound.record(place, now_ns)
        counts[math.ceil(now_ns * _PACE)] += 1
    return [(at_ns + way * after_ns, size) for after_ns, size in counts.items()]


def _in_order(steps: Steps) -> tuple[tuple[int, int], ...]:
    """One step for each instant from 0 on, without empty ones."""
    counts: dict[int, int] = {}
    for at_ns, count in steps:
        if count > 0 and at_ns >= 0:
            counts[at_ns] = counts.get(at_ns, 0) + count
    return tuple(sorted(counts.items()))
