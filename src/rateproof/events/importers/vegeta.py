"""vegeta's results: `vegeta encode --to json` (or csv) of what an attack wrote."""

import base64
import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from rateproof.errors import LogError, told_by
from rateproof.events.imported import (
    DEFAULT_KEY,
    identity_of,
    in_range,
    instant_ns,
    object_or_empty,
)
from rateproof.events.log import Event, outcome_of
from rateproof.events.rows import json_object
from rateproof.keyspec import KeySpec

_FORM = "lines as vegeta encode --to json writes them"
_CSV_FORM = "lines as vegeta encode --to csv writes them, of 12 columns"
_CSV_COLUMNS = 12
_TIMESTAMP_FORM = "nanoseconds since 1970, which have 18 or 19 digits; microseconds have 16"
_TWICE = "two results in one file? check each by itself, or name attacks apart with -name"
_LEAST_NS, _MOST_NS = 10**17, 10**19
_APART = 10**12
_CSV = re.compile(rb"\d{10,19},\d{1,3},\d+,\d+,\d+,")  # timestamp, code, latency, bytes out, in
_NO_TEXT = re.compile(rb"[\x00-\x08\xfe\xff]")
_REMAINING = re.compile(r";\s*r=(\d{1,18})(?![\d.])")
_RESET = re.compile(r";\s*t=(\d{1,18})(?![\d.])")


def recognises(line: bytes, name: str) -> bool:
    """True if it is a result, as JSON or CSV.

    Raises:
        LogError: it is in vegeta's own encoding.
    """
    if _NO_TEXT.search(line) and b"Attack" in line and b"Latency" in line:
        raise LogError(f"{name} is in vegeta's own encoding", "vegeta encode --to json FILE")
    columns = {"attack", "seq", "code", "timestamp", "latency"}
    return bool(_CSV.match(line)) or object_or_empty(line).keys() >= columns


def events(lines: Iterable[bytes], name: str, key: KeySpec = DEFAULT_KEY) -> Iterator[Event]:
    """Read vegeta's results, an object of JSON or a line of CSV each.

    vegeta takes `timestamp` before it prepares a request and finds or opens a connection,
    and `latency` from then until the answer has been read or the attempt has failed
    (`Attacker.hit` in vegeta's lib/attack.go). So the decision lies in

        sent_ns     = timestamp
        received_ns = timestamp + latency

    which is as wide as connecting and reading take. Timestamps within one attack are the
    wall clock as the attack began plus what has passed on a monotonic clock since, so
    setting the clock does no harm; results of several attacks share the wall clock only.

    A redirect that vegeta follows is not logged, nor what Go's HTTP client sends again by
    itself after a kept connection broke: attack with `-redirects -1`, and know that the
    server may have counted more requests than there are, and a rejection look wrong for
    it. Headers of requests are not logged: the identity has to be in the URL.

    Of several attacks in a file the first keeps its numbers; those of the second begin at
    1,000,000,000,000, and so on.

    Args:
        lines: of the file, as bytes.
        name: of the file, for messages.
        key: where in the URL the client's identity lies.

    Raises:
        LogError: a line that vegeta does not write, or a request without an identity.
    """
    lines = iter(lines)
    first = next(lines, b"")
    lines = chain([first], lines)
    if not first.lstrip().startswith(b"{"):
        return _events(_csv_rows(lines, name), key, _CSV_FORM)
    places = ((f"{name}, line {number}", line) for number, line in enumerate(lines, 1))
    rows = ((place, json_object(line, place, _FORM)) for place, line in places)
    return _events(rows, key, _FORM)


def _csv_rows(lines: Iterable[bytes], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.reader((line.decode("utf-8", "surrogateescape") for line in lines), strict=True)
    try:
        for fields in reader:
            place = f"{name}, line {reader.line_num}"
            if len(fields) != _CSV_COLUMNS:
                raise LogError(f"{place} has {len(fields)} columns", _CSV_FORM)
            yield place, _row_of(fields, place)
    except csv.Error as error:
        raise LogError(f"{name}, line {reader.line_num}: {error}", _CSV_FORM) from error


def _row_of(fields: list[str], place: str) -> dict[str, Any]:
    """A line of CSV as an object of JSON; the timestamp is nanoseconds already."""
    try:
        timestamp, code, latency, _, bytes_in = map(int, fields[:5])
        lines = base64.b64decode(fields[11], validate=True).decode("latin-1").splitlines()
        sequence = int(fields[8])
    except ValueError as error:
        raise LogError(f"{place}: {error}", _CSV_FORM) from error
    return {
        "timestamp": timestamp,
        "code": code,
        "latency": latency,
        "bytes_in": bytes_in,
        "error": fields[5],
        "attack": fields[7],
        "seq": sequence,
        "method": fields[9],
        "url": fields[10],
        "headers": {name: [value] for name, _, value in (line.partition(":") for line in lines)},
    }


def _events(rows: Iterable[tuple[str, dict[str, Any]]], key: KeySpec, form: str) -> Iterator[Event]:
    firsts: dict[str, int] = {}
    seen: dict[int, int] = {}  # a bit for each number
    for place, row in rows:
        attack = str(row.get("attack"))
        first = firsts.setdefault(attack, len(firsts) * _APART)
        with told_by(place):
            event = _event(row, key, form, first)
        word, bit = event.sequence >> 9, 1 << (event.sequence & 511)
        if seen.get(word, 0) & bit:
            problem = f"{place}: seq {row['seq']} of attack {attack!r} is there a second time"
            raise LogError(problem, _TWICE)
        seen[word] = seen.get(word, 0) | bit
        yield event


def _event(row: dict[str, Any], key: KeySpec, form: str, first: int) -> Event:
    for column in ("seq", "code", "latency", "bytes_in"):
        value, most = row.get(column), _APART if column == "seq" else 2**62
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < most:
            raise LogError(f"{column} is {value!r}", form)
    if first >= 2**62:
        raise LogError(f"attack {row.get('attack')!r} is one of millions", form)
    timestamp = row.get("timestamp")
    sent_ns = _since_1970(timestamp) if isinstance(timestamp, int) else instant_ns(timestamp)
    done_ns, status = sent_ns + row["latency"], row["code"] or None
    headers = _lowered(row.get("headers"))
    limit = headers.get("ratelimit", "")
    retry_after = headers.get("retry-after", "")
    return Event(
        key=identity_of(key, str(row.get("url")), row.get("method")),
        sent_ns=sent_ns,
        received_ns=None if status is None else done_ns,
        done_ns=done_ns,
        status=status,
        outcome=outcome_of(status),
        sequence=first + row["seq"],
        error=_kind_of(str(row.get("error"))) if status is None else None,
        bytes=row["bytes_in"],
        retry_after_s=float(retry_after) if re.fullmatch(r"\d{1,18}", retry_after) else None,
        ratelimit_remaining=int(found[1]) if (found := _REMAINING.search(limit)) else None,
        ratelimit_reset_s=float(found[1]) if (found := _RESET.search(limit)) else None,
    )


def _since_1970(timestamp: int) -> int:
    """Nanoseconds since 1970: read as such, coarser units would make intervals narrower."""
    if not _LEAST_NS <= timestamp < _MOST_NS:
        digits = len(str(abs(timestamp)))
        raise LogError(f"timestamp {timestamp} has {digits} digits", _TIMESTAMP_FORM)
    return in_range(timestamp)


def _lowered(headers: object) -> Mapping[str, str]:
    """The first value of each header of an answer, by its name in lower case."""
    if not isinstance(headers, dict):
        return {}
    return {
        name.lower(): values[0].strip()
        for name, values in headers.items()
        if isinstance(values, list) and values and isinstance(values[0], str)
    }


def _kind_of(error: str) -> str:
    """The kind of a failure, by the words of Go's HTTP client."""
    kinds = {
        "connection refused": "refused",
        "connection reset": "reset",
        "no such host": "dns",
        "Timeout exceeded": "timeout",
        "i/o timeout": "timeout",
        "tls: ": "tls",
        "x509: ": "tls",
        "EOF": "closed",
    }
    return next((kind for words, kind in kinds.items() if words in error), "other")
