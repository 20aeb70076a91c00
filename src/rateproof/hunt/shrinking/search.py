"""Shrink a recipe: leave out and simplify what can be, as long as it still does what it did.

Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating
Failure-Inducing Input", 2002) in rounds: all single edits are tried at once,
and those that were accepted are tried together in the next round, because a
round costs the time of a schedule however many candidates it has. Beside the start,
short schedules that are known to show much are tried: what saturating clients
did has hundreds of requests, which take long to leave out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from rateproof.hunt.recipe import Recipe
from rateproof.hunt.shrinking.edits import Draft, Edit, bulk, edits, size
from rateproof.hunt.shrinking.reproduction import CONFIRMATIONS, LEAST_TRIES, Oracle, Tries

__all__ = ["Shrunk", "shrink"]

_MOST_ROUNDS = 12
_MOST_CANDIDATES = 40


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The result of a search.

    Args:
        recipe: the smallest that was found.
        tries: how often it reproduced.
        complete: whether nothing simpler was left to try; if not, there was no more time.
    """

    recipe: Recipe
    tries: Tries
    complete: bool


def shrink(
    start: Recipe,
    oracle: Oracle,
    *,
    window_ns: int,
    book: Sequence[Recipe] = (),
    least: int = 1,
    hint: frozenset[int] = frozenset(),
    go_on: Callable[[], bool] = lambda: True,
) -> Shrunk:
    """The smallest recipe that can be found to do in most tries what `start` did once.

    It has a phase only if it is clearly reproduced more often so.

    Args:
        start: what is known to have done it.
        oracle: tries candidates.
        window_ns: instants are rounded to parts of it.
        book: recipes without others or phase that may do it as well.
        least: requests below which it is certain that nothing is reproduced.
        hint: places of the steps of `start` that probably suffice.
        go_on: asked before each round; False ends it with the smallest so far,
            once that is confirmed.
    """
    search = _Search(oracle, window_ns, least, hint, go_on)
    search.begin(start, book)
    search.reduce()
    while not search.confirmed():
        search.reduce()
    return search.result()


class _Accepted(NamedTuple):
    draft: Draft
    recipe: Recipe
    tries: Tries


@dataclass
class _Search:
    oracle: Oracle
    window_ns: int
    least: int
    hint: frozenset[int]
    go_on: Callable[[], bool]

    def __post_init__(self) -> None:
        self._rounds = _MOST_ROUNDS
        self._trail = list[_Accepted]()
        self._accepted = list[Edit]()
        self._refused = set[Recipe]()
        self._given_up = set[Recipe]()
        self._complete = False

    def begin(self, start: Recipe, book: Sequence[Recipe]) -> None:
        """Choose what is reduced: the start, without what it needs not, or one of the book."""
        self._first = _Accepted(Draft.of(start), start, Tries(0, 0))
        for seen in dict.fromkeys((replace(start, others=None), start)):
            starts = [replace(seen, phase=None), seen]
            tried = self._tried([*starts, *(() if seen.others else book)])
            best = self._surest(tried)
            if best is None or best.tries.reproduced == 0:
                best = next((each for each in tried if each.recipe == start), self._first)
            self._first = best
            if best.tries.accepted:
                self._trail = [best]
                if best.recipe not in starts:
                    self.hint = frozenset()
                return

    def reduce(self) -> None:
        """Round after round, until nothing is accepted any more."""
        while self._trail and not self._complete and self._rounds > 0 and self.go_on():
            self._round(self._trail[-1].draft)

    def confirmed(self) -> bool:
        """Try the last that was accepted many times, and tell if it holds and needs its phase.

        If not, it is given up.
        """
        if len(self._trail) <= 1 or (self._given_up and not self.go_on()):
            return True
        last = self._trail[-1]
        tried = self._tried([last.recipe, replace(last.recipe, phase=None)])
        best = self._surest(tried)
        if best is None:
            return True
        self._trail.pop()
        if best.tries.accepted:
            draft = replace(last.draft, phase=best.recipe.phase)
            self._trail.append(best._replace(draft=draft))
            if best.recipe == last.recipe:
                return True
            self._refused = set()
        self._given_up.add(last.recipe)
        self._complete = False
        return False

    def result(self) -> Shrunk:
        """The last that was accepted, or how the start fared."""
        last = self._trail[-1] if self._trail else self._first
        return Shrunk(last.recipe, last.tries, self._complete)

    def _round(self, draft: Draft) -> None:
        """Try what is left to try, and take the simplest of what is accepted."""
        chosen = self._candidates(draft)
        if not chosen:
            self._complete = True
            return
        results = self._try([recipe for recipe, _ in chosen], LEAST_TRIES)
        sure = self._trail[-1].tries.always  # what always happens is not given for what may
        good: list[tuple[Recipe, list[Edit], Tries]] = []
        for (recipe, made), result in zip(chosen, results, strict=True):
            if result is not None and (result.always or (result.accepted and not sure)):
                good.append((recipe, made, result))
            elif result is not None:
                self._refused.add(recipe)
        self._accepted = []
        if not good:
            return
        good.sort(key=lambda each: size(each[0], self.window_ns))
        recipe, made, result = good[0]
        for edit in made:
            draft = edit.apply(draft)
        self._trail.append(_Accepted(draft, recipe, result))
        parts = {edit.part for edit in made}
        rest = (edit for _, others, _ in good[1:] for edit in others)
        self._accepted = [edit for edit in rest if edit.part not in parts]

    def _candidates(self, draft: Draft) -> list[tuple[Recipe, list[Edit]]]:
        """Recipes simpler than the draft: accepted edits together, then single ones."""
        now = draft.recipe()
        bound = size(now, self.window_ns) if now else (0,)
        found: dict[Recipe, list[Edit]] = {}
        for made in (
            *self._together(),
            *([edit] for edit in edits(draft, self.window_ns, self.hint)),
        ):
            edited = draft
            for edit in made:
                edited = edit.apply(edited)
            recipe = edited.recipe()
            if recipe is None or recipe.requests < self.least:
                continue
            if recipe in found or recipe in self._refused | self._given_up:
                continue
            if size(recipe, self.window_ns) < bound:
                found[recipe] = made
        chosen = list(found.items())
        alike = [each for each in chosen if each[0].others == chosen[0][0].others]
        stride = -(-len(alike) // _MOST_CANDIDATES) if alike else 1
        return alike[::stride]

    def _together(self) -> list[list[Edit]]:
        """Edits that were accepted each by itself, the first of each part: ever fewer of them."""
        parts: dict[tuple[str, int], Edit] = {}
        for edit in self._accepted:
            parts.setdefault(edit.part, edit)
        chosen = list(parts.values())
        return [chosen[:count] for count in range(len(chosen), 1, -1)]

    def _tried(self, recipes: Sequence[Recipe]) -> list[_Accepted]:
        """Try recipes often enough to compare them."""
        recipes = list(dict.fromkeys(recipes))
        results = zip(recipes, self._try(recipes, CONFIRMATIONS), strict=True)
        return [_Accepted(Draft.of(recipe), recipe, each) for recipe, each in results if each]

    def _surest(self, tried: Sequence[_Accepted]) -> _Accepted | None:
        """The simplest of those that are reproduced most often; a phase has to earn its place.

        Where it is not plain that it does, both are tried again.
        """
        ranked = sorted(tried, key=self._rank)
        best = next(iter(ranked), None)
        free = next((each for each in ranked if each.recipe.phase is None), None)
        if best and free and best is not free and not free.tries.rarer(best.tries):
            again = self._try([best.recipe, free.recipe], CONFIRMATIONS)
            best, free = (
                each._replace(tries=each.tries + more if more else each.tries)
                for each, more in zip((best, free), again, strict=True)
            )
            if not free.tries.rarer(best.tries):
                return free
        return best

    def _rank(self, tried: _Accepted) -> tuple[object, ...]:
        """Rank by reliability, bulk and length, and last by odd instants, which can be mended."""
        recipe, window_ns = tried.recipe, self.window_ns
        tenths = recipe.span_ns * 10 // window_ns
        return (-tried.tries.reproduced, bulk(recipe), tenths, size(recipe, window_ns))

    def _try(self, recipes: Sequence[Recipe], tries: int) -> Sequence[Tries | None]:
        self._rounds -= 1
        return self.oracle(recipes, tries)
