"""A behaviour: the source of a program that asks for requests and hears each answer."""

from dataclasses import fields, is_dataclass
from typing import Any, ClassVar, Protocol

from rateproof.events import REJECTED, UNKNOWN
from rateproof.options.forms import RATE
from rateproof.policy import Quota
from rateproof.simulate.programs.program import Program
from rateproof.simulate.programs.timetable import Timetable
from rateproof.units import MAX_DURATION_NS, SECOND_NS

FAILURES = frozenset({REJECTED, UNKNOWN})
"""The outcomes after which a client may try again."""

MAX_REQUESTS = 1_000_000
"""At most as many in one burst, or for one identity."""


class Behaviour(Protocol):
    """The rule by which one client decides when to send. Frozen, and free of I/O.

    A closed client derives the next instant from `Reply.done_ns`; an open one
    from its own previous instant, whatever the answers; a pattern just counts.

    A class may say what it makes of what a command line knows, for
    `make_behaviour`: `at_rate(rate_per_s, quota)`, one client and connection's
    behaviour at a rate, where that is not its pause or interval; `against(quota)`,
    its attack on a quota.
    """

    name: ClassVar[str]

    def program(self) -> Program:
        """The program of each connection of a client, from the client's start on."""
        ...


def describe(value: Any) -> Any:
    """A behaviour (or a part of one) as plain data, for metadata and reports."""
    if isinstance(value, Timetable):
        return str(value)
    if not is_dataclass(value):
        return value
    name = {"name": value.name} if hasattr(value, "name") else {}
    return name | {field.name: describe(getattr(value, field.name)) for field in fields(value)}


def rate_interval_ns(rate_per_s: float) -> int:
    """The interval between events at a rate, in ns: at least 1, rounded.

    Raises:
        InvalidArgument: a rate above a million, or below one event in 73 years.
    """
    RATE.hold("rate", rate_per_s)
    return max(1, round(SECOND_NS / rate_per_s))


def over_limit(quota: Quota) -> int:
    """One request more than a quota's limit, and at most `MAX_REQUESTS`."""
    return min(quota.limit + 1, MAX_REQUESTS)


def beyond_window(quota: Quota) -> int:
    """A quota's window and a fifth more, in ns, below 73 years: what it counted is forgotten."""
    return min(quota.window_ns + quota.window_ns // 5, MAX_DURATION_NS - 1)
