"""The log, or the piece of evidence, that a command names: its content says which it is."""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rateproof.errors import InvalidArgument, LogError
from rateproof.events import EventLog
from rateproof.events.access_logs import LONGEST_NS, Reading, Where, is_pattern, named
from rateproof.events.access_logs.access_log import hosts_of
from rateproof.events.access_logs.bounded import read_bounded
from rateproof.events.access_logs.feeding import File
from rateproof.events.bounded import bounded
from rateproof.events.files import batches, is_access_log, refuse_empty
from rateproof.events.imported import instant_ns
from rateproof.events.importers import importer_of
from rateproof.events.impossible import refuse_repeated
from rateproof.events.lines import open_lines
from rateproof.events.workplace import Workplace, identity_of, workplace
from rateproof.keyspec import KeySpec
from rateproof.output import printable, say
from rateproof.prove.evidence import is_document


@dataclass(frozen=True, slots=True)
class LogRoom:
    """Room for a log in lines: so many bytes of memory, or a file that goes at the end.

    Args:
        memory: None: all of it, for nobody knows how much there is, or there is no pyarrow.
        stack: what goes at the end.
        source: the file, if it is one that the next process can read, too; None: it is not.
        settings: how it is read.
    """

    memory: int | None
    stack: ExitStack
    source: Path | None
    settings: object

    def read(self, logs: Iterable[tuple[Iterable[File], str]], reading: Reading) -> EventLog | Path:
        """Read access logs into it."""
        return read_bounded(logs, reading, self.memory, self._place)

    def read_batches(
        self, events: Iterable[tuple[Mapping[str, Any], EventLog]], name: str
    ) -> EventLog | Path:
        """Read into it what comes some events at a time."""
        try:
            log = bounded(events, self.memory, self._place)
        except UnicodeEncodeError as error:
            problem = f"{name} has text that UTF-8 cannot hold: {error}"
            raise LogError(problem, "with more --memory it is read whole") from error
        if isinstance(log, EventLog):
            refuse_repeated(log, name)
            refuse_empty(log, name)
        return log

    def _place(self) -> Workplace:
        identity = None if self.source is None else identity_of(self.source, self.settings)
        place = self.stack.enter_context(workplace(identity))
        size = f"{(self.memory or 0) / 1_000_000:,.0f} MB"
        where = f"goes to {place.folder} as it is read"
        if place.noted() is not None:
            where = f"is in {place.folder} already, from a check that was killed"
        say(f"the log does not fit in {size}: it {where}")
        return place


def reading_of(arguments: argparse.Namespace) -> Reading:
    """Return the way an access log is to be read.

    Raises:
        InvalidArgument: an option says what cannot be.
    """
    longest_ns = LONGEST_NS if arguments.longest_ns is None else arguments.longest_ns
    reading = Reading(
        format=None if arguments.format is None else named(arguments.format),
        longest_ns=longest_ns,
        skip_bad=bool(arguments.skip_bad),
        where=None if arguments.where is None else Where.parse(arguments.where),
        since_ns=_instant_of("since", arguments.since),
        until_ns=_instant_of("until", arguments.until),
        skew_ns=arguments.skew_ns,
    )
    since_ns, until_ns = reading.since_ns, reading.until_ns
    if since_ns is not None and until_ns is not None and since_ns >= until_ns:
        raise InvalidArgument(f"--until {arguments.until} is not after --since {arguments.since}")
    if arguments.proxies is None and arguments.ipv6_prefix is None:
        return reading
    from rateproof.enforce.http.addresses import ClientAddress

    proxies, header = arguments.proxies or 0, arguments.proxy_header or "X-Forwarded-For"
    address = ClientAddress(proxies, header, arguments.ipv6_prefix or 128)
    return replace(reading, address=address.of, header=header if proxies else "")


def _instant_of(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return instant_ns(text)
    except LogError:
        hint = "such as 2030-01-31T12:00:00+01:00 or 2030-01-31T11:00:00Z: with the zone"
        raise InvalidArgument(f"--{option} {text!r} is not an instant", hint) from None


READ_BY: Final = (
    "key", "format", "longest_ns", "skip_bad", "where", "since", "until", "skew_ns", "proxies",
    "proxy_header", "ipv6_prefix",
)  # fmt: skip
"""The arguments that say how lines are read."""


def source_of(names: Sequence[str]) -> Path | None:
    """The file of a log, if it is one that is there for the next process, too."""
    path = Path(names[0])
    one = len(names) == 1 and names != ("-",) and not is_pattern(names[0])
    return path if one and path.is_file() else None


def refuse_several(names: Sequence[str]) -> None:
    """Refuse several logs of a kind that is read from one file, and one by a URL."""
    parquet = [name for name in names if Path(name).suffix == ".parquet"]
    if parquet and len(names) > 1:
        hint = "only access logs are read from several files: check each log by itself"
        raise InvalidArgument(f"{printable(parquet[0])} is one of {len(names)} logs", hint)
    if parquet and "://" in parquet[0]:
        hint = "--on dask reads logs in Parquet by URL; or the file's name on this machine"
        raise InvalidArgument(f"{printable(parquet[0])} without --on", hint)


def name_of(names: Sequence[str]) -> str:
    """Return a name of the input, for messages."""
    return "standard input" if names == ("-",) else printable(", ".join(names))


def read(
    names: Sequence[str], key: KeySpec | None, reading: Reading, room: LogRoom
) -> EventLog | Path | dict[str, Any]:
    """Return a log, or the plain data of a piece of evidence: the content says which it is.

    A path is that of a log in Parquet.
    """
    path, *others = names
    reading = reading if key is None else replace(reading, key=key)
    if others or reading.skew_ns is not None or is_pattern(path):
        return room.read(hosts_of(names, reading), reading)
    if Path(path).suffix == ".parquet":
        hint_of_key(key)
        return Path(path)
    with open_lines(path) as (lines, name):
        begun = []
        for line in lines:
            begun.append(line)
            if not line.isspace():
                break
        data = _object(b"".join(begun))
        if data is None and begun and begun[-1].lstrip().startswith(b"{"):
            # Not a log in lines: that begins with a whole object.
            begun += lines
            data = _object(b"".join(begun))
        if is_document(data):
            if not all(map(bytes.isspace, lines)):
                raise LogError(f"{name}: more follows the evidence", "one document in a file")
            return data
        first = begun[0] if begun else b""
        lines.put_back(begun)
        if is_access_log(first, name, reading):
            return room.read([([(name, lines.blocks())], name)], reading)
        if importer_of(first, name) is None:
            hint_of_key(key)
        return room.read_batches(batches(first, lines, name, key), name)


def hint_of_key(key: KeySpec | None) -> None:
    """Say that `--key` plays no part, if it is given."""
    if key is not None:
        say(f"hint: --key {key} plays no part: this log has identities in its column key")


def _object(text: bytes) -> dict[str, Any] | None:
    """The JSON object that a text is, None if it is none."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
