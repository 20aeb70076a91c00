"""Logs of other load testers, read as event logs: one file a tool, found by reading this folder.

    recognises(line, name)    whether the tool wrote this first line. LogError: it did, in a
                              form that only the tool itself can read
    events(lines, name, key)  the requests. LogError: a line that the tool does not write

Each says in its docstring how it derives the interval that holds the server's
decision, and on which clock. What they have in common: an interval is never
narrower than what the tool noted allows, so that judging an imported log may be
inconclusive where a log of ours would not be, and finds no over-admission that was
none. Requests that the tool sent and did not log can make a rejection look wrong.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from rateproof.events.imported import DEFAULT_KEY
from rateproof.events.log import EventLog
from rateproof.keyspec import KeySpec
from rateproof.registry import modules_in

__all__ = ["IMPORTERS", "batches", "importer_of"]

_EVENTS_A_BATCH = 4_096

IMPORTERS: dict[str, Any] = modules_in(__name__)
"""The files of this folder by name."""


def importer_of(line: bytes, name: str) -> Any | None:
    """The importer for a log with this first line; None for ours, or where it cannot be told.

    Raises:
        LogError: it is in a form that only the tool itself can read.
    """
    return next((each for each in IMPORTERS.values() if each.recognises(line, name)), None)


def batches(
    importer: Any, lines: Iterable[bytes], name: str, key: KeySpec | None = None
) -> Iterator[tuple[dict[str, Any], EventLog]]:
    """The events of a log some thousands at a time, each with its metadata; at the end none.

    Args:
        importer: as `importer_of` gives it.
        lines: of the file.
        name: of the file, for messages.
        key: where a client's identity lies; None: `DEFAULT_KEY`.

    Raises:
        LogError: a line that the tool does not write.
    """
    tool = importer.__name__.rpartition(".")[2]
    metadata = {
        "imported_from": tool,
        "clock": "CLOCK_REALTIME",
        "assumptions": [f"nobody set the clock of the machine that {tool} ran on"],
    }
    events = importer.events(lines, name, DEFAULT_KEY if key is None else key)
    batch = None
    while batch is None or len(batch):
        batch = EventLog()
        batch.extend(islice(events, _EVENTS_A_BATCH))
        yield metadata, batch
