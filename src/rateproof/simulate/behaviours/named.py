"""Behaviours by name: the list of them, and one made from what a command line knows."""

from typing import TYPE_CHECKING

from rateproof.errors import InvalidArgument
from rateproof.policy import Policy, Quota
from rateproof.simulate.behaviours.backoff import Backoff
from rateproof.simulate.behaviours.base import Behaviour
from rateproof.simulate.behaviours.boundary import Boundary
from rateproof.simulate.behaviours.burst import Burst
from rateproof.simulate.behaviours.constant import Constant
from rateproof.simulate.behaviours.drip import Drip
from rateproof.simulate.behaviours.herd import Herd
from rateproof.simulate.behaviours.poisson import Poisson
from rateproof.simulate.behaviours.polite import Polite
from rateproof.simulate.behaviours.race import Race
from rateproof.simulate.behaviours.ramp import Ramp
from rateproof.simulate.behaviours.saturate import Saturate
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.behaviours.storm import Storm
from rateproof.simulate.behaviours.sybil import Sybil
from rateproof.simulate.behaviours.think import Think
from rateproof.simulate.behaviours.zipf import Zipf
from rateproof.simulate.checks import check_rate
from rateproof.units import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BEHAVIOURS", "behaviour_named", "make_behaviour"]

BEHAVIOURS: dict[str, type[Behaviour]] = {
    kind.name: kind
    for kind in (
        Think,
        Saturate,
        Poisson,
        Constant,
        Ramp,
        Burst,
        Polite,
        Backoff,
        Storm,
        Boundary,
        Race,
        Sybil,
        Zipf,
        Herd,
        Drip,
        Schedule,
    )
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
        rate_per_s: requests a second of one client and one connection: what
            that means is said at each behaviour's `at_rate`.
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
    at_rate: Callable[[float, Quota], Behaviour] | None = getattr(kind, "at_rate", None)
    if at_rate is None:
        rated = (other for other in BEHAVIOURS if hasattr(BEHAVIOURS[other], "at_rate"))
        raise InvalidArgument(
            f"behaviour {name!r} has no rate",
            f"leave the rate out, or use one of {', '.join(rated)}",
        )
    check_rate("rate", rate_per_s)
    return at_rate(rate_per_s, quota)
