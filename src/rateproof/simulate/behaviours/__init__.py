"""How clients behave: each a small plan of send instants, by name."""

from collections.abc import Callable

from rateproof.errors import InvalidArgument
from rateproof.policy import Policy, Quota
from rateproof.simulate.arrivals import Exponential
from rateproof.simulate.behaviours.base import (
    Answer,
    Behaviour,
    Plan,
    describe,
    rate_interval_ns,
)
from rateproof.simulate.behaviours.boundary import Boundary
from rateproof.simulate.behaviours.burst import Burst
from rateproof.simulate.behaviours.constant import Constant
from rateproof.simulate.behaviours.poisson import Poisson
from rateproof.simulate.behaviours.polite import Polite
from rateproof.simulate.behaviours.saturate import Saturate
from rateproof.simulate.behaviours.think import Think
from rateproof.units import SECOND_NS

__all__ = [
    "BEHAVIOURS",
    "Answer",
    "Behaviour",
    "Boundary",
    "Burst",
    "Constant",
    "Plan",
    "Poisson",
    "Polite",
    "Saturate",
    "Think",
    "describe",
    "make_behaviour",
    "rate_interval_ns",
]

BEHAVIOURS: dict[str, type[Behaviour]] = {
    kind.name: kind for kind in (Think, Saturate, Poisson, Constant, Boundary, Burst, Polite)
}
"""Every behaviour by name; each can be made without arguments."""


_AT_INTERVAL: dict[str, Callable[[int], Behaviour]] = {
    "think": lambda interval_ns: Think(Exponential(interval_ns)),
    "polite": lambda interval_ns: Polite(Exponential(interval_ns)),
    "poisson": Poisson,
    "constant": Constant,
}
_MOST = 1_000_000


def make_behaviour(
    name: str, *, rate_per_s: float | None = None, policy: Policy | None = None
) -> Behaviour:
    """A behaviour from what a command line knows of it.

    Args:
        name: a name from `BEHAVIOURS`.
        rate_per_s: requests a second of one client and one connection: a mean
            for the random ones, think time alone for the closed ones, the
            mean over bursts and silence for `burst`.
        policy: whose first quota the attackers aim at; 5 per 5s if not given.

    Raises:
        InvalidArgument: an unknown name, a rate out of bounds, or a rate for
            a behaviour that has none.
    """
    if name not in BEHAVIOURS:
        raise InvalidArgument(f"unknown behaviour {name!r}", f"one of {', '.join(BEHAVIOURS)}")
    quota = Quota(5, 5 * SECOND_NS) if policy is None else policy.quotas[0]
    over = min(quota.limit + 1, _MOST)
    if rate_per_s is None:
        if name == "boundary":
            return Boundary(min(quota.limit, _MOST), max(quota.window_ns, 4))
        if name == "burst":
            return Burst(over, quota.window_ns + quota.window_ns // 5)
        return BEHAVIOURS[name]()
    interval_ns = rate_interval_ns(rate_per_s)
    if name == "burst":
        return Burst(over, over * interval_ns)
    if name not in _AT_INTERVAL:
        raise InvalidArgument(
            f"behaviour {name!r} has no rate",
            f"leave the rate out, or use one of burst, {', '.join(_AT_INTERVAL)}",
        )
    return _AT_INTERVAL[name](interval_ns)
