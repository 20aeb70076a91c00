"""Every single edit that may make a recipe simpler, and the measure of simple."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any, TypeAlias

from rateproof.hunt.recipe import Phase, Recipe
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.units import SECOND_NS

GRIDS = (50, 100, 1_000)
"""Into how many parts a window is divided where instants are rounded, coarse to fine."""

_LONGEST_NS = 5 * SECOND_NS
_EIGHTHS = 8
_MOST_FREE = 3


def grain_ns(window_ns: int, parts: int) -> int:
    """One of so many parts of a window, or of 5 s where it is longer: a grid for instants."""
    return max(1, min(window_ns, _LONGEST_NS) // parts)


@dataclass(frozen=True, slots=True)
class Draft:
    """A recipe under work: its steps keep their places, those left out have no requests."""

    instants: tuple[int, ...]
    counts: tuple[int, ...]
    connections: int
    others: Schedule | None
    phase: Phase | None

    @classmethod
    def of(cls, recipe: Recipe) -> "Draft":
        """The draft whose `recipe` is this one."""
        instants, counts = zip(*recipe.schedule.steps, strict=True)
        return cls(instants, counts, recipe.connections, recipe.others, recipe.phase)

    def kept(self) -> list[int]:
        """The places of the steps that have requests."""
        return [place for place, count in enumerate(self.counts) if count]

    def recipe(self) -> Recipe | None:
        """Return its recipe, from the first request on; None if there is none, or no order."""
        steps = [(self.instants[place], self.counts[place]) for place in self.kept()]
        if not steps or any(b <= a for (a, _), (b, _) in pairwise(steps)):
            return None
        first_ns, last_ns = steps[0][0], steps[-1][0]
        others = _between(self.others, first_ns, last_ns)
        if self.others is not None and others is None:
            return None
        phase = self.phase
        if phase is not None:
            phase = replace(phase, at_ns=(phase.at_ns + first_ns) % phase.of_ns)
        schedule = Schedule(tuple((at_ns - first_ns, count) for at_ns, count in steps))
        return Recipe(schedule, self.connections, others, phase)


def _between(others: Schedule | None, first_ns: int, last_ns: int) -> Schedule | None:
    """Those who come until the last request, none earlier than the first."""
    counts: dict[int, int] = {}
    for at_ns, count in others.steps if others else ():
        after_ns = max(0, at_ns - first_ns)
        if after_ns <= last_ns - first_ns:
            counts[after_ns] = counts.get(after_ns, 0) + count
    return Schedule(tuple(sorted(counts.items()))) if counts else None


Edit: TypeAlias = Callable[[Draft], Draft]
"""One simplification, which can be made of any draft of the same steps."""


def _set(**values: Any) -> Edit:
    return lambda draft: replace(draft, **values)


def _count(place: int, count: int) -> Edit:
    return lambda draft: replace(
        draft, counts=(*draft.counts[:place], count, *draft.counts[place + 1 :])
    )


def _keep(kept: frozenset[int]) -> Edit:
    return lambda draft: replace(
        draft, counts=tuple(n if at in kept else 0 for at, n in enumerate(draft.counts))
    )


def _move(place: int, into: int) -> Edit:
    """The requests of a step, sent with another."""

    def moved(draft: Draft) -> Draft:
        counts = list(draft.counts)
        counts[into] += counts[place]
        counts[place] = 0
        return replace(draft, counts=tuple(counts))

    return moved


def edits(draft: Draft, window_ns: int) -> Iterator[Edit]:
    """Every single edit that may make a draft simpler; instants are rounded to parts of a window."""
    kept = draft.kept()
    yield from _surroundings(draft, draft.instants[kept[0]])
    yield from _selections(kept)
    for place in kept:
        for count in _fewer(draft.counts[place]):
            yield _count(place, count)
    for one, other in pairwise(kept):
        yield _move(one, other)
        yield _move(other, one)
    most = min(draft.connections, max(draft.counts))
    for connections in dict.fromkeys((1, 2, most // 2, most - 1)):
        if 1 <= connections < most:
            yield _set(connections=connections)
    for instants in _rounded(draft, kept, window_ns):
        yield _set(instants=instants)


def _surroundings(draft: Draft, first_ns: int) -> Iterator[Edit]:
    """Half the others; any beginning, or for the first request one nearby on the coarsest grid."""
    others, phase = draft.others, draft.phase
    if others is not None:
        halved = tuple((at_ns, max(1, count // 2)) for at_ns, count in others.steps)
        yield _set(others=Schedule(halved))
    if phase is not None:
        yield _set(phase=None)
        grid_ns = grain_ns(phase.of_ns, GRIDS[0])
        below_ns = (phase.at_ns + first_ns) // grid_ns * grid_ns
        for at_ns in (below_ns, below_ns + grid_ns):
            yield _set(phase=replace(phase, at_ns=(at_ns - first_ns) % phase.of_ns))


def _selections(kept: Sequence[int]) -> Iterator[Edit]:
    """Bisection: halves, quarters and eighths of the steps, without them and alone."""
    parts = 2
    while parts <= min(len(kept) - 1, _EIGHTHS):
        for part in range(parts):
            gone = kept[part * len(kept) // parts : (part + 1) * len(kept) // parts]
            yield _keep(frozenset(kept) - frozenset(gone))
            yield _keep(frozenset(gone))
        parts *= 2


def _fewer(count: int) -> list[int]:
    """Fewer requests: none, one less, and eighths of what there are."""
    return sorted(
        {0, 1, count - 1, *(count * part // _EIGHTHS for part in range(_EIGHTHS))} - {count}
    )


def _rounded(draft: Draft, kept: Sequence[int], window_ns: int) -> Iterator[tuple[int, ...]]:
    """The instants on ever finer grids: all rounded up, all down, and each its way while few.

    Two requests exactly a window apart are left out: latency would decide about them.
    """
    first_ns = draft.instants[kept[0]]
    free = kept[1:]
    few = len(free) <= _MOST_FREE
    for grid_ns in (grain_ns(window_ns, parts) for parts in GRIDS):
        for way in (
            product((1, 0), repeat=len(free)) if few else ((up,) * len(free) for up in (1, 0))
        ):
            instants = list(draft.instants)
            for place, up in zip(free, way, strict=True):
                after_ns = draft.instants[place] - first_ns
                instants[place] = first_ns + (after_ns // grid_ns + up) * grid_ns
            chosen = [instants[place] for place in kept]
            apart = {b - a for i, a in enumerate(chosen) for b in chosen[i + 1 :]}
            if all(ns % window_ns for ns in apart):
                yield tuple(instants)


def bulk(recipe: Recipe) -> tuple[int, ...]:
    """Other clients, an aligned beginning, requests, steps, and connections: less is simpler."""
    return (
        recipe.other_clients,
        recipe.phase is not None,
        recipe.requests,
        len(recipe.schedule.steps),
        recipe.connections,
    )


def size(recipe: Recipe, window_ns: int) -> tuple[object, ...]:
    """Its bulk; then how odd the instants are, and requests of the last steps."""
    steps = recipe.schedule.steps
    instants = [at_ns for at_ns, _ in steps]
    if recipe.phase is not None:
        instants.append(recipe.phase.at_ns)
    grids_ns = [grain_ns(window_ns, parts) for parts in GRIDS]
    oddness = sum(at_ns % grid_ns != 0 for at_ns in instants for grid_ns in grids_ns)
    return (*bulk(recipe), oddness, [requests for _, requests in steps[::-1]])
