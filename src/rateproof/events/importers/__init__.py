"""Logs of other load testers, read as event logs: one file a tool, found by reading this folder.

    recognises(line, name)    whether the tool wrote this first line. LogError: it did, in a
                              form that only the tool itself can read
    read(lines, name, key)    the log. LogError: a line that the tool does not write

Each says in its docstring how it derives the interval that holds the server's
decision, and on which clock. What they have in common: an interval is never
narrower than what the tool noted allows, so that judging an imported log may be
inconclusive where a log of ours would not be, and finds no over-admission that was
none. Requests that the tool sent and did not log can make a rejection look wrong.
"""

from typing import Any

from rateproof.registry import modules_in

__all__ = ["IMPORTERS", "importer_of"]

IMPORTERS: dict[str, Any] = modules_in(__name__)
"""The files of this folder by name."""


def importer_of(line: bytes, name: str) -> Any | None:
    """The importer for a log with this first line; None for ours, or where it cannot be told.

    Raises:
        LogError: it is in a form that only the tool itself can read.
    """
    return next((each for each in IMPORTERS.values() if each.recognises(line, name)), None)
