"""The tightest limits that reject nothing of most clients, and limits to try."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rateproof.plan.traffic import Peaks

SHARES: Final = (0.99, 0.999, 1.0)
"""Parts of clients of which nothing is to be rejected."""

_STEPS: Final = (1, 2, 5)
_MOST_LIMITS: Final = 14


@dataclass(frozen=True, slots=True)
class Choice:
    """The tightest limits of a window.

    Args:
        window_ns: its length.
        limits: of each of `SHARES`: no log, bucket or window of so many rejects anything of them.
        beyond: clients that may be above each.
        certain: as tight as the limits may be: so many requests certainly fell in one window of
            a client of the rest.
        places: that a table needs at most.
        half: the tightest limit for half of the clients.
    """

    window_ns: int
    limits: tuple[int, ...]
    beyond: tuple[int, ...]
    certain: tuple[int, ...]
    places: int
    half: int


def choose(peaks: Peaks) -> Choice:
    """Return the tightest limits of a window."""
    most, least = sorted(filter(None, peaks.most)), sorted(filter(None, peaks.least))
    limits = tuple(_at(most, share) for share in SHARES)
    return Choice(
        peaks.window_ns,
        limits,
        tuple(sum(one > limit for one in most) for limit in limits),
        tuple(_at(least, share) for share in SHARES),
        peaks.places,
        _at(most, 0.5),
    )


def _at(ordered: Sequence[int], share: float) -> int:
    """Return the least of these numbers that at least this part of them does not exceed."""
    count = len(ordered)
    above = int(count * (1 - share) + 1e-9)
    return ordered[count - 1 - above] if count else 1


def limits_to_try(choice: Choice) -> list[int]:
    """Return round limits from what half of the clients keep to what all of them do."""
    steps = (step * 10**power for power in range(10) for step in _STEPS)
    return [one for one in steps if choice.half <= one <= choice.limits[-1]][-_MOST_LIMITS:]
