"""What a server says of its limit, read with tolerance: nonsense is None."""

import re
import time
from datetime import UTC, datetime, timedelta

__all__ = ["parse_ratelimit", "parse_retry_after"]

_SECONDS = re.compile(r"\s*(\d{1,15})(\.\d{1,9})?\s*", re.ASCII)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_PARAMETER = re.compile(r";[ \t]*([rt])[ \t]*=[ \t]*(\d{1,15})(?![\d.])", re.ASCII)
_LONGEST = 4_096
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BLANK = " \t\n\r\f\v"
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_DATES = [
    re.compile(form, re.ASCII)
    for form in (
        rf"[A-Z][a-z]{{2}}, (?P<day>\d\d) (?P<month>[A-Z][a-z]{{2}}) (?P<year>\d{{4}}) {_TIME} GMT",
        rf"[A-Z][a-z]{{5,8}}, (?P<day>\d\d)-(?P<month>[A-Z][a-z]{{2}})-(?P<year>\d\d) {_TIME} GMT",
        rf"[A-Z][a-z]{{2}} (?P<month>[A-Z][a-z]{{2}}) (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",
    )
]


def parse_retry_after(value: str | None, date: str | None = None) -> float | None:
    """Seconds that Retry-After asks to wait, 0 or more (RFC 9110, section 10.2.3).

    Args:
        value: the header: seconds, or a date in a form of HTTP.
        date: the Date header of the same answer, which a date is counted
            from, so that the server's clock need not agree with ours.

    Returns:
        None for no header and for one that is neither.
    """
    if value is None or len(value) > _LONGEST:
        return None
    if match := _SECONDS.fullmatch(value):
        return float(match[1] + (match[2] or ""))
    until = _timestamp(value)
    if until is None:
        return None
    now = None if date is None or len(date) > _LONGEST else _timestamp(date)
    return max(0.0, until - (time.time() if now is None else now))


def parse_ratelimit(value: str | None) -> tuple[int | None, float | None]:
    """`r` and `t` of a RateLimit header: admissions left, seconds until the quota resets.

    Source: draft-ietf-httpapi-ratelimit-headers-11, section 4. Of several
    items the one with the least `r` counts, and among those the largest `t`.

    Returns:
        None for each that is missing or malformed.
    """
    if value is None or len(value) > _LONGEST:
        return None, None
    best: tuple[int | None, float | None] = (None, None)
    for item in _STRING.sub('""', value).split(","):
        found = {name: int(number) for name, number in _PARAMETER.findall(item)}
        if not found:
            continue
        remaining, reset = found.get("r"), found.get("t")
        if _tightness(remaining, reset) < _tightness(*best):
            best = (remaining, None if reset is None else float(reset))
    return best


def _tightness(remaining: int | None, reset: float | None) -> tuple[float, float]:
    return (
        float("inf") if remaining is None else remaining,
        float("inf") if reset is None else -reset,
    )


def _timestamp(value: str) -> float | None:
    """Seconds since 1970 of a date in one of the three forms of RFC 9110, section 5.6.7.

    The day of the week is not checked. A year of two digits is from 1970 to
    2069; second 60 is a leap second.
    """
    text = value.strip(_BLANK)
    match = next(filter(None, (form.fullmatch(text) for form in _DATES)), None)
    if match is None or match["month"] not in _MONTHS:
        return None
    year = int(match["year"])
    if len(match["year"]) == len("94"):
        year += 2000 if year < 70 else 1900
    day, hour, minute, second = (int(match[part]) for part in ("day", "hour", "minute", "second"))
    if second > 60:
        return None
    try:
        moment = datetime(year, _MONTHS.index(match["month"]) + 1, day, hour, minute, tzinfo=UTC)
    except ValueError:
        return None
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1) + second
