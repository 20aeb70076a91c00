"""Attacks: the shortest traffic that shows what the usual limiters do wrong, by family.

Each family is a recipe for one fresh key, made for a quota; `docs/theory.md`
derives what each shows. Where tighter quotas stand beside it, a burst is sent
as fast as these admit, so that it reaches the quota at all.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from rateproof.hunt.recipe import Recipe
from rateproof.policy import Policy, Quota
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.scenario import Group
from rateproof.units import format_seconds

__all__ = ["EDGED", "FAMILIES", "Attack", "attack", "reachable"]

_MOST_AT_ONCE = 5_000
_MOST_CONNECTIONS = 200
_MOST_DRIPS = 32
_PACE = 1.05

Steps = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Attack:
    """One family's recipe on several fresh keys.

    Args:
        family: name, from `FAMILIES`.
        quota: the number of the quota that it presses, from 0.
        edge_ns: how close to the end of the window it comes.
        recipe: what each key is sent.
        starts: when each of them begins, in ns of the run.
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

    def __str__(self) -> str:
        keys = f"{len(self.starts)} {self.family}"
        if self.recipe.connections > 1:
            keys += f" on {self.recipe.connections} connections"
        if self.recipe.other_clients:
            keys += f" among {self.recipe.other_clients} others"
        return f"{keys} ({format_seconds(self.edge_ns)})" if self.family in EDGED else keys


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
    return [(0, 1), *aim.after(aim.window_ns * 3 // 2, 2 * aim.limit)]


def _race(aim: _Aim) -> Steps:
    """All at once on as many connections."""
    return [(0, 2 * aim.limit)]


def _late_race(aim: _Aim) -> Steps:
    """A full burst, then all at once as its window ends."""
    return [*aim.after(0, aim.limit), (aim.window_ns + aim.edge_ns, 2 * aim.limit)]


FAMILIES: dict[str, Callable[[_Aim], Steps]] = {
    "opening": _opening,
    "turn": _turn,
    "drip": _drip,
    "idle": _idle,
    "race": _race,
    "late race": _late_race,
    "forget": _turn,
}
"""Steps of one key, by family; `forget` has others in between."""

EDGED = frozenset({"opening", "turn", "drip", "late race", "forget"})
"""Those that come closer the smaller their edge is."""

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
    pressed, tighter = policy.quotas[quota], _tighter(policy, quota)
    limit = min(pressed.limit, _MOST_AT_ONCE)
    steps = FAMILIES[family](_Aim(limit, pressed.window_ns, edge_ns, tighter))
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


def reachable(policy: Policy, quota: int) -> bool:
    """Tell if a burst that keeps to the tighter quotas can fill this one within its window."""
    pressed = policy.quotas[quota]
    steps = _paced(0, min(pressed.limit, _MOST_AT_ONCE), _tighter(policy, quota), 1)
    return steps[-1][0] < pressed.window_ns


def _tighter(policy: Policy, quota: int) -> list[Quota]:
    window_ns = policy.quotas[quota].window_ns
    return [each for each in policy.quotas if each.window_ns < window_ns]


def _paced(at_ns: int, count: int, tighter: list[Quota], way: int) -> Steps:
    """A burst as large as tighter quotas admit at a time, from an instant on or until it."""
    if not tighter:
        return [(at_ns, count)]
    chunk = min(quota.limit for quota in tighter)
    every_ns = max(
        math.ceil(quota.window_ns * -(-chunk // quota.limit) * _PACE) for quota in tighter
    )
    sizes = [chunk] * (count // chunk) + [count % chunk]
    return [(at_ns + way * number * every_ns, size) for number, size in enumerate(sizes) if size]


def _in_order(steps: Steps) -> tuple[tuple[int, int], ...]:
    """One step for each instant from 0 on, without empty ones."""
    counts: dict[int, int] = {}
    for at_ns, count in steps:
        if count > 0 and at_ns >= 0:
            counts[at_ns] = counts.get(at_ns, 0) + count
    return tuple(sorted(counts.items()))
