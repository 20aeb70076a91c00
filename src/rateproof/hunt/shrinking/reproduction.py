"""The shortest schedule that was found, how often it worked, and the command that repeats it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Any, Final, NamedTuple, Self, TypeAlias

from rateproof.hunt.commands import command_line, repeat_command
from rateproof.hunt.recipe import Recipe
from rateproof.hunt.settings import TestSettings

CRASH: Final = "crash"
"""The kind of a schedule of which the server dies."""

NO_VIOLATION: Final = "no violation"
"""The kind of a schedule that was run and showed nothing."""

CONFIRMATIONS = 6
"""Fresh clients that try a recipe."""

_MOST_STEPS = 12

_BY_CHANCE = 0.005


@dataclass(frozen=True, slots=True)
class Tries:
    """A count of the tries in which a recipe did what it was tried for."""

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
        return Tries(self.reproduced + other.reproduced, self.tries + other.tries)

    def rarer(self, other: "Tries") -> bool:
        """Tell if it clearly did so less often than another.

        Clearly: were both alike, it would have been so rare in one of 200 cases at most
        (Fisher's exact test). 0 of 6 is rarer than 6 of 6, and 1 of 6 is not.
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


class Shrunk(NamedTuple):
    """The smallest recipe that was found.

    Args:
        recipe: what a client sends.
        tries: how often it reproduced.
        complete: whether nothing simpler was left to try; if not, there was no more time.
    """

    recipe: Recipe
    tries: Tries
    complete: bool


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A schedule and what came of it.

    Args:
        kind: what it shows: a claim that is violated, `crash`, or `NO_VIOLATION`.
        recipe: what a client sends; None where no short one is known to show it.
        tries: how many fresh clients sent all of it, and for how many of them it happened.
        complete: whether it is known that nothing simpler does the same; None where
            nothing simpler was looked for.
        command: the words that make a shell repeat it.
        why: the reason why there is no recipe.
    """

    kind: str
    recipe: Recipe | None
    tries: Tries
    complete: bool | None
    command: Sequence[str]
    why: str = ""

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
        why: str = "",
    ) -> Self:
        """It with its command; as it stands: what was seen, and not tried again."""
        command = repeat_command(settings, recipe, iterations=iterations)
        return cls(kind, recipe, tries, complete, command, why)

    @classmethod
    def shrunk(
        cls, settings: TestSettings, kind: str, found: Shrunk, number: int, *, harmed: bool = False
    ) -> Self:
        """The end of a search; the iteration as a whole where that is no short schedule.

        Args:
            settings: what is tested.
            kind: what was looked for.
            found: the result.
            number: of the iteration.
            harmed: whether something was done to the server meanwhile.
        """
        recipe, tries = found.recipe, found.tries
        steps, fresh = len(recipe.schedule.steps), f"{tries.tries} fresh clients"
        if harmed and not tries.accepted:
            why = f"{tries.reproduced} of {fresh} without the nemesis"
        elif tries.tries and not tries.reproduced:
            why = f"not again with any of {fresh}: it took other clients, load or chance"
        elif steps > _MOST_STEPS:
            why = f"no short schedule of it is known: the shortest found has {steps} steps"
        else:
            if not tries.tries and recipe.phase and recipe.phase.of_ns > settings.shrink_time_ns:
                recipe = replace(recipe, phase=None)  # nobody knows if it matters, and it is far
            return cls.of(settings, kind, recipe, tries, complete=found.complete)
        return cls.of(settings, kind, None, tries, complete=None, iterations=number, why=why)

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
        """Say how reliably it works, or why there is no schedule."""
        reproduced, tries = self.tries.reproduced, self.tries.tries
        if self.recipe is None:
            return f"{self.kind}: {self.why or 'no shorter schedule was looked for'}"
        if not tries and self.complete is None:
            return f"{self.kind}: cut short, no client had sent all of it"
        if not tries:
            return f"{self.kind}, as it was seen; there was no time to try it again"
        some = "any" if self.kind == NO_VIOLATION else reproduced
        often = f"{self.kind} with {some} of {tries} fresh clients"
        if self.complete is None:
            return often
        if not self.tries.accepted:
            return f"{often}: it does not reliably happen again"
        return often if self.complete else f"{often}; the smallest found in the time there was"

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
            "why": self.why,
        }
