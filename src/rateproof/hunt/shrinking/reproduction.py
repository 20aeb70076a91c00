"""What a hunt hands to people: the shortest schedule, how often it worked, the command for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rateproof.hunt.command_line import command_line
from rateproof.hunt.recipe import Recipe
from rateproof.hunt.shrinking.oracle import Tries

__all__ = ["NO_VIOLATION", "Reproduction"]

NO_VIOLATION: Final = "no violation"
"""The kind of a schedule that was run and showed nothing."""


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
        """How reliably it works, in words."""
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
