"""The traffic of an iteration: attacks on fresh clients, and a crowd beside them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from rateproof.hunt.exploration.attacks import Attack
from rateproof.hunt.exploration.pace import Pace
from rateproof.hunt.recipe import Crowd
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.behaviours.think import Think
from rateproof.simulate.programs.arrivals import Exponential
from rateproof.simulate.scenario import Group
from rateproof.units import SECOND_NS

AFTER_NS = 200_000_000
"""An iteration lasts so much longer than its last request is due."""

SCHEDULE = "schedule"
"""The shape of an iteration that was told what to send."""

CALM = "calm"
"""The shape of one in which one client comes at a time."""

_CROWD_SHARE, _PACED_CLIENTS = 0.2, 8


@dataclass(frozen=True, slots=True)
class Draw:
    """One iteration's traffic.

    Args:
        seed: of the whole test.
        iteration: its number, from 1.
        shape: name of the crowd's behaviour, from `SHAPES`, or `SCHEDULE`.
        clients: how many clients the crowd has.
        rate_per_s: requests a second of the crowd, as intended; None: as fast as answered.
        duration_ns: how long it lasts.
        groups: the clients of the attacks, then the crowd and all others.
        attacks: in the order of their clients.
        note: what is sent beside the crowd, and why, in words.
    """

    seed: int
    iteration: int
    shape: str
    clients: int
    rate_per_s: float | None
    duration_ns: int
    groups: tuple[Group, ...]
    attacks: tuple[Attack, ...] = ()
    note: str = ""
    left: tuple[Attack, ...] = ()
    """Attacks for which there were too few keys, or too little time: the next iteration tries them."""
    is_paced: bool = False
    """The target answers more slowly than it was to be sent."""

    @property
    def scenario_seed(self) -> int:
        """The seed of the iteration's scenario: 63 bits of the drawn stream."""
        return stream(self.seed, self.iteration, "scenario").getrandbits(63)

    @property
    def brief(self) -> str:
        """The kinds of its attacks, each once; all of it where there are none."""
        return "; ".join(dict.fromkeys(each.brief for each in self.attacks)) or str(self)

    def __str__(self) -> str:
        if self.shape == SCHEDULE:
            return f"{self.clients} fresh clients, each {self.note}"
        if self.shape == CALM:
            return self.note
        rate = "as fast as answered" if self.rate_per_s is None else f"{self.rate_per_s} requests/s"
        crowd = f"{self.clients} other clients, {self.shape}, {rate}"
        return f"{self.note}; beside {crowd}; {self.duration_ns / SECOND_NS:.1f} s"


def continued(drawn: Draw, iteration: int, keys: int | None) -> Draw:
    """The attacks that a draw left over, as far as there are keys; beside the same crowd."""
    attacks, over = fitted(list(drawn.left), keys)
    crowd = [each for each in drawn.groups if not isinstance(each.behaviour, Schedule | Crowd)]
    words = map(str, attacks)
    return replace(
        drawn,
        iteration=iteration,
        groups=groups_of(attacks, *crowd),
        attacks=tuple(attacks),
        duration_ns=max(drawn.duration_ns, max(each.end_ns for each in attacks) + AFTER_NS),
        note=f"attack, left over: {'; '.join(words)}",
        left=tuple(over),
    )


def paced(drawn: Draw, pace: Pace | None) -> Draw:
    """The traffic as fast as a target answers, where it was to be sent faster; the crowd then is small."""
    if pace is None or not pace.is_exceeded_by(drawn.attacks, drawn.duration_ns):
        return drawn
    attacks, over = pace.spread(drawn.attacks, drawn.duration_ns)
    rate_per_s = min(_CROWD_SHARE * pace.rate_per_s, drawn.rate_per_s or math.inf)
    clients = min(drawn.clients, _PACED_CLIENTS)
    crowd = Group(Think(Exponential(round(clients / rate_per_s * SECOND_NS))), clients)
    return replace(
        drawn,
        shape="steady",
        clients=clients,
        rate_per_s=round(rate_per_s, 1),
        duration_ns=max([drawn.duration_ns, *map(pace.end_ns, attacks)]) + AFTER_NS,
        groups=groups_of(attacks, crowd),
        attacks=tuple(attacks),
        note=f"{drawn.note.split(':')[0]}, paced: {'; '.join(map(str, attacks))}",
        left=(*drawn.left, *over),
        is_paced=True,
    )


def calm(
    seed: int, iteration: int, attacks: Sequence[Attack], pace: Pace, keys: int | None = None
) -> Draw:
    """The traffic of attacks that come one client at a time, with nobody beside them."""
    attacks, over = fitted(list(attacks), keys)
    clients = sum(len(each.starts) for each in attacks)
    return Draw(
        seed,
        iteration,
        CALM,
        clients,
        None,
        max(map(pace.end_ns, attacks)) + AFTER_NS,
        groups_of(attacks),
        tuple(attacks),
        f"attack, one client at a time: {'; '.join(map(str, attacks))}",
        tuple(over),
    )


def groups_of(attacks: Sequence[Attack], *beside: Group) -> tuple[Group, ...]:
    """The clients of the attacks, those beside them, and the crowds that attacks bring."""
    first = (group for each in attacks for group in each.groups())
    return (*first, *beside, *(group for each in attacks for group in each.crowd()))


def fitted(attacks: list[Attack], keys: int | None) -> tuple[list[Attack], list[Attack]]:
    """As many attacks as there are keys for, on fewer of them; and those that are left over."""
    if keys is None:
        return attacks, []
    others = max(each.recipe.other_clients for each in attacks)
    room = max(1, keys - (others or keys // 4))
    fitted, over = attacks[:room], attacks[room:]
    while sum(len(each.starts) for each in fitted) > room:
        widest = max(range(len(fitted)), key=lambda n: len(fitted[n].starts))
        fitted[widest] = replace(fitted[widest], starts=fitted[widest].starts[:-1])
    return fitted, over


def stream(seed: int, number: int, purpose: str) -> Random:
    """A generator that depends on these three and nothing else."""
    return Random(f"{seed}/{number}/{purpose}")
