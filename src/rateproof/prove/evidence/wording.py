"""Keys, numbers and times as people read them.

Keys are chosen by whoever sends requests: they are shown escaped and cut.
"""

import base64
import re
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import pairwise

from rateproof.units import format_duration

_KEY_WIDTH = 40
_READABLE = 4
_SECOND = Decimal(1_000_000_000)
_WINDOW = re.compile(r"\bper (\d+)(d|h|m|s|ms|us|ns)\b")
_NAMES = {"d": "day", "h": "hour", "m": "minute", "s": "second"}
_UNITS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns"))


def readable_key(key: bytes) -> str:
    """A key as safe text: printable ASCII as it is, the rest in hex, cut at 40 characters."""
    if len(key) <= _KEY_WIDTH and key.isascii():
        text = key.decode()
        if text.isprintable() and "'" not in text and "\\" not in text:
            return f"'{text}'"
    shown = [
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b"\\'" else f"\\x{byte:02x}"
        for byte in key[: _KEY_WIDTH + 1]
    ]
    if sum(map(len, shown)) <= _KEY_WIDTH:
        return f"'{''.join(shown)}'"
    while sum(map(len, shown)) > _KEY_WIDTH - 3:
        shown.pop()
    return f"'{''.join(shown)}...'"


def key_to_json(key: bytes) -> dict[str, str]:
    """A key in base64 (exact) and as readable text."""
    return {"key": readable_key(key), "key_base64": base64.b64encode(key).decode("ascii")}


def names(numbers: Sequence[int]) -> str:
    """`requests #4 … #9` when they are consecutive, else each, else how many."""
    ordered = sorted(numbers)
    # Numbers come from a log, and may be any: no list of all between them is made.
    if len(ordered) > 2 and all(b - a == 1 for a, b in pairwise(ordered)):
        return f"requests #{ordered[0]} … #{ordered[-1]}"
    if len(ordered) > 12:
        return f"{len(ordered)} requests from #{ordered[0]} to #{ordered[-1]}"
    *most, last = (f"#{number}" for number in ordered)
    return f"requests {', '.join(most)} and {last}" if most else f"request {last}"


def seconds(ns: int, *, up: bool) -> str:
    """Seconds to a millisecond, or finer below 10 ms; rounded away from overstating."""
    step = Decimal("0.001") if ns >= 10_000_000 else Decimal("0.000001")
    rounded = (ns / _SECOND).quantize(step, ROUND_CEILING if up else ROUND_FLOOR)
    return f"{rounded.normalize():f} s"


def brief(ns: int) -> str:
    """A time to three figures in the unit that suits it, rounded up: `4.89 ms`."""
    unit, name = next((u, n) for u, n in _UNITS if ns >= u or ns == 0)
    whole = Decimal(ns) / unit
    step = Decimal(1).scaleb(min(0, whole.adjusted() - 2))
    return f"{whole.quantize(step, ROUND_CEILING).normalize():f} {name}"


def spaced(ns: int) -> str:
    """A time as people write it, and exact.

    >>> spaced(5_000_000_000), spaced(333_333_333), spaced(657_000)
    ('5 s', '333.333333 ms', '657 µs')
    """
    text = format_duration(ns)
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    if len(number) > _READABLE:
        unit, name = next(pair for pair in _UNITS if ns >= pair[0])
        return f"{(Decimal(ns) / unit).normalize():f} {name}"
    return f"{number} {text.removeprefix(number)}".replace(" us", " µs")


def plain_quota(text: str) -> str:
    """A quota as people say it: `5 per 5 s`, `100 per hour`.

    >>> plain_quota("token-bucket 100 per 1h burst 20")
    'token-bucket 100 per hour burst 20'
    """
    return _WINDOW.sub(_said, text)


def _said(window: re.Match[str]) -> str:
    number, unit = window.groups()
    if number == "1" and unit in _NAMES:
        return f"per {_NAMES[unit]}"
    return f"per {number} {unit}".replace(" us", " µs")


def ordinal(number: int) -> str:
    """A place in a row, with its article.

    >>> ordinal(6), ordinal(11), ordinal(101)
    ('a 6th', 'an 11th', 'a 101st')
    """
    teens = number % 100 in (11, 12, 13)
    ending = "th" if teens else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    text = f"{number:,}{ending}"
    spoken = text.partition(",")[0].rstrip("snrtdh")
    return f"an {text}" if text[0] == "8" or spoken in ("11", "18") else f"a {text}"
