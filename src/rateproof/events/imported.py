"""Readings that importers share: instants, and whose request it was."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from rateproof.errors import LogError
from rateproof.keyspec import KeySpec, Part

DEFAULT_KEY = KeySpec.parse("query:clientId")

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant_ns(text: object) -> int:
    """An instant of RFC 3339 as nanoseconds since 1970, to the last digit.

    Raises:
        LogError: it is none.
    """
    match = _INSTANT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise LogError(f"time {text!r}", "an instant such as 2030-01-31T12:00:00.123456789Z")
    second, fraction, zone = match.groups()
    return in_range(_second(second, zone) * 1_000_000_000 + int((fraction or "0").ljust(9, "0")))


def in_range(ns: int) -> int:
    """Nanoseconds that fit into a log, with room for the longest request.

    Raises:
        LogError: they do not.
    """
    if abs(ns) >= 2**62:
        raise LogError(f"{ns} nanoseconds", "less than 2**62, which are 146 years")
    return ns


@lru_cache(maxsize=64)
def _second(text: str, zone: str) -> int:
    try:
        since = datetime.fromisoformat(text + zone) - _EPOCH
    except ValueError as error:
        raise LogError(f"time {text!r}: {error}") from error
    return since.days * 86_400 + since.seconds


def identity_of(
    key: KeySpec, url: str, method: str | None, tags: Mapping[str, object] | None = None
) -> bytes:
    """The client that a request was sent for, as far as the log tells.

    `query:NAME` is looked up in the URL; every NAME among the request's tags too,
    which is how a script logs a header or a cookie.

    Raises:
        LogError: nothing that `key` names is there, or the URL is none.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise LogError(f"{url!r} is no URL: {error}") from error
    query: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        query.setdefault(name, value)

    def found(part: Part) -> str:
        if part.kind == "path":
            return part.of_path(parts.path)
        if part.kind == "method":
            return method or ""
        value = query.get(part.name) if part.kind == "query" else None
        if not value and part.name:
            value = str((tags or {}).get(part.name, ""))
        return value or ""

    for alternative in key.alternatives:
        values = [found(part) for part in alternative]
        if all(values):
            text = values[0] if len(values) == 1 else json.dumps(values)
            return text.encode("utf-8", "surrogatepass")
    raise LogError(
        f"{url!r} has no {key}",
        "name what tells clients apart: a key such as query:NAME of the URL, or the NAME of a tag",
    )


def object_or_empty(line: bytes) -> dict[str, Any]:
    """A line of JSON as the object that it is; empty where it is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
