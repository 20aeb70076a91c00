"""Lines of an access log, and what a right limiter would have written."""

from collections import deque
from datetime import UTC, datetime, timedelta

from rateproof.events.access_logs import Reading, named, read_access_log
from rateproof.keyspec import KeySpec

BEGIN = datetime(2026, 11, 30, 12, tzinfo=UTC)
BEGIN_NS = int(BEGIN.timestamp()) * 10**9
SECOND = 10**9
TIMED = "$remote_addr [$msec] $request_time $status"


def line(second=0, *, ip="192.0.2.1", status=200, path="/", agent="curl/8", zone=UTC):
    stamp = (BEGIN + timedelta(seconds=second)).astimezone(zone)
    return (
        f'{ip} - - [{stamp:%d/%b/%Y:%H:%M:%S %z}] "GET {path} HTTP/1.1" {status} 12 "-" "{agent}"\n'
    ).encode()


def read(lines, key="ip", **told):
    text = told.pop("text", "nginx")
    chosen = None if text is None else named(text)
    reading = Reading(key=KeySpec.parse(key, of_log=True), format=chosen, **told)
    return read_access_log(lines, "access.log", reading)


def limited(times, limit, window_s):
    """Answer as a sliding log: (instant, status) each."""
    taken, answers = deque(), []
    for time in times:
        while taken and taken[0] <= time - window_s:
            taken.popleft()
        admitted = len(taken) < limit
        if admitted:
            taken.append(time)
        answers.append((time, 200 if admitted else 429))
    return answers
