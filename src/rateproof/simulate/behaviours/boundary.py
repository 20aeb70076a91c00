"""An attacker who knows the policy and sends around the edges of its window."""

from dataclasses import dataclass
from typing import ClassVar, Self

from rateproof.errors import InvalidArgument
from rateproof.policy import Quota
from rateproof.simulate.behaviour import MAX_REQUESTS
from rateproof.simulate.programs.arrivals import MAX_INTERVAL_NS, Fixed, Uniform
from rateproof.simulate.programs.parameters import check_parameters, count, duration
from rateproof.simulate.programs.program import Program
from rateproof.simulate.programs.steps import ask, compiled, forever, repeat, wait
from rateproof.units import SECOND_NS, format_duration

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
    """

    name: ClassVar[str] = "boundary"

    limit: int = count(5)
    window_ns: int = duration(5 * SECOND_NS, low=4)
    edge_ns: int = duration(0, low=0)

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.edge_ns > self.window_ns // 4:
            raise InvalidArgument(
                f"edge is {format_duration(self.edge_ns)}",
                f"at most a quarter of the window, {format_duration(self.window_ns // 4)}",
            )
        if self.edge_ns == 0:
            object.__setattr__(self, "edge_ns", max(1, self.window_ns // DEFAULT_EDGES))

    @classmethod
    def against(cls, quota: Quota) -> Self:
        """Around the window of the quota, as many as its limit on each side."""
        return cls(min(quota.limit, MAX_REQUESTS), max(quota.window_ns, 4))

    def program(self) -> Program:
        """Rounds of 2N requests, each from a random phase; answers change nothing."""
        window_ns = self.window_ns
        silence = Uniform(
            min(window_ns + window_ns // 10, MAX_INTERVAL_NS), min(2 * window_ns, MAX_INTERVAL_NS)
        )
        return compiled(
            wait(Uniform(0, window_ns)),
            forever(
                ask(),
                wait(Fixed(window_ns - self.edge_ns)),
                repeat(self.limit - 1, ask()),
                wait(Fixed(2 * self.edge_ns)),
                repeat(self.limit, ask()),
                wait(silence),
            ),
        )
