"""Clients that all come back when the server says, to the instant."""

from dataclasses import dataclass
from typing import ClassVar, Self

from rateproof.events import ADMITTED, REJECTED
from rateproof.policy import Quota
from rateproof.simulate.behaviour import over_limit
from rateproof.simulate.programs import steps
from rateproof.simulate.programs.arrivals import Fixed
from rateproof.simulate.programs.parameters import Checked, count, duration
from rateproof.simulate.programs.program import Program
from rateproof.units import SECOND_NS


@dataclass(frozen=True, slots=True)
class Herd(Checked):
    """A burst until rejected, then the wait that the server names, without jitter.

    Every client starts at once and none draws at random, so those that hear
    the same reset come back together: the thundering herd that
    draft-ietf-httpapi-ratelimit-headers-11, section 4.1.2, has in mind. Source of
    the cure it leaves out: Brooker, "Exponential Backoff And Jitter", AWS
    Architecture Blog (2015).

    Args:
        requests: how many a connection sends in a burst, 1 to 10**6, one after
            the other; the first that is not admitted ends the burst.
        wait_ns: from the last answer to the next burst where that answer names
            no wait.
    """

    name: ClassVar[str] = "herd"

    requests: int = count(6)
    wait_ns: int = duration(5 * SECOND_NS)

    @classmethod
    def against(cls, quota: Quota) -> Self:
        """Up to one request above the limit; a window of wait where none is named."""
        return cls(over_limit(quota), quota.window_ns)

    def program(self) -> Program:
        """Next instant = end of the last answer, or + Retry-After, or + `wait_ns`."""
        pause = Fixed(self.wait_ns)
        burst = steps.ask()
        if self.requests > 1:
            burst += steps.while_(
                frozenset({ADMITTED}), self.requests - 1, steps.RESUME, steps.ask()
            )
        after = steps.when(
            frozenset({REJECTED}), steps.honour(pause), steps.RESUME + steps.wait(pause)
        )
        return steps.compiled(steps.forever(burst, after))
