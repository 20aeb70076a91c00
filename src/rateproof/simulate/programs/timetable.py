"""A timetable: so many requests at each of a few instants; its text form."""

import re
from collections.abc import Iterable
from itertools import pairwise, takewhile
from typing import Any, NamedTuple, Self

from rateproof.errors import InvalidArgument
from rateproof.options.kinds import duration, whole
from rateproof.units import format_seconds, parse_duration

_STEPS = whole(1, 10_000)
_INSTANT = duration(0)
_REQUESTS = whole(1, 1_000_000)
_FORM = "a schedule reads like '1 at 0s, 4 at 4.9s, 2 at 5.1s'"
_TOGETHER = 4  # fewer steps are told one by one
_STEP = re.compile(r"\s*(\d{1,20})\s+at\s+(\S.*)", re.IGNORECASE | re.ASCII)


class Timed(NamedTuple):
    """One step of a timetable.

    Args:
        at_ns: when, from the start of the client.
        requests: how many, 1 to 10**6.
    """

    at_ns: int
    requests: int


class Timetable(tuple[Timed, ...]):
    """1 to 10,000 steps, each later than the one before.

    >>> str(Timetable.parse("1 at 0s, 4 at 4900ms"))
    '1 at 0 s, 4 at 4.9 s'
    """

    __slots__ = ()

    @classmethod
    def of(cls, steps: Iterable[Any]) -> Self:
        """From pairs of an instant in ns and a number of requests.

        Raises:
            InvalidArgument: no step, too many, or out of order; requests out of bounds.
        """
        try:
            table = cls(Timed(*step) for step in steps)
        except TypeError:
            raise InvalidArgument(f"steps {steps!r}", "pairs of an instant and a number") from None
        _STEPS.hold("steps of a schedule", len(table))
        for step in table:
            _INSTANT.hold("instant of a step", step.at_ns)
            _REQUESTS.hold("requests of a step", step.requests)
        for one, other in pairwise(table):
            if one.at_ns >= other.at_ns:
                raise InvalidArgument(
                    f"a step at {format_seconds(other.at_ns)} after one at "
                    f"{format_seconds(one.at_ns)}",
                    "steps in order, one for each instant",
                )
        return table

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form: `N at TIME`, joined by commas; `str` gives it back.

        Raises:
            InvalidArgument: another form, naming the part; or as `of`.
        """
        return cls.of(_parse_step(part, text) for part in text.split(","))

    def __str__(self) -> str:
        return ", ".join(f"{step.requests} at {format_seconds(step.at_ns)}" for step in self)

    @property
    def told(self) -> str:
        """The text for people: requests that come again and again at one distance are one part.

        >>> Timetable.of((at, 20) for at in range(0, 5 * 10**9, 10**9)).told
        '20 every 1 s, 5 times'
        """
        parts = []
        first = 0
        while first < len(self):
            times = self._alike(first)
            step = self[first]
            if times < _TOGETHER:
                times = 1
                parts.append(f"{step.requests} at {format_seconds(step.at_ns)}")
            else:
                every = format_seconds(self[first + 1].at_ns - step.at_ns)
                since = f" from {format_seconds(step.at_ns)} on" if step.at_ns else ""
                parts.append(f"{step.requests} every {every}{since}, {times} times")
            first += times
        return ", ".join(parts)

    def _alike(self, first: int) -> int:
        """The number of steps from that one on with as many requests, at one distance."""
        if first + 1 == len(self):
            return 1
        (at_ns, requests), (next_ns, _) = self[first : first + 2]
        alike = takewhile(
            lambda times: self[first + times] == (at_ns + times * (next_ns - at_ns), requests),
            range(len(self) - first),
        )
        return sum(1 for _ in alike)


def _parse_step(part: str, text: str) -> Timed:
    match = _STEP.fullmatch(part)
    if match is None:
        raise InvalidArgument(f"{part.strip()!r} in {text!r} is not a step of a schedule", _FORM)
    return Timed(parse_duration(match[2]), int(match[1]))
