"""What a hunt hands to people: the shortest schedule, how often it worked, the command for it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rateproof.hunt.recipe import Recipe
from rateproof.hunt.shrink.shrink import Tries

__all__ = ["Reproduction"]


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A schedule and what came of it.

    Args:
        kind: what it shows: a claim that is violated, or `crash`.
        recipe: what a client sends.
        tries: how many fresh clients sent it, and for how many of them it happened.
        complete: whether it is known that nothing simpler does the same; None where
            nothing simpler was looked for.
        command: the words that make a shell repeat it.
    """

    kind: str
    recipe: Recipe
    tries: Tries
    complete: bool | None
    command: Sequence[str]

    @property
    def repeat(self) -> str:
        """The command, quoted for a shell."""
        return shlex.join(self.command)

    def describe(self) -> str:
        """It as text, three lines."""
        return "\n".join(
            [
                f"schedule  {self.recipe}",
                f"          {self.how_often()}",
                f"repeat    {self.repeat}",
            ]
        )

    def how_often(self) -> str:
        """How reliably it works, in words."""
        reproduced, tries = self.tries.reproduced, self.tries.tries
        often = f"{self.kind} with {reproduced} of {tries} fresh clients"
        if self.complete is None:
            return often
        if not self.tries.accepted:
            return f"{often}: it does not reliably happen again"
        return often if self.complete else f"{often}; the smallest found in the time there was"

    def to_json(self) -> dict[str, Any]:
        """Plain data, for `--json`."""
        return {
            "kind": self.kind,
            "schedule": str(self.recipe.schedule),
            "connections": self.recipe.connections,
            "others": None if self.recipe.others is None else str(self.recipe.others),
            "phase": None if self.recipe.phase is None else str(self.recipe.phase),
            "reproduced": self.tries.reproduced,
            "tries": self.tries.tries,
            "complete": self.complete,
            "repeat": self.repeat,
        }
