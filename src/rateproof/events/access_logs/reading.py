"""Bytes in, an `EventLog` out: lines are scanned natively, and what they show is noted."""

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice, pairwise
from typing import Any, Final

from rateproof.core import required_native
from rateproof.errors import InvalidArgument, LogError
from rateproof.events.access_logs.formats import recognised, w3c
from rateproof.events.access_logs.identity import identities
from rateproof.events.access_logs.pattern import EITHER, END, START, Format
from rateproof.events.access_logs.where import Where
from rateproof.events.log import REJECTED_STATUSES, EventLog
from rateproof.events.outcomes import outcomes
from rateproof.keyspec import KeySpec
from rateproof.output import printable, say
from rateproof.units import format_duration

__all__ = ["CLOCK_LAG_NS", "LONGEST_NS", "UNDECIDED", "Reading", "read_access_log"]

LONGEST_NS: Final = 5_000_000_000
"""The longest that a request lasts, where the log does not say it and nobody does."""

CLOCK_LAG_NS: Final = 10_000_000
"""The most by which a server reads its clock late: nginx and others do once a turn of their event loop."""

UNDECIDED: Final = (400, 408, 413, 414, 421, 431, 444, 494, 495, 496, 497, 499)
"""Statuses of requests that may have ended before any limiter saw them: not understood, too large,
not whole, dropped (nginx: 444), or given up by the client (nginx: 494 to 499)."""

_ZONED: Final = ("clf", "iso")
_ZONE: Final = re.compile(r"(?:[Zz]|[+-]\d\d:?\d\d)$")
_JUMP_NS: Final = 29 * 60 * 10**9  # the least by which summer time sets a clock is half an hour
_LINES_AT_ONCE: Final = 4_096
_SPLIT: Final = "split the file there, and judge each part by itself"
_TRIED_ON: Final = 50
_MOST_STRANGE: Final = 100  # one line in so many
_NONE: Final = "--where, --since and --until say which; the first line on stderr shows a request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The way an access log is to be read.

    Args:
        key: where the client's identity lies.
        format: of its lines; None: as the lines show.
        longest_ns: how long a request lasts at most of which the log does not say it.
        address: gives the client's address of an `identity.View`; None: that of its peer.
        header: the field that trusted proxies append to; "" where none is trusted.
        skip_bad: lines that are not understood are left out, however many they are.
        where: which requests the policy counts; None: all.
        since_ns: requests decided before are left out; None: none is.
        until_ns: requests decided then or later are left out; None: none is.
    """

    key: KeySpec = KeySpec.parse("ip")
    format: Format | None = None
    longest_ns: int = LONGEST_NS
    address: Callable[[Any], bytes] | None = None
    header: str = ""
    skip_bad: bool = False
    where: Where | None = None
    since_ns: int | None = None
    until_ns: int | None = None


def read_access_log(lines: Iterable[bytes], name: str, reading: Reading) -> EventLog:
    """Read a whole access log.

    Its metadata has the `assumptions` that its intervals rest on, from when until when it has all
    that was decided (`complete_ns`), and under `access_log` what `check` says of its stamps.

    Args:
        lines: of the file.
        name: of the file, for messages.
        reading: how.

    Raises:
        InvalidArgument: there is no native core, or the format has not what is asked for.
        LogError: it is of no known format, too many lines are not understood, or the clock
            was set back.
    """
    required_native("reading an access log")
    rest = iter(lines)
    begun = list(islice(rest, _TRIED_ON))
    format_ = reading.format or _format_of(begun, name)
    place = identities(reading.key, format_, reading.address, reading.header)
    first = _introduce(format_, begun, reading)
    groups, counts = [place.fields], None
    if reading.where is not None:
        fields, counts = reading.where.place(format_, reading.address, reading.header)
        groups.append(fields)
    found = _scanned(format_, chain(begun, rest), reading, groups)
    _refuse_strange(found, name, format_, skip=reading.skip_bad)
    longest_ns = max(reading.longest_ns, found["longest_ns"])
    _refuse_set_back(found, name, longest_ns)
    statuses = array("q", found["status"])
    metadata = _metadata(found, format_, reading, longest_ns)
    metadata["assumptions"] += _further(statuses, reading)
    stamps = [field.name for field, _ in format_.fields if field.kind in _ZONED]
    if not all(_ZONE.search(first.get(stamp, "Z")) for stamp in stamps):
        metadata["complete_ns"][0] = _after_jumps(found, metadata["complete_ns"][0])
    (codes, words), *others = found["groups"]
    keys, known = _keys(words, place.read)
    rows = len(codes) // 4
    log = EventLog.from_columns(
        {
            "key": (array("i", map(keys.__getitem__, memoryview(codes).cast("i"))), known),
            "sent_ns": found["sent_ns"],
            "received_ns": found["received_ns"],
            "status": statuses,
            "outcome": outcomes(statuses, REJECTED_STATUSES, UNDECIDED),
            "sequence": found["line"],
        },
        rows,
        metadata,
    )
    kept: Sequence[int] = range(rows)
    if counts is not None:
        [(codes, words)] = others
        held = [counts(word.split(b"\n")) for word in words]
        kept = [row for row, code in enumerate(memoryview(codes).cast("i")) if held[code]]
    kept = _within(log, kept, reading)
    if not kept and rows:
        raise LogError(f"{name}: none of its {rows:,} requests is of those asked for", _NONE)
    counted = len(kept)
    if b"" in known:
        nobody, of = known.index(b""), log.codes("key")[0]
        kept = [row for row in kept if of[row] != nobody]
    if counted < rows:
        say(f"{counted:,} of {rows:,} requests are of those asked for")
    if len(kept) < counted:
        left_out = f"{counted - len(kept):,} of {counted:,} requests"
        say(f"hint: {left_out} have no {reading.key}: left out")
    return log if len(kept) == rows else log.take(kept)


def _within(log: EventLog, rows: Sequence[int], reading: Reading) -> Sequence[int]:
    """The rows of requests that may have been decided since and until when it is asked for.

    Those that only may have been stay in, so that whatever was decided in between is there.
    """
    since_ns, until_ns = reading.since_ns, reading.until_ns
    if since_ns is not None:
        received = log.ints("received_ns")
        rows = [row for row in rows if received[row] >= since_ns]
    if until_ns is not None:
        sent = log.ints("sent_ns")
        rows = [row for row in rows if sent[row] < until_ns]
    return rows


def _scanned(
    format_: Format, lines: Iterable[bytes], reading: Reading, groups: Sequence[Sequence[int]]
) -> dict[str, Any]:
    asked = {
        "prefix": format_.prefix.encode(),
        "steps": [(field.kind, field.unit_ns, until.encode()) for field, until in format_.fields],
        "open": format_.open,
        "escaped": format_.escaped,
        "groups": [list(group) for group in groups],
        "before": format_.stamp in {END, EITHER},
        "after": format_.stamp in {START, EITHER},
        "longest_ns": reading.longest_ns,
        "slack_ns": CLOCK_LAG_NS,
    }
    scanner = required_native("reading an access log").AccessScanner(asked)
    for batch in _batches(lines):
        scanner.feed(batch)
    found: dict[str, Any] = scanner.finish()
    return found


def _batches(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Many lines at once; a file whose columns change, as after a restart of IIS, is refused."""
    rest, columns = iter(lines), b""
    while batch := b"".join(islice(rest, _LINES_AT_ONCE)):
        if b"#Fields:" in batch:
            for line in batch.splitlines():
                if not line.startswith(b"#Fields:"):
                    continue
                if columns and line != columns:
                    raise LogError(f"other columns from here on: {_shown(line)}", _SPLIT)
                columns = line
        yield batch


def _format_of(begun: Sequence[bytes], name: str) -> Format:
    """The first format that understands the first line that any of them understands."""
    fields = next((line for line in begun if line.startswith(b"#Fields:")), None)
    if fields is not None:
        try:
            return w3c(fields.partition(b":")[2].decode("latin-1"))
        except InvalidArgument as error:
            raise LogError(f"{name}: {error.message}", error.hint) from error
    for line in begun:
        for format_ in recognised():
            if not line.isspace() and _scanned(format_, [line], Reading(), [])["strange"] == 0:
                return format_
    shown = next((line for line in begun if not line.isspace()), b"")
    raise LogError(
        f"{name} is of no known format: {_shown(shown)}",
        "--format names one, or gives the server's own: '$remote_addr ...' or '%h ...'",
    )


def _shown(line: bytes) -> str:
    text = printable(line.decode("utf-8", "replace").rstrip("\r\n"))
    return repr(text if len(text) <= 160 else f"{text[:160]}...")


def _introduce(format_: Format, begun: Sequence[bytes], reading: Reading) -> dict[str, str]:
    """Say the format, and the first record as it is understood; return its fields."""
    values: dict[str, str] = {}
    everything = [[at] for at in range(len(format_.fields))]
    told = f"format: {format_.name}, stamps of the {format_.stamp} of a request"
    if format_.stamp == EITHER and reading.format is None:
        told += " (--format nginx or apache says which)" if format_.name == "combined" else ""
    for line in begun:
        found = _scanned(format_, [line], reading, everything)
        if not found["sent_ns"]:
            continue
        values = {
            field.name: words[0].decode("utf-8", "replace")
            for (field, _), (_, words) in zip(format_.fields, found["groups"], strict=True)
        }
        shown = ("ip", "ip:port", "method", "path", "request", "status", "duration")
        record = [f"{one} {values[one]}" for one in shown if values.get(one, "-") != "-"]
        between = " to ".join(map(_utc, (found["sent_ns"], found["received_ns"])))
        told += f"; first: {', '.join(record)}, decided {between}"
        break
    say(printable(told))
    return values


def _utc(ns: bytes) -> str:
    seconds, nanoseconds = divmod(memoryview(ns).cast("q")[0], 1_000_000_000)
    instant = datetime.fromtimestamp(seconds, UTC)
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{nanoseconds // 1_000_000:03}Z"


def _refuse_strange(found: dict[str, Any], name: str, format_: Format, *, skip: bool) -> None:
    """Say which lines are not understood; refuse a log that has many."""
    strange, lines = found["strange"], found["lines"]
    if not strange:
        return
    shown = "; ".join(f"line {number}: {_shown(line)}" for number, line in found["shown"])
    told = f"{strange:,} of {lines:,} lines are not of the format {format_.name}: {shown}"
    if not skip and strange * _MOST_STRANGE > lines:
        hint = "two formats in one file? --format names one, --skip-bad leaves these lines out"
        raise LogError(f"{name}: {printable(told)}", hint)
    say(f"hint: {printable(told)}; they are left out")


def _refuse_set_back(found: dict[str, Any], name: str, longest_ns: int) -> None:
    if found["back_ns"] <= longest_ns + found["step_ns"]:
        return
    raise LogError(
        f"{name}, line {found['back_line']}: its request ended "
        f"{format_duration(found['back_ns'])} before one of a line above",
        "a clock that was set back, local times without a zone as summer time ended, or files in "
        "the wrong order: judge the parts by themselves, or sort the lines by time",
    )


def _metadata(
    found: dict[str, Any], format_: Format, reading: Reading, longest_ns: int
) -> dict[str, Any]:
    lasting = f"no request lasted over {format_duration(longest_ns)} (--longest)"
    lag = f"the server read its clock at least every {format_duration(CLOCK_LAG_NS)}"
    assumptions = [f"{lasting}, {lag}, and nobody set it"]
    if found["strange"]:
        assumptions.append(
            f"the {found['strange']:,} lines that were not understood are of no client here"
        )
    if reading.where is not None:
        assumptions.append(f"the policy counts requests where {reading.where}, and no others")
    metadata: dict[str, Any] = {
        "imported_from": f"access log ({format_.name})",
        "clock": "CLOCK_REALTIME",
        "assumptions": assumptions,
        "undecided_statuses": list(UNDECIDED),
    }
    if found["received_ns"]:
        received = memoryview(found["received_ns"]).cast("q")
        late_ns = longest_ns + CLOCK_LAG_NS + found["back_ns"]
        since_ns, until_ns = received[0] + found["back_ns"], found["done_ns"] - late_ns
        if reading.since_ns is not None:
            since_ns = max(since_ns, reading.since_ns)
        if reading.until_ns is not None:
            until_ns = min(until_ns, reading.until_ns)
        metadata["complete_ns"] = [since_ns, until_ns]
        widths = sorted(map(int.__sub__, received, memoryview(found["sent_ns"]).cast("q")))
        metadata["access_log"] = {
            "stamp": format_.stamp,
            "step_ns": found["step_ns"],
            "longest_ns": longest_ns,
            "timed": not found["untimed"],
            "width_ns": widths[len(widths) // 2] + 1,
        }
    return metadata


def _after_jumps(found: dict[str, Any], since_ns: int) -> int:
    """From when on no summer time can have begun: then an hour is missing, and nothing was quiet."""
    received = memoryview(found["received_ns"]).cast("q")
    jumps = (after for before, after in pairwise(received) if after - before >= _JUMP_NS)
    return max([since_ns, *jumps])


def _further(statuses: Sequence[int], reading: Reading) -> Iterator[str]:
    """Give what else has to be true."""
    if 503 in statuses and 429 not in statuses:
        yield "a 503 taken for a rejection is the limiter's, no failing server's"
    if len(reading.key.alternatives) > 1:
        yield f"no client sent - for a part of {reading.key}"


def _keys(
    words: Sequence[bytes], read: Callable[[Sequence[bytes]], bytes]
) -> tuple[list[int], list[bytes]]:
    """The identity of each word of fields: its code, and all identities."""
    code_of: dict[bytes, int] = {}
    codes = [code_of.setdefault(read(word.split(b"\n")), len(code_of)) for word in words]
    return codes, list(code_of)
