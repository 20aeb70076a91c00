"""A verb: a command, with its options under the headings of its help."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rateproof.options.kinds import Option


@dataclass(frozen=True, slots=True)
class Verb:
    """A command.

    Args:
        name: what is typed.
        summary: what it does.
        groups: its options, under the headings of its help.
        examples: two command lines, without the program's name.
        environment: its options may also stand in the environment.
        config: its options may also stand in the settings file, in a table of its name.
        waits: what is left out may stand in another file, so it has no value yet.
        unfiled: the names of options that stand in no file and in no environment.
    """

    name: str
    summary: str
    groups: Mapping[str, tuple[Option, ...]]
    examples: tuple[str, str]
    environment: bool = False
    config: bool = False
    waits: bool = False
    unfiled: str = ""

    @property
    def options(self) -> tuple[Option, ...]:
        """All of them, in the order of the help."""
        return tuple(option for group in self.groups.values() for option in group)

    def filed(self, option: Option) -> bool:
        """True if an option may stand in the verb's file, and in the environment if it has one."""
        return option.name not in self.unfiled.split()

    def defaults(self) -> dict[str, Any]:
        """Defaults, by the names inside the program."""
        return {
            option.inside: option.value()
            for option in self.options
            if not (self.waits and self.filed(option))
        }
