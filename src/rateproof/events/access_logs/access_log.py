"""A whole access log, as an event log."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rateproof.errors import InvalidArgument
from rateproof.events.access_logs.feeding import File, begin, chunks
from rateproof.events.access_logs.reading import Reading
from rateproof.events.access_logs.rotation import found, hosts, in_order, pieces_of
from rateproof.events.access_logs.scan import UNDECIDED, Chunk, Scan
from rateproof.events.log import REJECTED_STATUSES, EventLog
from rateproof.events.outcomes import outcomes
from rateproof.output import printable, say


def read_access_log(pieces: Iterable[bytes], name: str, reading: Reading) -> EventLog:
    """Read a whole access log.

    Its metadata has the `assumptions` that its intervals rest on, from when until when it has all
    that was decided (`complete_ns`), and under `access_log` what `check` says of its stamps.

    Raises:
        InvalidArgument: there is no native core, or the format has not what is asked for.
        LogError: it is of no known format, too many lines are not understood, or the clock
            was set back.
    """
    return _read([(name, pieces)], name, reading)


def read_access_logs(names: Sequence[str], reading: Reading) -> EventLog:
    """Read a log of several files: names, or patterns such as `access.log*`.

    They are one after the other. With `reading.skew_ns` those with another name, or in another
    folder, are of another host, and stand beside one another.

    Raises:
        InvalidArgument: no file fits a name; as for `read_access_log`.
        LogError: as for `read_access_log`.
    """
    logs = [_read(files, name, reading) for files, name in hosts_of(names, reading)]
    return logs[0] if len(logs) == 1 else beside(logs)


def hosts_of(names: Sequence[str], reading: Reading) -> Iterator[tuple[Iterator[File], str]]:
    """The files of each host, in their order, and the name of its log: see `read_access_logs`."""
    for ordered in ordered_hosts(names, reading):
        yield pieces_of(ordered), name_of(ordered)


def ordered_hosts(names: Sequence[str], reading: Reading) -> Iterator[list[str]]:
    """The names of the files of each host, in their order."""
    paths = found(names)
    for files in [paths] if reading.skew_ns is None else hosts(paths):
        ordered = in_order(files, reading)
        if len(ordered) > 1:
            say(f"{len(ordered)} files in this order: {printable(', '.join(ordered))}")
        yield ordered


def name_of(ordered: Sequence[str]) -> str:
    """The name of a log of these files, for messages."""
    name = ordered[0] if len(ordered) == 1 else f"{ordered[0]} ... {ordered[-1]}"
    return "standard input" if name == "-" else printable(name)


def beside(logs: Sequence[EventLog]) -> EventLog:
    """One log of those of several hosts."""
    joined = EventLog(dict(together([log.metadata for log in logs])))
    for log in logs:
        joined.extend(log)
    return joined.with_column("sequence", array("q", range(1, len(joined) + 1)))


def together(metadata: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The metadata of several hosts' logs together: complete where all of them are."""
    first, *others = metadata
    if not others:
        return first
    complete = [one["complete_ns"] for one in metadata]
    assumptions = dict.fromkeys(each for one in metadata for each in one["assumptions"])
    return {
        **first,
        "assumptions": list(assumptions),
        "complete_ns": [max(since for since, _ in complete), min(until for _, until in complete)],
        "access_log": max((one["access_log"] for one in metadata), key=lambda of: of["width_ns"]),
    }


def begun(files: Iterable[File], name: str, reading: Reading) -> tuple[Scan, Iterator[File]]:
    """Begin to read a log that is to be judged: see `begin`; it has to have statuses."""
    scan, files = begin(files, name, reading)
    if all(field.kind != "status" for field, _ in scan.format.fields):
        raise InvalidArgument(
            f"format {scan.format.name!r} has no status", "such as $status or %>s"
        )
    say(scan.introduction)
    return scan, files


def _read(files: Iterable[File], name: str, reading: Reading) -> EventLog:
    scan, files = begun(files, name, reading)
    [chunk] = chunks(scan, files)
    scan.refuse()
    return event_log(chunk, scan.metadata())


def event_log(chunk: Chunk, metadata: Mapping[str, Any]) -> EventLog:
    """The requests of a chunk as an event log."""
    return EventLog.from_columns(
        {
            "key": (chunk.keys, chunk.words),
            "sent_ns": chunk.sent_ns,
            "received_ns": chunk.received_ns,
            "status": chunk.status,
            "outcome": outcomes(chunk.status, REJECTED_STATUSES, UNDECIDED),
            "sequence": chunk.line,
        },
        len(chunk.keys),
        metadata,
    )
