"""What of time a drawing of evidence shows: the requests, and the window that they are held to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeVar

from rateproof.prove.claims import WRONG_REJECTION

if TYPE_CHECKING:
    from rateproof.prove.evidence.evidence import Evidence

__all__ = ["Frame", "shown"]

_CUT: Final = 4
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Frame:
    """Instants that a drawing has to place.

    Args:
        first_ns: where it begins.
        last_ns: where it ends, later than `first_ns`.
        opens_ns: where the window begins.
        closes_ns: where it ends; after `last_ns` where the window is so much
            longer than what happened in it that it is cut off.
    """

    first_ns: int
    last_ns: int
    opens_ns: int
    closes_ns: int

    @classmethod
    def of(cls, evidence: "Evidence") -> Self:
        """The frame of all requests and of the window."""
        first_ns = min(event.sent_ns for event in evidence.events)
        ends = (e.sent_ns if e.received_ns is None else e.received_ns for e in evidence.events)
        last_ns = max(first_ns + 1, *ends)
        opens_ns = first_ns
        if evidence.claim == WRONG_REJECTION:
            opens_ns = evidence.events[-1].sent_ns - evidence.window_ns
            first_ns = min(first_ns, opens_ns)
        elif evidence.window_ns < _CUT * (last_ns - first_ns):
            last_ns = max(last_ns, first_ns + evidence.window_ns)
        return cls(first_ns, last_ns, opens_ns, opens_ns + evidence.window_ns)

    @property
    def is_cut(self) -> bool:
        """Whether the window goes on behind the end."""
        return self.closes_ns > self.last_ns

    def place(self, ns: int, width: int) -> int:
        """Where an instant lies, 0 to `width`; what lies outside is at the edge."""
        along = (ns - self.first_ns) * width // (self.last_ns - self.first_ns)
        return min(width, max(0, along))


def shown(rows: Sequence[T], most: int) -> tuple[Sequence[T], int, Sequence[T]]:
    """The rows to draw: the first ones, how many are left out behind them, and the last ones."""
    if len(rows) <= most:
        return rows, 0, ()
    last = most // 3
    return rows[: most - last], len(rows) - most, rows[-last:]
