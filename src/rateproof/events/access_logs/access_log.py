"""A whole access log, as an event log."""

from collections.abc import Iterable
from typing import Final

from rateproof.errors import InvalidArgument
from rateproof.events.access_logs.reading import Reading
from rateproof.events.access_logs.scan import UNDECIDED, File, begin, chunks
from rateproof.events.log import REJECTED_STATUSES, EventLog
from rateproof.events.outcomes import outcomes
from rateproof.output import say

__all__ = ["read_access_log"]

_ALL: Final = 1 << 62


def read_access_log(pieces: Iterable[bytes], name: str, reading: Reading) -> EventLog:
    """Read a whole access log.

    Its metadata has the `assumptions` that its intervals rest on, from when until when it has all
    that was decided (`complete_ns`), and under `access_log` what `check` says of its stamps.

    Args:
        pieces: the bytes of the file, cut anywhere.
        name: of the file, for messages.
        reading: how.

    Raises:
        InvalidArgument: there is no native core, or the format has not what is asked for.
        LogError: it is of no known format, too many lines are not understood, or the clock
            was set back.
    """
    return read_files([(name, pieces)], name, reading)


def read_files(files: Iterable[File], name: str, reading: Reading) -> EventLog:
    """Read the files of one host's log, in their order: see `read_access_log`."""
    scan, files = begin(files, name, reading)
    if all(field.kind != "status" for field, _ in scan.format.fields):
        raise InvalidArgument(
            f"format {scan.format.name!r} has no status", "such as $status or %>s"
        )
    say(scan.introduction)
    [chunk] = chunks(scan, files, _ALL)
    scan.refuse()
    statuses = chunk.status
    return EventLog.from_columns(
        {
            "key": (chunk.keys, chunk.words),
            "sent_ns": chunk.sent_ns,
            "received_ns": chunk.received_ns,
            "status": statuses,
            "outcome": outcomes(statuses, REJECTED_STATUSES, UNDECIDED),
            "sequence": chunk.line,
        },
        len(chunk.keys),
        scan.metadata(),
    )
