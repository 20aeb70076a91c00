"""Recipes on a bench: how fresh clients that try them share one run, and what each of them saw."""

from collections.abc import Sequence
from dataclasses import dataclass

from rateproof.hunt.recipe import Phase, Recipe
from rateproof.hunt.shrinking.reproduction import Tries
from rateproof.simulate.scenario import Group
from rateproof.units import SECOND_NS

__all__ = ["Bench"]

_RATE_PER_S = 500.0
_MOST_TOGETHER = 64
_LEAST_SENDING_NS = 10 * SECOND_NS
_GRACE_NS = SECOND_NS


@dataclass(frozen=True, slots=True)
class Bench:
    """Clients side by side in one run.

    Args:
        groups: one client each, and the others of the first recipe behind them.
        owners: for each client, the number of the recipe that it follows.
        recipes: how many there were, with or without a seat.
        phase: where the run begins in windows from the epoch; None: anywhere.
        span_ns: when the last request of a client is sent.
        duration_ns: how long the run may last.
    """

    groups: tuple[Group, ...]
    owners: tuple[int, ...]
    recipes: int
    phase: Phase | None
    span_ns: int
    duration_ns: int

    @classmethod
    def of(
        cls,
        recipes: Sequence[Recipe],
        tries: int,
        *,
        spread_ns: int = 0,
        max_rate: float | None = None,
    ) -> "Bench":
        """Seat as many recipes as there is room for; the first always has some.

        Clients that may begin at any time do so one after the other, so that a
        server that answers 500 requests a second is not behind, and those beside
        the first take 10 s at most, or as long as a schedule. Those that are bound
        to a phase or to others begin together, 64 requests at most.

        Args:
            recipes: all with the same others.
            tries: clients of each.
            spread_ns: those of one recipe begin at least as far apart as parts
                of this.
            max_rate: requests a second at most.
        """
        rate = _RATE_PER_S if max_rate is None else min(_RATE_PER_S, max_rate)
        others = recipes[0].others
        phase = next((recipe.phase for recipe in recipes if recipe.phase), None)
        bound = [n for n, recipe in enumerate(recipes) if recipe.phase or others]
        bound = _roomy(recipes, bound, tries, _MOST_TOGETHER)
        free = [n for n, recipe in enumerate(recipes) if not (recipe.phase or others)]
        longest_ns = max(spread_ns, *(recipe.span_ns for recipe in recipes), _LEAST_SENDING_NS)
        first = tries * recipes[free[0]].largest if free else 0
        free = _roomy(recipes, free, tries, first + rate * longest_ns / SECOND_NS)
        seats = [(n, _shift_ns(recipes[n].phase, phase)) for n in bound for _ in range(tries)]
        at_ns = 0
        for turn in range(tries):
            at_ns = max(at_ns, turn * spread_ns // tries)
            for number in free:
                seats.append((number, at_ns))
                at_ns += round(recipes[number].largest / rate * SECOND_NS)
        crowd = recipes[0].crowd()
        span_ns = max(start_ns + recipes[n].span_ns for n, start_ns in seats)
        sent = sum(recipes[n].requests for n, _ in seats) + recipes[0].other_clients
        paced_ns = 0 if max_rate is None else round(sent / max_rate * SECOND_NS)
        return cls(
            groups=(*(recipes[n].client(start_ns) for n, start_ns in seats), *crowd),
            owners=tuple(n for n, _ in seats),
            recipes=len(recipes),
            phase=phase,
            span_ns=span_ns,
            duration_ns=span_ns + _GRACE_NS + paced_ns,
        )

    def tally(self, reproduced: Sequence[bool]) -> list[Tries | None]:
        """Count for each recipe the clients for which it did what it was to do."""
        counts: dict[int, list[bool]] = {}
        for owner, did in zip(self.owners, reproduced, strict=True):
            counts.setdefault(owner, []).append(did)
        return [
            Tries(sum(counts[number]), len(counts[number])) if number in counts else None
            for number in range(self.recipes)
        ]


def _roomy(recipes: Sequence[Recipe], numbers: Sequence[int], tries: int, most: float) -> list[int]:
    """As many of some recipes as have so many requests at most, and the first in any case."""
    chosen: list[int] = []
    together = 0
    for number in numbers:
        together += tries * recipes[number].largest
        if chosen and together > most:
            break
        chosen.append(number)
    return chosen


def _shift_ns(phase: Phase | None, base: Phase | None) -> int:
    """The delay of a client after the beginning of the run."""
    return 0 if phase is None or base is None else (phase.at_ns - base.at_ns) % phase.of_ns
