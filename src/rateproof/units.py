"""Durations as text: `10s`, `500ms`, `2m`; inside, integer nanoseconds. Counts as text."""

import re
from fractions import Fraction

from rateproof.errors import InvalidArgument

SECOND_NS = 1_000_000_000

# A table's stamps are clock readings plus 2**62, in 64 bits: this leaves room
# for any clock reading (146 years of uptime) and any window up to 73 years.
MAX_DURATION_NS = 2**61

UNIT_NS = {
    name: ns
    for names, ns in (
        (("ns", "nanosecond"), 1),
        (("us", "microsecond"), 1_000),
        (("ms", "millisecond"), 1_000_000),
        (("s", "sec", "second"), SECOND_NS),
        (("m", "min", "minute"), 60 * SECOND_NS),
        (("h", "hour"), 3_600 * SECOND_NS),
        (("d", "day"), 86_400 * SECOND_NS),
    )
    for name in names
}

_DURATION = re.compile(r"\s*(\d{1,20}(?:\.\d{1,20})?)\s*([a-z]+)\s*", re.IGNORECASE | re.ASCII)
_FORM = "a duration is a number and a unit, such as 10s, 500ms or 2m"


def unit_ns(name: str) -> int | None:
    """The length of a unit in nanoseconds, singular or plural; None if unknown."""
    name = name.lower()
    return UNIT_NS.get(name) or (UNIT_NS.get(name[:-1]) if name.endswith("s") else None)


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration such as `10s`, `500ms`, `1.5 minutes`.

    A bare number has no unit and is refused, except that 0 needs none.

    Raises:
        InvalidArgument: not a duration, or 2**61 ns (73 years) or more.
    """
    if text.strip() == "0":
        return 0
    match = _DURATION.fullmatch(text)
    unit = unit_ns(match[2]) if match else None
    if match is None or unit is None:
        raise InvalidArgument(f"{text!r} is not a duration", _FORM)
    ns = Fraction(match[1]) * unit
    if ns >= MAX_DURATION_NS:
        raise InvalidArgument(f"{text!r} is too long a duration", "at most 73 years")
    return round(ns)


def format_duration(ns: int) -> str:
    """The shortest exact text of a duration, which `parse_duration` reads back.

    >>> format_duration(5_000_000_000)
    '5s'
    >>> format_duration(1_500_000)
    '1500us'
    """
    if ns == 0:
        return "0s"
    for name in ("d", "h", "m", "s", "ms", "us"):
        if ns % UNIT_NS[name] == 0:
            return f"{ns // UNIT_NS[name]}{name}"
    return f"{ns}ns"


def format_seconds(ns: int) -> str:
    """An instant or a duration in seconds, exact, as people write it in a sentence.

    >>> format_seconds(4_900_000_000)
    '4.9 s'
    >>> format_seconds(0)
    '0 s'
    """
    whole, part = divmod(abs(ns), SECOND_NS)
    decimals = f".{part:09}".rstrip("0") if part else ""
    return f"{'-' * (ns < 0)}{whole}{decimals} s"


def counted(number: int, noun: str) -> str:
    """`1 request`, `2 requests`: for nouns that take an s."""
    return f"{number} {noun}{'s' * (number != 1)}"
