"""A client that keeps to a timetable and sends nothing else."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

from rateproof.policy import Quota
from rateproof.simulate.behaviour import MAX_REQUESTS
from rateproof.simulate.behaviours.boundary import DEFAULT_EDGES
from rateproof.simulate.programs.arrivals import Fixed
from rateproof.simulate.programs.parameters import TIMETABLE, check_parameters
from rateproof.simulate.programs.program import Program
from rateproof.simulate.programs.steps import Step, ask, compiled, share_out, wait
from rateproof.simulate.programs.timetable import Timed, Timetable


@dataclass(frozen=True, slots=True)
class Schedule:
    """Each step's requests at its instant, once; then the client ends.

    The connections of a client share the requests of a step evenly: n of them
    on n connections or more are released together, and on one connection they
    go one after the other.

    Args:
        steps: what is sent when, such as `1 at 0s, 4 at 4.9s, 2 at 5.1s`: 1 to
            10,000 steps, each later than the one before.

    Raises:
        InvalidArgument: no step, too many, or out of order; requests out of bounds.
    """

    name: ClassVar[str] = "schedule"

    steps: tuple[tuple[int, int], ...] = field(
        default=Timetable.parse("1 at 0s, 4 at 4.9s, 2 at 5.1s"), metadata=TIMETABLE
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", Timetable.of(self.steps))
        check_parameters(self)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form: `N at TIME`, joined by commas; `str` gives it back.

        Raises:
            InvalidArgument: another form, naming the part; or see the class.
        """
        return cls(Timetable.parse(text))

    @classmethod
    def against(cls, quota: Quota) -> Self:
        """Show a window that its first request opens: 1, then N - 1 and 2 around its end."""
        window_ns = max(quota.window_ns, 4)
        edge_ns = max(1, window_ns // DEFAULT_EDGES)
        before = Timed(window_ns - edge_ns, min(quota.limit, MAX_REQUESTS) - 1)
        steps = (Timed(0, 1), before, Timed(window_ns + edge_ns, 2))
        return cls(tuple(step for step in steps if step.requests))

    def program(self) -> Program:
        """A wait and a share of requests for each step."""
        parts: list[Step] = []
        now_ns = 0
        for at_ns, requests in self.steps:
            if at_ns > now_ns:
                parts.append(wait(Fixed(at_ns - now_ns)))
            parts.append(share_out(requests, ask()))
            now_ns = at_ns
        return compiled(*parts)

    @property
    def told(self) -> str:
        """The text for people; shorter than `str`, which can be read again."""
        return Timetable.of(self.steps).told

    def __str__(self) -> str:
        return str(self.steps)
