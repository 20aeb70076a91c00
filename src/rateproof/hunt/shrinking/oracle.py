"""Who tries recipes for a search, and how often they did what they were tried for."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Protocol

from rateproof.hunt.recipe import Recipe

__all__ = ["CONFIRMATIONS", "LEAST_TRIES", "Oracle", "Tries"]

LEAST_TRIES = 3
"""Fresh clients that try a candidate, at least."""

CONFIRMATIONS = 6
"""Fresh clients that try what is told in the end."""

_BY_CHANCE = 0.1


@dataclass(frozen=True, slots=True)
class Tries:
    """How often a recipe did what it was tried for.

    Args:
        reproduced: in how many tries.
        tries: how many there were.
    """

    reproduced: int
    tries: int

    @property
    def accepted(self) -> bool:
        """Whether it did in most of them."""
        return 2 * self.reproduced > self.tries

    @property
    def always(self) -> bool:
        """Whether it did in all of them."""
        return self.reproduced == self.tries > 0

    def __add__(self, other: "Tries") -> "Tries":
        """Both together."""
        return Tries(self.reproduced + other.reproduced, self.tries + other.tries)

    def rarer(self, other: "Tries") -> bool:
        """Whether it clearly did so less often than another.

        Clearly: were both alike, it would have been so rare in one of ten cases
        at most (Fisher's exact test). 3 of 6 is rarer than 6 of 6, and 4 of 6 is not.
        """
        both, reproduced = self.tries + other.tries, self.reproduced + other.reproduced
        ways = sum(
            comb(self.tries, mine) * comb(other.tries, reproduced - mine)
            for mine in range(self.reproduced + 1)
        )
        return ways <= _BY_CHANCE * comb(both, reproduced)


class Oracle(Protocol):
    """Tries recipes on fresh clients; what counts as reproduced is its own affair."""

    def __call__(self, candidates: Sequence[Recipe], tries: int) -> Sequence[Tries | None]:
        """Try each recipe.

        Args:
            candidates: all with the same others.
            tries: of each, at least.

        Returns:
            One for each candidate; None for one that was not tried, for lack of
            room beside the others or because the run was stopped. The first is
            always tried, but for a stop.
        """
        ...
