"""Behaviours of clients, by name: one file each, found by reading this folder.

A file NAME.py has the class Name, whose `name` is NAME; its documentation and its fields are
what the reference, scenario files and their schema say of it.
"""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from rateproof.errors import InvalidArgument
from rateproof.policy import Policy, Quota
from rateproof.registry import modules_in
from rateproof.simulate.behaviour import Behaviour, rate_interval_ns
from rateproof.simulate.programs.arrivals import Exponential
from rateproof.units import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BEHAVIOURS", "behaviour_named", "make_behaviour"]

BEHAVIOURS: dict[str, type[Behaviour]] = {
    name: getattr(module, name.capitalize()) for name, module in modules_in(__name__).items()
}
"""Every behaviour by name; each can be made without arguments."""


def behaviour_named(name: str) -> type[Behaviour]:
    """The class of a behaviour.

    Raises:
        InvalidArgument: no behaviour has this name.
    """
    if name not in BEHAVIOURS:
        raise InvalidArgument(f"unknown behaviour {name!r}", f"one of {', '.join(BEHAVIOURS)}")
    return BEHAVIOURS[name]


def make_behaviour(
    name: str, *, rate_per_s: float | None = None, policy: Policy | None = None
) -> Behaviour:
    """A behaviour from what a command line knows of it.

    Args:
        name: a name from `BEHAVIOURS`.
        rate_per_s: requests a second of one client and one connection: of arrivals
            the mean; of a client that pauses, the mean pause is 1 / rate, and answers
            and repetitions come on top; otherwise as the class's `at_rate` says.
        policy: whose first quota the attackers aim at; 5 per 5s if not given.

    Raises:
        InvalidArgument: an unknown name, a rate out of bounds, or a rate for
            a behaviour that has none.
    """
    kind = behaviour_named(name)
    quota = Quota(5, 5 * SECOND_NS) if policy is None else policy.quotas[0]
    if rate_per_s is None:
        against: Callable[[Quota], Behaviour] | None = getattr(kind, "against", None)
        return kind() if against is None else against(quota)
    made = _at_rate(kind, rate_per_s, quota)
    if made is None:
        rated = (name for name, kind in BEHAVIOURS.items() if _at_rate(kind, 1.0, quota))
        raise InvalidArgument(
            f"behaviour {name!r} has no rate",
            f"leave the rate out, or use one of {', '.join(rated)}",
        )
    return made


def _at_rate(kind: Any, rate_per_s: float, quota: Quota) -> Behaviour | None:
    """By what the class says; else the mean of its pauses or of its intervals is 1 / rate."""
    interval_ns = rate_interval_ns(rate_per_s)
    names = {field.name for field in fields(kind)}
    made: Behaviour | None = None
    if hasattr(kind, "at_rate"):
        made = kind.at_rate(rate_per_s, quota)
    elif "pause" in names:
        made = kind(pause=Exponential(interval_ns))
    else:
        for name in names & {"mean_interval_ns", "interval_ns"}:
            made = kind(**{name: interval_ns})
    return made
