"""The heading of every report: what was tested, when, and with what."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rateproof import __version__
from rateproof.core import active_core
from rateproof.hunt.commands import command_line, started

_INDENT = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The facts that every report begins with.

    Args:
        verb: the command, `test` or `check`.
        target: the URL that was tested, or the log that was judged.
        policy: the policy's text.
        key: where each client's identity was put; None where it is not known.
        seed: of every draw; None where nothing was drawn.
        endpoint: its name in the settings file, if it has one.
        own: a server of our own was started there.
        settings: what else it was told, by name as it is shown.
        command: how it was started.
        core: `native` or `python`.
        started: when, in UTC.
    """

    verb: str
    target: str
    policy: str
    key: str | None = None
    seed: int | None = None
    endpoint: str | None = None
    own: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    command: str = field(default_factory=lambda: command_line([*started(), *sys.argv[1:]]))
    core: str = field(default_factory=active_core)
    started: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")

    def __str__(self) -> str:
        """The heading of the plain summary."""
        whose = " (our own server: nothing listened there)" if self.own else ""
        name = [f"{_INDENT}endpoint {self.endpoint}"] if self.endpoint else []
        return "\n".join(
            [
                f"rateproof {__version__} {self.verb}, {self.core} core, {self.started}",
                *name,
                f"{_INDENT}target  {self.target}{whose}",
                f"{_INDENT}policy  {self.policy}, per {self.key}",
                f"{_INDENT}seed    {self.seed}",
                f"{_INDENT}command {self.command}",
            ]
        )
