"""The format of a log, which its first lines show, and the words in which that is said."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rateproof.errors import InvalidArgument, LogError
from rateproof.events.access_logs.formats import recognised, w3c
from rateproof.events.access_logs.pattern import EITHER, Format
from rateproof.events.access_logs.reading import Reading, scanned
from rateproof.events.imported import object_or_empty
from rateproof.events.importers import importer_of
from rateproof.events.log import REQUIRED
from rateproof.output import printable


def format_of(begun: Sequence[bytes], name: str) -> Format:
    """The first format that understands the first line that any of them understands.

    Raises:
        LogError: none does.
    """
    fields = next((line for line in begun if line.startswith(b"#Fields:")), None)
    if fields is not None:
        try:
            return w3c(fields.partition(b":")[2].decode("latin-1"))
        except InvalidArgument as error:
            raise LogError(f"{name}: {error.message}", error.hint) from error
    for line in begun:
        found = of_a_known_format(line)
        if found is not None:
            return found
    first = next((line for line in begun if not line.isspace()), b"")
    row = object_or_empty(first).keys()
    if "rateproof_log" in row or row >= {*REQUIRED} or importer_of(first, name) is not None:
        problem = f"{name} is no access log, but one of what clients saw"
        raise LogError(problem, "`rateproof check` judges such a log, by itself")
    raise LogError(
        f"{name} is of no known format: {shown(first)}",
        "--format names one, or gives the server's own: '$remote_addr ...' or '%h ...', or "
        "json:ip=PATH,time=PATH,status=PATH",
    )


def of_a_known_format(line: bytes) -> Format | None:
    """The first format of which this is a line; None if it is of none."""
    if line.isspace():
        return None
    return next((one for one in recognised() if _is_of(one, line)), None)


def _is_of(format_: Format, line: bytes) -> bool:
    """True if this is a line of the format; an object says whose request it was, too."""
    at = format_.place("ip", "ip:port")
    found = _row(format_, line, Reading(), [] if at is None else [[at]])
    return found is not None and (not format_.paths or found["groups"][0][1] != [b""])


def first_stamp_ns(format_: Format, begun: Sequence[bytes]) -> int | None:
    """The stamp of the first line that is understood; None if none is."""
    for line in begun:
        found = _row(format_, line, Reading(), [])
        if found is not None:
            stamp: int = found["done_ns"]
            return stamp
    return None


def introduction(format_: Format, begun: Sequence[bytes], reading: Reading) -> str:
    """The format, and the first record as it is understood."""
    everything = [[at] for at in range(len(format_.fields))]
    told = f"format: {format_.name}, stamps of the {format_.stamp} of a request"
    if format_.stamp == EITHER and reading.format is None:
        told += " (--format nginx or apache says which)" if format_.name == "combined" else ""
    for line in begun:
        found = _row(format_, line, reading, everything)
        if found is None:
            continue
        values = {
            field.name: words[0].decode("utf-8", "replace")
            for (field, _), (_, words) in zip(format_.fields, found["groups"], strict=True)
        }
        known = ("ip", "ip:port", "method", "path", "request", "status", "duration")
        record = [f"{one} {values[one]}" for one in known if values.get(one, "-") not in {"-", ""}]
        between = " to ".join(map(_utc, (found["sent_ns"], found["received_ns"])))
        unit = "; hint: are its stamps in another unit?" if between.startswith("1970-") else ""
        return printable(f"{told}; first: {', '.join(record)}, decided {between}{unit}")
    return printable(told)


def shown(line: bytes) -> str:
    """A line for a message: quoted, and not long."""
    text = printable(line.decode("utf-8", "replace").rstrip("\r\n"))
    return repr(text if len(text) <= 160 else f"{text[:160]}...")


def _row(
    format_: Format, line: bytes, reading: Reading, groups: Sequence[Sequence[int]]
) -> dict[str, Any] | None:
    """Fields of a line; None if it is not understood."""
    found = scanned(format_, [line], reading, groups)
    return found if found["sent_ns"] else None


def _utc(ns: bytes) -> str:
    seconds, nanoseconds = divmod(memoryview(ns).cast("q")[0], 1_000_000_000)
    instant = datetime.fromtimestamp(seconds, UTC)
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{nanoseconds // 1_000_000:03}Z"
