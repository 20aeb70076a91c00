"""k6's JSON output: `k6 run --out json=FILE`, a line for each point of each metric."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from rateproof.errors import LogError, told_by
from rateproof.events.imported import (
    DEFAULT_KEY,
    identity_of,
    in_range,
    instant_ns,
    object_or_empty,
)
from rateproof.events.log import Event, EventLog, outcome_of
from rateproof.events.rows import json_object
from rateproof.keyspec import KeySpec

_DURATION, _SENDING = "http_req_duration", "http_req_sending"
_FORM = "lines as k6 run --out json=FILE writes them, with the system tags url and status"
_KINDS = {"1050": "timeout", "1211": "timeout", "1212": "refused", "1220": "reset"}
_GROUPS = {"11": "dns", "13": "tls"}


def recognises(line: bytes, _name: str) -> bool:
    """True if it is a point, or the line that k6 writes first for a metric."""
    return object_or_empty(line).keys() >= {"metric", "type", "data"}


def events(lines: Iterable[bytes], name: str, key: KeySpec = DEFAULT_KEY) -> Iterator[Event]:
    """Read what k6 logged of each HTTP request; other metrics are left aside.

    All points of a request carry one instant T, taken when its answer had been read
    (`Tracer.Done` in k6's lib/netext/httpext/tracer.go). `http_req_duration` is
    sending + waiting + receiving. Sending starts when the connection is there, before
    the request's first byte is written; so the decision lies in

        sent_ns     = T - http_req_duration
        received_ns = T

    The first byte of the answer, T - http_req_receiving, would be narrower, but k6
    takes that of an interim answer (1xx), which may precede the decision. Where k6 did
    not note that the request had been written, `http_req_sending` is 0 and the interval
    begins with the log: such requests come last. Values are milliseconds in floats that hold every nanosecond.

    The clock is the wall clock of k6's machine. Intervals are right as long as nobody
    sets it during the run, and as fine as it ticks: on Windows, where it may tick every
    few milliseconds only, they can be narrower than the truth.

    A redirect that k6 follows is a request of its own. What Go's HTTP client sends again
    by itself, after a kept connection broke, is not logged: the server may have counted
    one request more, and a rejection look wrong for it. Retry-After and RateLimit headers
    are not logged either.

    Args:
        lines: of the file, as bytes.
        name: of the file, for messages.
        key: where the client's identity lies: `query:NAME` in the URL, or any NAME
            among the tags or metadata of a request. A script that sets the tag `name`
            hides the URL from the log.

    Raises:
        LogError: a line that k6 does not write, or a request without an identity.
    """
    begin_ns, begun_with = 2**62, EventLog()
    for place, sent_ns, data, noted in _requests(lines, name):
        begin_ns = min(begin_ns, sent_ns)
        with told_by(place):
            event = _event(data, sent_ns, key)
        if noted:
            yield event
        else:
            begun_with.append(event)
    for event in begun_with:
        yield replace(event, sent_ns=begin_ns)


def _requests(lines: Iterable[bytes], name: str) -> Iterator[tuple[str, int, dict[str, Any], bool]]:
    """Of each request: its place, T - duration, its point, and whether the writing was noted."""
    duration: tuple[str, int, dict[str, Any]] | None = None
    for number, line in enumerate(lines, 1):
        place = f"{name}, line {number}"
        if b'"http_req_duration"' not in line and b'"http_req_sending"' not in line:
            if not line.endswith(b"\n"):
                json_object(line, place, _FORM)
            continue
        row = json_object(line, place, _FORM)
        if row.get("type") != "Point" or row.get("metric") not in {_DURATION, _SENDING}:
            continue
        data = row.get("data")
        if not isinstance(data, dict):
            raise LogError(f"{place}: data is {data!r}", _FORM)
        with told_by(place):
            value_ns, time_ns = _ns(data.get("value")), instant_ns(data.get("time"))
        metric, time = row["metric"], data["time"]
        if duration is None and metric == _DURATION:
            duration = place, time_ns - value_ns, data
        elif duration is not None and metric == _SENDING and time == duration[2]["time"]:
            yield *duration, value_ns > 0
            duration = None
        else:
            raise LogError(f"{place}: {metric} does not follow its request", _FORM)
    if duration is not None:
        raise LogError(f"{duration[0]}: the request has no {_SENDING}", "the log is cut off")


def _ns(milliseconds: object) -> int:
    if not isinstance(milliseconds, int | float) or not 0 <= milliseconds < 2**53:
        raise LogError(f"value is {milliseconds!r}", "a duration in milliseconds")
    return in_range(round(milliseconds * 1_000_000))


def _event(data: dict[str, Any], sent_ns: int, key: KeySpec) -> Event:
    tags = data.get("tags")
    if not isinstance(tags, dict) or not {"url", "status"} <= tags.keys():
        raise LogError(f"tags are {tags!r}", _FORM)
    if not str(tags["status"]).isdecimal():
        raise LogError(f"status is {tags['status']!r}", "a status code, 0 for none")
    end_ns, status = instant_ns(data["time"]), int(tags["status"]) or None
    more = data.get("metadata")
    named = {**(more if isinstance(more, dict) else {}), **tags}
    return Event(
        key=identity_of(key, str(tags["url"]), tags.get("method"), named),
        sent_ns=sent_ns,
        received_ns=None if status is None else end_ns,
        done_ns=end_ns,
        status=status,
        outcome=outcome_of(status),
        error=_kind_of(str(tags.get("error_code", ""))) if status is None else None,
    )


def _kind_of(code: str) -> str:
    """The kind of a failure, by k6's numbers (lib/netext/httpext/error_codes.go)."""
    return _KINDS.get(code, _GROUPS.get(code[:2], "other"))
