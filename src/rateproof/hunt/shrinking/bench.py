"""Recipes on a bench: how fresh clients that try them share one run, and what each of them saw."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rateproof.hunt.recipe import Phase, Recipe
from rateproof.hunt.shrinking.reproduction import Tries
from rateproof.simulate.scenario import Group
from rateproof.units import SECOND_NS

_RATE_PER_S = 500.0
_MOST_TOGETHER = 64
_FEWEST = 3  # recipes at a time, where clients are few
_SLOW_S = 8.0
_GRACE_NS = SECOND_NS // 2


@dataclass(frozen=True, slots=True)
class Bench:
    """Clients side by side in one run.

    Args:
        groups: one client each, and the others of the first recipe behind them.
        owners: for each client, the number of the recipe that it follows.
        recipes: how many there were, with or without a seat.
        phase: where the run begins in windows from the epoch; None: anywhere.
        duration_ns: how long the run may last.
    """

    groups: tuple[Group, ...]
    owners: tuple[int, ...]
    recipes: int
    phase: Phase | None
    duration_ns: int

    @classmethod
    def of(
        cls,
        recipes: Sequence[Recipe],
        tries: int,
        *,
        spread_ns: int = SECOND_NS,
        max_rate: float | None = None,
        most: int | None = None,
    ) -> "Bench":
        """Seat as many recipes as there is room for; the first always has some.

        Clients that may begin at any time do so one after the other, so that a server that
        answers 500 requests a second is not behind, or one that answers fewer. Those that are bound to a phase or to
        others begin together, 64 requests at most.

        Args:
            recipes: all with the same others.
            tries: clients of each.
            spread_ns: those of one recipe begin at least as far apart as parts of this, and
                there are so many as can begin within it, beside the first.
            max_rate: requests a second at most.
            most: clients, the others included; None: any number.
        """
        given = len(recipes)
        if most is not None:
            room = max(1, most - recipes[0].other_clients)
            tries = min(tries, room if given == 1 else max(1, room // _FEWEST))
            recipes = recipes[: room // tries]
        rate = _RATE_PER_S if max_rate is None else min(_RATE_PER_S, max_rate)
        others = recipes[0].others
        phases = [recipe.phase for recipe in recipes if recipe.phase]
        phase = min(
            phases, key=lambda base: max(_shift_ns(each, base) for each in phases), default=None
        )
        bound = [n for n, recipe in enumerate(recipes) if recipe.phase or others]
        bound = _roomy(recipes, bound, tries, _MOST_TOGETHER)
        free = [n for n, recipe in enumerate(recipes) if not (recipe.phase or others)]
        is_slow = rate < _RATE_PER_S
        if is_slow and free:  # it could not keep up with those that begin together
            bound, phase = [], None
        first = tries * recipes[free[0]].largest if free else 0
        room_s = max(_SLOW_S, spread_ns / SECOND_NS) if is_slow else spread_ns / SECOND_NS
        free = _roomy(recipes, free, tries, first + rate * room_s)
        seats = [(n, _shift_ns(recipes[n].phase, phase)) for n in bound for _ in range(tries)]
        at_ns, turn_ns = 0, spread_ns // tries
        if is_slow:
            turn_ns = _uneven_ns(sum(recipes[n].requests for n in free) / rate, turn_ns, 2 * tries)
        for turn in range(tries):
            at_ns = max(at_ns, turn * turn_ns)
            for number in free:
                seats.append((number, at_ns))
                at_ns += round(recipes[number].largest / rate * SECOND_NS)
        span_ns = max(start_ns + recipes[n].span_ns for n, start_ns in seats)
        sent = sum(recipes[n].requests for n, _ in seats) + recipes[0].other_clients
        if is_slow and free:
            sent = sum(recipes[n].requests for n in free)  # those of a turn
        paced_ns = 0 if max_rate is None else round(sent / max_rate * SECOND_NS)
        clients = [recipes[n].client(start_ns) for n, start_ns in seats]
        return cls(
            groups=(*clients, *recipes[0].crowd()),
            owners=tuple(n for n, _ in seats),
            recipes=given,
            phase=phase,
            duration_ns=span_ns + _GRACE_NS + paced_ns,
        )

    @property
    def takes_ns(self) -> int:
        """Time until the run is over, if it begins now."""
        wait_ns = 0 if self.phase is None else self.phase.next_ns() - time.monotonic_ns()
        return wait_ns + self.duration_ns

    def tally(self, reproduced: Sequence[bool]) -> list[Tries | None]:
        """Count for each recipe the clients for which it did what it was to do."""
        counts: dict[int, list[bool]] = {}
        for owner, did in zip(self.owners, reproduced, strict=True):
            counts.setdefault(owner, []).append(did)
        return [
            Tries(sum(counts[number]), len(counts[number])) if number in counts else None
            for number in range(self.recipes)
        ]


def _uneven_ns(least_s: float, part_ns: int, parts: int) -> int:
    """A time of at least so many seconds whose multiples have every phase in a window of so many parts."""
    count = max(1, math.ceil(least_s * SECOND_NS / max(1, part_ns)))
    while math.gcd(count, parts) > 1:
        count += 1
    return count * part_ns


def _roomy(recipes: Sequence[Recipe], numbers: Sequence[int], tries: int, most: float) -> list[int]:
    """Those of some recipes that fit into so many requests, one after the other; the first in any case."""
    chosen: list[int] = []
    together = 0
    for number in numbers:
        largest = tries * recipes[number].largest
        if not chosen or together + largest <= most:
            chosen.append(number)
            together += largest
    return chosen


def _shift_ns(phase: Phase | None, base: Phase | None) -> int:
    """The delay of a client after the beginning of the run."""
    return 0 if phase is None or base is None else (phase.at_ns - base.at_ns) % phase.of_ns
