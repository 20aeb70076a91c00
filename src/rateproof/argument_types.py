"""What the arguments of the command line may be: text in, a value or a reason why not out."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec
from rateproof.policy import Policy
from rateproof.units import parse_duration

__all__ = [
    "MOST_DATA",
    "Data",
    "count",
    "data",
    "duration",
    "granularity",
    "header",
    "key",
    "policy",
    "rate",
    "statuses",
    "tolerance",
]

MOST_DATA = 1 << 20
"""Bytes of a body, at most."""

_MOST_GRANULARITY_NS = parse_duration("1h")

T = TypeVar("T")


def _typed(parse: Callable[[str], T]) -> Callable[[str], T]:
    """A type for argparse that keeps our message and hint."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except InvalidArgument as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


policy = _typed(Policy.parse)
key = _typed(KeySpec.parse)


def count(least: int, most: int) -> Callable[[str], int]:
    """A whole number, both bounds included."""

    def parse(text: str) -> int:
        form = f"a whole number from {least} to {most}"
        if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 20):
            raise InvalidArgument(f"{text!r} is not a number", form)
        if not least <= int(text) <= most:
            raise InvalidArgument(f"{text} is out of range", form)
        return int(text)

    return _typed(parse)


@_typed
def duration(text: str) -> int:
    """Nanoseconds, above 0."""
    ns = parse_duration(text)
    if ns == 0:
        raise InvalidArgument(f"{text!r} is no time at all", "a duration above 0, such as 10s")
    return ns


@_typed
def rate(text: str) -> float:
    """Requests a second, above 0 and at most a million."""
    form = "requests a second, above 0 and at most 1000000"
    if not re.fullmatch(r"[+-]?([0-9.]+(e[+-]?[0-9]+)?|nan|inf)", text, re.IGNORECASE):
        raise InvalidArgument(f"{text!r} is not a rate", form)
    try:
        per_s = float(text)
    except ValueError:
        raise InvalidArgument(f"{text!r} is not a rate", form) from None
    if not 0 < per_s <= 1_000_000:  # also refuses nan
        raise InvalidArgument(f"rate {text} is out of range", form)
    return per_s


@_typed
def header(text: str) -> tuple[str, str]:
    """The name and the value of a header; both are checked where the scenario is made."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise InvalidArgument(f"{text!r} is not a header", "NAME: VALUE, such as 'Accept: text/*'")
    return name, value.strip(" \t")


class Data(NamedTuple):
    """A body, and the file that it was read from; None: it was given as text."""

    body: bytes = b""
    file: str | None = None


@_typed
def data(text: str) -> Data:
    """The text, or what is in the file of that name behind an @."""
    if not text.startswith("@"):
        return Data(text.encode("utf-8", "surrogateescape"))
    try:
        with Path(text[1:]).open("rb") as file:
            return Data(file.read(MOST_DATA + 1), text[1:])
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidArgument(f"cannot read {text[1:]!r}: {reason}", "TEXT, or @FILE") from None


@_typed
def statuses(text: str) -> frozenset[int]:
    """Status codes, each once."""
    form = "status codes from 100 to 999, each once, such as 403 or 429,503"
    codes = [code.strip() for code in text.split(",")]
    for place, code in enumerate(codes):
        if not re.fullmatch("[1-9][0-9][0-9]", code):
            raise InvalidArgument(f"{text!r}: {code!r} is not a status code", form)
        if code in codes[:place]:
            raise InvalidArgument(f"{text!r}: {code} is there twice", form)
    return frozenset(map(int, codes))


@_typed
def granularity(text: str) -> int:
    """Nanoseconds, 0 for a clock as fine as ours, at most an hour."""
    ns = parse_duration(text)
    if ns > _MOST_GRANULARITY_NS:
        raise InvalidArgument(f"granularity {text} is out of range", "a time from 0s to 1h")
    return ns


@_typed
def tolerance(text: str) -> int:
    """Parts per million, from 0 to a tenth."""
    form = "parts per million, such as 500ppm, from 0ppm to 100000ppm"
    digits = text.removesuffix("ppm")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 7):
        raise InvalidArgument(f"{text!r} is not a tolerance", form)
    if int(digits) > 100_000:
        raise InvalidArgument(f"tolerance {text} is out of range", form)
    return int(digits)
