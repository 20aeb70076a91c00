"""Shrink a recipe: leave out and simplify what can be, as long as it still does what it did.

Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
2002) in rounds: all single edits are tried at once, and those that were accepted are tried
together in the next round, because a round costs the time of a schedule however many
candidates it has. Each round tries the best so far again, so that what is told of it in
the end does not rest on the tries for which it was chosen.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rateproof.hunt.recipe import Recipe
from rateproof.hunt.shrinking.edits import Draft, Edit, bulk, edits, size
from rateproof.hunt.shrinking.reproduction import CONFIRMATIONS, Oracle, Shrunk, Tries

_MOST_ROUNDS = 12
_MOST_CANDIDATES = 40


@dataclass
class _Kept:
    """A recipe that was accepted: tries for which it was chosen, and those since."""

    draft: Draft
    recipe: Recipe
    chosen: Tries
    since: Tries = field(default=Tries(0, 0))

    @property
    def tries(self) -> Tries:
        return self.since if self.since.tries else self.chosen


def shrink(
    starts: Sequence[Recipe],
    oracle: Oracle,
    *,
    window_ns: int,
    book: Sequence[Recipe] = (),
    least: int = 1,
) -> Shrunk:
    """The smallest recipe that can be found to do in most tries what was seen once.

    It has a phase only if it is clearly reproduced more often so.

    Args:
        starts: what may do it; the first is known to have.
        oracle: tries candidates; where it tries none, there is no more time.
        window_ns: instants are rounded to parts of it.
        book: recipes without others or phase that may do it as well.
        least: requests below which it is certain that nothing is reproduced.
    """
    search = _Search(oracle, window_ns, least)
    best = search.begin(starts, book)
    if best.tries.accepted:
        while search.round():
            pass
        best = search.trail[-1]
    free = replace(best.recipe, phase=None)
    if best.tries.reproduced and search.is_open(free, best):
        return Shrunk(free, search.seen[free], search.complete)
    return Shrunk(best.recipe, best.tries, search.complete)


@dataclass
class _Search:
    oracle: Oracle
    window_ns: int
    least: int

    def __post_init__(self) -> None:
        self.trail = list[_Kept]()
        self.complete = False
        self._rounds = _MOST_ROUNDS
        self.seen = defaultdict[Recipe, Tries](lambda: Tries(0, 0))
        self._accepted = list[Edit]()
        self._refused = set[Recipe]()

    def begin(self, starts: Sequence[Recipe], book: Sequence[Recipe]) -> _Kept:
        """The simplest of those reproduced most often; others are left out where that can be."""
        best = seen = _Kept(Draft.of(starts[0]), starts[0], Tries(0, 0))
        without = [replace(start, others=None) for start in starts]
        for some in [without, *([start] for start in starts if start.others is not None)]:
            some.sort(key=lambda start: start.requests)  # those with many may leave others no room
            free = [replace(start, phase=None) for start in some]
            candidates = list(dict.fromkeys([*free, *(() if some[0].others else book), *some]))
            tried, left = self._seated(candidates)
            if left and not any(each.tries.accepted for each in tried):
                tried += self._seated(left)[0]
            best = min(tried, key=self._rank, default=best)
            loose = [each for each in tried if each.recipe.phase is None and each.tries.accepted]
            loose = [each for each in loose if not each.tries.rarer(best.tries)]
            best = min(loose or [best], key=self._rank)
            if best.tries.accepted and (some is not without or self._needs_no_others(best, starts)):
                break
            if best.tries.reproduced == 0:  # what was seen, not one of the book
                best = replace(seen, chosen=self.seen[seen.recipe])
        self.trail = [best]
        return best

    def _seated(self, candidates: Sequence[Recipe]) -> tuple[list[_Kept], list[Recipe]]:
        """Those that were tried, and those for which there was no room."""
        results = list(zip(candidates, self._tried(candidates), strict=True))
        tried = [_Kept(Draft.of(recipe), recipe, each) for recipe, each in results if each]
        return tried, [recipe for recipe, each in results if each is None]

    def _needs_no_others(self, best: _Kept, starts: Sequence[Recipe]) -> bool:
        """Try it without the clients of other candidates, who may have been the others it needs."""
        if all(start.others is None for start in starts):
            return True
        (alone,) = self._tried([best.recipe])
        if alone is None or (alone.reproduced and not alone.rarer(best.chosen)):
            best.chosen += alone or Tries(0, 0)
            return True
        best.chosen = alone
        return False

    def _rank(self, kept: _Kept) -> tuple[object, ...]:
        """Rank by reliability, bulk and length, and last by odd instants, which can be mended."""
        recipe = kept.recipe
        tenths = recipe.span_ns * 10 // self.window_ns
        return (-kept.tries.reproduced, bulk(recipe), tenths, size(recipe, self.window_ns))

    def round(self) -> bool:
        """Try what is left to try and the best again, and take the simplest; False at the end."""
        best = self.trail[-1]
        chosen = self._candidates(best)
        self.complete = not chosen and best.since.tries > 0
        if self.complete or self._rounds == 0:
            return False
        recipes = [recipe for recipe, _ in chosen]
        alike = not chosen or recipes[0].others == best.recipe.others
        results = self._tried([best.recipe] * alike + recipes)
        if results[0] is None:
            return False
        if alike:
            best.since += results[0]
            results = results[1:]
        if len(self.trail) > 1 and self._was_luck(best, self.trail[-2]):
            self._refused.add(self.trail.pop().recipe)  # it was chosen by chance
            self._accepted = []
            return True
        good: list[tuple[Recipe, list[Edit], Tries]] = []
        for (recipe, made), result in zip(chosen, results, strict=True):
            if result is None:
                continue
            if self._fits(recipe, result, best):
                good.append((recipe, made, result))
            elif not self.is_open(recipe, best):
                self._refused.add(recipe)
        good.sort(key=lambda each: size(each[0], self.window_ns))
        self._accepted = [edit for _, made, _ in good for edit in made if len(made) == 1]
        if good:
            recipe, made, result = good[0]
            self.trail.append(_Kept(_applied(best.draft, made), recipe, result))
        return True

    def _was_luck(self, best: _Kept, before: _Kept) -> bool:
        """Tell if it is not what it seemed; of others, there have to be enough for every try."""
        fewer = best.recipe.others != before.recipe.others and before.tries.always
        if fewer and best.since.tries and not best.since.always:
            return True
        return not (best.chosen + best.since).accepted

    def _fits(self, recipe: Recipe, result: Tries, best: _Kept) -> bool:
        """Compare two shapes: certainty is not given up for chance; a phase has to earn its place."""
        if recipe == replace(best.recipe, phase=None):
            return self.seen[recipe].accepted and self.is_open(recipe, best)
        return result.always or (result.accepted and not best.tries.always)

    def is_open(self, recipe: Recipe, best: _Kept) -> bool:
        """Tell if it is the best without its phase, and not yet plain that this makes it rarer."""
        free = best.recipe.phase and recipe == replace(best.recipe, phase=None)
        return bool(free and self.seen[recipe].tries) and not self.seen[recipe].rarer(
            self.seen[best.recipe]
        )

    def _candidates(self, best: _Kept) -> list[tuple[Recipe, list[Edit]]]:
        """Recipes simpler than the best: accepted edits together, then single ones."""
        bound = size(best.recipe, self.window_ns)
        found: dict[Recipe, list[Edit]] = {}
        single = [[edit] for edit in edits(best.draft, self.window_ns)]
        for made in (*self._together(), *single):
            recipe = _applied(best.draft, made).recipe()
            if recipe is None or recipe.requests < self.least:
                continue
            if recipe in self._refused and not self.is_open(recipe, best):
                continue
            if recipe not in found and size(recipe, self.window_ns) < bound:
                found[recipe] = made
        chosen = [each for each in found.items() if each[0].others == next(iter(found)).others]
        stride = -(-len(chosen) // _MOST_CANDIDATES) or 1
        return chosen[::stride]

    def _tried(self, recipes: Sequence[Recipe]) -> Sequence[Tries | None]:
        self._rounds -= 1
        results = self.oracle(recipes, CONFIRMATIONS)
        for recipe, result in zip(recipes, results, strict=True):
            self.seen[recipe] += result or Tries(0, 0)
        return results

    def _together(self) -> list[list[Edit]]:
        """Edits that were accepted each by itself, the simplest first: ever fewer of them."""
        counts, count = list[int](), len(self._accepted)
        while count > 1:
            counts.append(count)
            count //= 2
        return [self._accepted[:count] for count in counts]


def _applied(draft: Draft, made: Sequence[Edit]) -> Draft:
    """The draft after some edits; where two set the same, the first does."""
    for edit in reversed(made):
        draft = edit(draft)
    return draft
