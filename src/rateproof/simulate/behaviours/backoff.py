"""Clients that retry, and wait longer each time."""

from dataclasses import dataclass, field
from typing import ClassVar

from rateproof.errors import InvalidArgument
from rateproof.simulate.behaviour import FAILURES
from rateproof.simulate.programs import steps
from rateproof.simulate.programs.arrivals import Exponential, Interval
from rateproof.simulate.programs.parameters import INTERVAL, check_parameters, count, duration
from rateproof.simulate.programs.program import Program
from rateproof.units import SECOND_NS


@dataclass(frozen=True, slots=True)
class Backoff:
    """A closed user whose request is repeated until it is admitted or given up.

    Before repetition k = 0, 1, ... the pause is uniform from 0 to
    min(cap, base * 2**k): exponential backoff with full jitter. Source: Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog (2015).

    Args:
        base_ns: the longest pause before the first repetition.
        cap_ns: the longest before any, not below `base_ns`.
        retries: how often a request is repeated at most, 1 to 10**6.
        pause: think time before each new request.
    """

    name: ClassVar[str] = "backoff"

    base_ns: int = duration(SECOND_NS // 2)
    cap_ns: int = duration(20 * SECOND_NS)
    retries: int = count(10)
    pause: Interval = field(default=Exponential(SECOND_NS // 2), metadata=INTERVAL)

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.cap_ns < self.base_ns:
            raise InvalidArgument(
                f"cap_ns {self.cap_ns} is below base_ns {self.base_ns}", "base_ns <= cap_ns"
            )

    def program(self) -> Program:
        """Next instant = end of the last answer + a jittered pause, or + a draw of `pause`."""
        again = steps.while_(
            FAILURES, self.retries, steps.back_off(self.base_ns, self.cap_ns), steps.ask()
        )
        return steps.compiled(
            steps.forever(steps.FRESH, steps.wait(self.pause), steps.ask(), again, steps.RESUME)
        )
