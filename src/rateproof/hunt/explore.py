"""What to try next: every iteration is drawn from the seed and its number alone."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from rateproof.policy import Policy, Quota
from rateproof.simulate.behaviours import (
    Behaviour,
    Boundary,
    Burst,
    Constant,
    Poisson,
    Polite,
    Saturate,
    Think,
)
from rateproof.simulate.programs.arrivals import Exponential, Uniform
from rateproof.simulate.scenario import Group
from rateproof.units import SECOND_NS

__all__ = ["SHAPES", "Draw", "draw"]

_CLIENTS = (2, 100)
_RATE_PER_S = (10.0, 300.0)
_WINDOWS = (1.35, 2.2)
_DURATION_NS = (2 * SECOND_NS, 30 * SECOND_NS)

# With 12 independent phases the chance that no attacker's window ends within the
# shortest run is 0.65**12, below 1 %.
_EDGE_CLIENTS = 12
_RACERS = 3
_MOST_RACED = 20_000
_STEADY_CLIENTS, _STEADY_LEAST_NS = 2, 5_000_000

_EDGE_WINDOW_NS = (4, 3_600 * SECOND_NS)


@dataclass(frozen=True, slots=True)
class Draw:
    """One iteration's traffic.

    Args:
        seed: of the whole test.
        iteration: its number, from 1.
        shape: name of the crowd's behaviour, from `SHAPES`.
        clients: how many clients the crowd has.
        rate_per_s: requests a second of the whole crowd, as intended; None
            for a crowd that sends as fast as it is answered.
        duration_ns: how long it lasts.
        groups: the crowd, and beside it those who press edges and race.
    """

    seed: int
    iteration: int
    shape: str
    clients: int
    rate_per_s: float | None
    duration_ns: int
    groups: tuple[Group, ...]

    @property
    def scenario_seed(self) -> int:
        """The seed of the iteration's scenario: 63 bits of the drawn stream."""
        return _stream(self.seed, self.iteration, "scenario").getrandbits(63)

    def __str__(self) -> str:
        rate = "as fast as answered" if self.rate_per_s is None else f"{self.rate_per_s} requests/s"
        return (
            f"{self.shape}, {self.clients} clients, {rate}, {self.duration_ns / SECOND_NS:.1f} s; "
            f"with {_EDGE_CLIENTS} at the window's edges and {_RACERS} racing"
        )


def _bursts(interval_ns: int, quota: Quota) -> Behaviour:
    requests = min(quota.limit + 1, _MOST_RACED)
    return Burst(requests, requests * interval_ns)


SHAPES: dict[str, Callable[[int, Quota], Behaviour]] = {
    "steady": lambda interval_ns, _: Think(Exponential(interval_ns)),
    "uniform": lambda interval_ns, _: Think(Uniform(0, 2 * interval_ns)),
    "poisson": lambda interval_ns, _: Poisson(interval_ns),
    "constant": lambda interval_ns, _: Constant(interval_ns),
    "polite": lambda interval_ns, _: Polite(Exponential(interval_ns)),
    "bursts": _bursts,
    "saturate": lambda _, __: Saturate(),
}
"""How the crowd can behave: from the mean interval between two requests of one client."""


def draw(seed: int, iteration: int, policy: Policy) -> Draw:
    """The traffic of one iteration; equal arguments give equal draws.

    Counts and rates are log-uniform, so that few clients are as likely as
    many. Every len(SHAPES) iterations each shape comes once, in an order
    drawn from the seed. Each iteration presses one quota, in turn.
    """
    rng = _stream(seed, iteration, "draw")
    shape = _shape(seed, iteration)
    clients = round(_log_uniform(rng, *_CLIENTS))
    rate_per_s = round(_log_uniform(rng, *_RATE_PER_S), 1)
    quota = policy.quotas[(iteration - 1) % len(policy.quotas)]
    low, high = (round(factor * quota.window_ns) for factor in _WINDOWS)
    duration_ns = min(max(rng.randint(low, high), _DURATION_NS[0]), _DURATION_NS[1])
    interval_ns = max(1, round(clients / rate_per_s * SECOND_NS))
    saturating = shape == "saturate"
    if saturating:
        clients = min(clients, 2)  # the generator itself must not be what is measured
    crowd = Group(SHAPES[shape](interval_ns, quota), clients)
    groups = (crowd, *_pressing(quota, duration_ns, rng))
    if len(policy.quotas) > 1:
        groups = (_steady(policy), *groups)
    rate = None if saturating else rate_per_s
    return Draw(seed, iteration, shape, clients, rate, duration_ns, groups)


def _steady(policy: Policy) -> Group:
    """Clients who take all that the tighter quotas admit, so that the wider ones fill up."""
    interval_ns = min(quota.window_ns // quota.limit for quota in policy.quotas) // 2
    return Group(Constant(max(interval_ns, _STEADY_LEAST_NS)), _STEADY_CLIENTS)


def _pressing(quota: Quota, duration_ns: int, rng: Random) -> tuple[Group, ...]:
    """Clients at the edges of the window, and clients who race themselves for it."""
    low, high = _EDGE_WINDOW_NS
    edges = Boundary(
        limit=min(quota.limit, _MOST_RACED), window_ns=min(max(quota.window_ns, low), high)
    )
    connections = rng.choice((4, 8, 16))
    raced = min(2 * quota.limit, _MOST_RACED)
    race = Burst(
        requests=math.ceil(raced / connections) + 1,
        every_ns=min(quota.window_ns * 6 // 5, duration_ns * 3 // 5),
    )
    return Group(edges, _EDGE_CLIENTS), Group(race, _RACERS, connections)


def _shape(seed: int, iteration: int) -> str:
    turn, place = divmod(iteration - 1, len(SHAPES))
    order = sorted(SHAPES)
    _stream(seed, turn, "shapes").shuffle(order)
    return order[place]


def _stream(seed: int, number: int, purpose: str) -> Random:
    return Random(f"{seed}/{number}/{purpose}")  # noqa: S311  reproducible, not secret


def _log_uniform(rng: Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))
