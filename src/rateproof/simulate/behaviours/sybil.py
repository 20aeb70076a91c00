"""One client, ever new identities."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

from rateproof.policy import Quota
from rateproof.simulate.behaviour import MAX_REQUESTS
from rateproof.simulate.programs.arrivals import Exponential, Interval
from rateproof.simulate.programs.parameters import INTERVAL, Checked, count
from rateproof.simulate.programs.program import Program
from rateproof.simulate.programs.steps import RENAME, RESUME, ask, compiled, forever, repeat, wait
from rateproof.units import SECOND_NS


@dataclass(frozen=True, slots=True)
class Sybil(Checked):
    """A closed client that throws its identity away after a few requests.

    It is never denied by a limit per identity of at least `requests`, and it
    fills the limiter's table. Source: Douceur, "The Sybil Attack" (IPTPS 2002).

    Args:
        requests: how many each identity makes on each connection, 1 to 10**6.
        pause: between an answer and the next request, and before the first.
    """

    name: ClassVar[str] = "sybil"

    requests: int = count(5)
    pause: Interval = field(default=Exponential(SECOND_NS // 2), metadata=INTERVAL)

    @classmethod
    def against(cls, quota: Quota) -> Self:
        """As many requests an identity as the limit allows."""
        return cls(min(quota.limit, MAX_REQUESTS))

    def program(self) -> Program:
        """Next instant = end of the last answer + a draw; alias = requests so far / `requests`, by connection."""
        one = repeat(self.requests, wait(self.pause), ask(), RESUME)
        return compiled(forever(one, RENAME))
