"""The requests and the time that a probe may spend."""

from dataclasses import dataclass

from rateproof.probe.sending import Sender
from rateproof.units import SECOND_NS

_WAYS = 8  # to vary a request
AT_MOST, _STEP = 2, 0.5
"""Times the requests that naming takes, where it takes more, and how they grow."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The requests and the time that a course may spend.

    Args:
        requests: in all.
        time_ns: until the last answer, about; no longer window is looked for.
        max_rate: requests a second, at most; None: as fast as they are answered.
    """

    requests: int = 2_100
    time_ns: int = 100 * SECOND_NS
    max_rate: float | None = None


def needed(limit: int, window_ns: int = 0) -> Budget:
    """The budget that naming a limit and a window takes."""
    return Budget(250 + 18 * limit, 8 * window_ns + 20 * SECOND_NS)


def needed_with_key(limit: int) -> int:
    """The requests that it takes to name a limit, and to find out what its key is made of."""
    return needed(limit + _WAYS).requests


class Spending:
    """A budget that is being spent.

    Attributes:
        end_ns: when the time is over.
        times: how often what naming takes may be spent.
    """

    def __init__(self, sender: Sender, budget: Budget) -> None:
        self.budget = budget
        self.end_ns = sender.now_ns() + budget.time_ns
        self.times: float = 1
        self._sender = sender

    @property
    def left(self) -> int:
        """The requests that are left, and can be sent in time."""
        left, rate = self.budget.requests - self._sender.requests, self.budget.max_rate
        if rate is None:
            return left
        return min(left, max(0, int(rate * (self.end_ns - self._sender.now_ns()) / SECOND_NS)))

    def spare(self, share: float, limit: int) -> int:
        """The requests that are left of a share of what naming a limit takes."""
        most = min(self.budget.requests, self.times * needed(limit).requests)
        return min(self.left, int(share * most) - self._sender.requests)

    def late(self, limit: int, window_ns: int, kept_ns: int) -> bool:
        """Tell if less than `kept_ns` is left of the time that naming them takes."""
        begun_ns = self.end_ns - self.budget.time_ns
        most_ns = needed(limit, window_ns).time_ns
        return self._sender.now_ns() + kept_ns > begun_ns + most_ns

    def more(self, limit: int) -> bool:
        """Go beyond what naming takes, where there is no name and the budget has more; False if it has not."""
        known = self.times * needed(limit).requests
        if self.times == AT_MOST or known >= self.budget.requests:
            return False
        self.times = min(AT_MOST, self.times + _STEP)
        return True
