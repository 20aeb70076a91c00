"""What a behaviour is: a plan of send instants that hears each answer."""

from collections.abc import Generator
from dataclasses import dataclass, fields, is_dataclass
from random import Random
from typing import Any, ClassVar, Protocol

from rateproof.errors import InvalidArgument
from rateproof.simulate.checks import check_rate
from rateproof.units import SECOND_NS

__all__ = ["Answer", "Behaviour", "Plan", "describe", "rate_interval_ns"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a plan learns of the request that it asked for.

    Args:
        sent_ns: when it was sent, ns since the run's start.
        done_ns: when its answer was complete or given up, ns since the run's start.
        outcome: `admitted`, `rejected` or `unknown`.
        retry_after_ns: what the server asked to wait; None if it did not say.
    """

    sent_ns: int
    done_ns: int
    outcome: str
    retry_after_ns: int | None = None


Plan = Generator[int, Answer, None]
"""Yields when to send the next request, in ns since the run's start (an instant
in the past means at once), and is sent the `Answer`. A plan that returns ends
its client."""


class Behaviour(Protocol):
    """How one client decides when to send. Frozen, and free of I/O.

    A closed client derives the next instant from `Answer.done_ns`; an open one
    from its own previous instant, whatever the answers; a pattern just counts.
    """

    name: ClassVar[str]

    def plan(self, rng: Random) -> Plan:
        """A fresh plan; the same `rng` state and answers give the same instants."""
        ...


def describe(value: Any) -> Any:
    """A behaviour (or a part of one) as plain data, for metadata and reports."""
    if not is_dataclass(value):
        return value
    name = {"name": value.name} if hasattr(value, "name") else {}
    return name | {field.name: describe(getattr(value, field.name)) for field in fields(value)}


def rate_interval_ns(rate_per_s: float) -> int:
    """The interval between events at a rate, in ns: at least 1, rounded.

    Raises:
        InvalidArgument: a rate that is not above 0 and at most a million, or
            below one event in 73 years.
    """
    check_rate("rate", rate_per_s)
    interval_ns = max(1, round(SECOND_NS / rate_per_s))
    if interval_ns >= 2**61:
        raise InvalidArgument(f"rate is {rate_per_s!r} a second", "at least one in 73 years")
    return interval_ns
