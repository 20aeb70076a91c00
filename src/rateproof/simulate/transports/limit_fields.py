"""Header fields on a server's limit, read with tolerance: nonsense is None."""

import re
import time
from datetime import UTC
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"\s*(\d{1,15})(\.\d{1,9})?\s*", re.ASCII)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_PARAMETER = re.compile(r";[ \t]*([rt])[ \t]*=[ \t]*(\d{1,15})(?![\d.])", re.ASCII)
_LONGEST = 4_096


def parse_retry_after(value: str | None, date: str | None = None) -> float | None:
    """Seconds that Retry-After asks to wait, 0 or more (RFC 9110, section 10.2.3).

    Args:
        value: the header: seconds, or a date.
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
    now = None if date is None else _timestamp(date)
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


def _timestamp(text: str) -> float | None:
    """Seconds since 1970 of a date of HTTP, in any of its three forms (RFC 9110, section 5.6.7)."""
    try:
        return parsedate_to_datetime(text[:_LONGEST]).replace(tzinfo=UTC).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
