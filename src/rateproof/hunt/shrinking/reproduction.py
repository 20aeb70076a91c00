"""The shortest schedule that was found, how often it worked, and the command that repeats it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any, Final, Self, TypeAlias

from rateproof.hunt.commands import command_line, repeat_command
from rateproof.hunt.recipe import Recipe
from rateproof.hunt.settings import TestSettings

__all__ = [
    "CONFIRMATIONS",
    "CRASH",
    "LEAST_TRIES",
    "NO_VIOLATION",
    "Oracle",
    "Reproduction",
    "Tries",
]

CRASH: Final = "crash"
"""The kind of a schedule of which the server dies."""

NO_VIOLATION: Final = "no violation"
"""The kind of a schedule that was run and showed nothing."""

LEAST_TRIES = 3
"""Fresh clients that try a candidate, at least."""

CONFIRMATIONS = 6
"""Fresh clients that try what is told in the end."""

_BY_CHANCE = 0.1


@dataclass(frozen=True, slots=True)
class Tries:
    """A count of the tries in which a recipe did what it was tried for.

    Args:
        reproduced: in how many tries.
        tries: how many there were.
    """

    reproduced: int
    tries: int

    @property
    def accepted(self) -> bool:
        """True if it did in most of them."""
        return 2 * self.reproduced > self.tries

    @property
    def always(self) -> bool:
        """True if it did in all of them."""
        return self.reproduced == self.tries > 0

    def __add__(self, other: "Tries") -> "Tries":
        """Both together."""
        return Tries(self.reproduced + other.reproduced, self.tries + other.tries)

    def rarer(self, other: "Tries") -> bool:
        """Tell if it clearly did so less often than another.

        Clearly: were both alike, it would have been so rare in one of ten cases
        at most (Fisher's exact test). 3 of 6 is rarer than 6 of 6, and 4 of 6 is not.
        """
        both, reproduced = self.tries + other.tries, self.reproduced + other.reproduced
        ways = sum(
            comb(self.tries, mine) * comb(other.tries, reproduced - mine)
            for mine in range(self.reproduced + 1)
        )
        return ways <= _BY_CHANCE * comb(both, reproduced)


Oracle: TypeAlias = Callable[[Sequence[Recipe], int], Sequence[Tries | None]]
"""Tries recipes, all with the same others, each on so many fresh clients at least.

It gives one for each; None for one that was not tried, for lack of room beside the others or
because the run was stopped. The first is always tried, but for a stop.
"""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A schedule and what came of it.

    Args:
        kind: what it shows: a claim that is violated, `crash`, or `NO_VIOLATION`.
        recipe: what a client sends; None where none is known to show it (without the nemesis).
        tries: how many fresh clients sent all of it, and for how many of them it happened.
        complete: whether it is known that nothing simpler does the same; None where
            nothing simpler was looked for.
        command: the words that make a shell repeat it.
    """

    kind: str
    recipe: Recipe | None
    tries: Tries
    complete: bool | None
    command: Sequence[str]

    @classmethod
    def of(
        cls,
        settings: TestSettings,
        kind: str,
        recipe: Recipe | None,
        tries: Tries = Tries(0, 0),
        *,
        complete: bool | None = False,
        iterations: int | None = None,
    ) -> Self:
        """It with its command; as it stands: what was seen, and not tried again."""
        command = repeat_command(settings, recipe, iterations=iterations)
        return cls(kind, recipe, tries, complete, command)

    @property
    def repeat(self) -> str:
        """The command, quoted for a shell, without secrets."""
        return command_line(self.command)

    def describe(self) -> str:
        """It as text, three lines."""
        return "\n".join(
            [
                f"schedule  {self.what}",
                f"          {self.how_often()}",
                f"repeat    {self.repeat}",
            ]
        )

    @property
    def what(self) -> str:
        """The schedule in words, or what is to be repeated as a whole."""
        return "the iteration as a whole" if self.recipe is None else str(self.recipe)

    def how_often(self) -> str:
        """Say how reliably it works."""
        reproduced, tries = self.tries.reproduced, self.tries.tries
        if not tries:
            return f"{self.kind}{self._untried()}"
        some = "any" if self.kind == NO_VIOLATION else reproduced
        often = f"{self.kind} with {some} of {tries} fresh clients"
        if self.recipe is None:
            return f"{often} without the nemesis"
        if self.complete is None:
            return often
        if not self.tries.accepted:
            return f"{often}: it does not reliably happen again"
        return often if self.complete else f"{often}; the smallest found in the time there was"

    def _untried(self) -> str:
        if self.complete is not None:
            return ", as it was seen; stopped before it was tried again"
        if self.recipe is None:
            return ", as it was seen: no shortest schedule of it is known"
        return ": cut short, no client had sent all of it"

    def to_json(self) -> dict[str, Any]:
        """Plain data, for `--json`."""
        recipe = self.recipe
        others, phase = (None, None) if recipe is None else (recipe.others, recipe.phase)
        return {
            "kind": self.kind,
            "schedule": None if recipe is None else str(recipe.schedule),
            "connections": None if recipe is None else recipe.connections,
            "others": None if others is None else str(others),
            "phase": None if phase is None else str(phase),
            "reproduced": self.tries.reproduced,
            "tries": self.tries.tries,
            "complete": self.complete,
            "repeat": self.repeat,
        }
