"""An attacker who knows the policy and sends around the edges of its window."""

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from rateproof.errors import InvalidArgument
from rateproof.simulate.arrivals import Uniform
from rateproof.simulate.behaviours.base import Plan
from rateproof.simulate.checks import check_count, check_duration
from rateproof.units import SECOND_NS

__all__ = ["Boundary"]

DEFAULT_EDGES = 50


@dataclass(frozen=True, slots=True)
class Boundary:
    """One request opens a window, the rest press on both sides of its end.

    A round of a limit N over a window W, from a random instant: 1 request at
    0, N - 1 at W - edge, N at W + edge; then more than W of silence. A window
    that the first request opens admits all 2N - 1 within 2*edge + what the
    burst takes. The shortest schedule that shows it for N = 5, W = 5 s is
    1@0, 4@4.9, 2@5.1 (measured against Flask-Limiter's `fixed-window`).

    Args:
        limit: N, 1 to 10**6.
        window_ns: W, at least 4 ns.
        edge_ns: how far before and after the end of the window; 0 means W/50.
            At most W/4.

    Raises:
        InvalidArgument: out of these bounds.
    """

    name: ClassVar[str] = "boundary"

    limit: int = 5
    window_ns: int = 5 * SECOND_NS
    edge_ns: int = 0

    def __post_init__(self) -> None:
        check_count("limit", self.limit, 1, 1_000_000)
        check_duration("window_ns", self.window_ns, low=4)
        check_duration("edge_ns", self.edge_ns, low=0)
        if self.edge_ns > self.window_ns // 4:
            raise InvalidArgument(
                f"edge_ns is {self.edge_ns}",
                f"at most a quarter of the window, {self.window_ns // 4}",
            )
        if self.edge_ns == 0:
            object.__setattr__(self, "edge_ns", max(1, self.window_ns // DEFAULT_EDGES))

    def plan(self, rng: Random) -> Plan:
        """Rounds of 2N requests, each from a random phase; answers change nothing."""
        silence = Uniform(self.window_ns + self.window_ns // 10, 2 * self.window_ns)
        start_ns = Uniform(0, self.window_ns).draw(rng)
        while True:
            yield start_ns
            for _ in range(self.limit - 1):
                yield start_ns + self.window_ns - self.edge_ns
            for _ in range(self.limit):
                yield start_ns + self.window_ns + self.edge_ns
            start_ns += self.window_ns + self.edge_ns + silence.draw(rng)
