"""Leads: which attacks came close to the limit, so that they are worth trying again, closer."""

from collections.abc import Sequence
from dataclasses import dataclass

from rateproof.events import EventLog
from rateproof.hunt.exploration.attacks import FAMILIES, Attack
from rateproof.hunt.rig import alone
from rateproof.policy import Policy
from rateproof.prove import OVER_ADMISSION, VIOLATED, judge
from rateproof.units import format_seconds

FINEST_NS = 1_000_000
"""No edge is finer: below, latency decides when a request arrives."""


@dataclass(frozen=True, slots=True)
class Lead:
    """An attack, and how much longer than the window limit + 1 admissions of a key took at least."""

    attack: Attack
    margin_ns: int

    @property
    def closer_ns(self) -> int:
        """The edge to try next: half of what was tried, or of what is left."""
        return max(FINEST_NS, min(self.attack.edge_ns, self.margin_ns) // 2)

    @property
    def exhausted(self) -> bool:
        """True if it cannot be tried any closer."""
        return self.attack.edge_ns <= FINEST_NS

    def __str__(self) -> str:
        margin = format_seconds(round(self.margin_ns, -3))
        return f"the {margin} that were left"


class Leads:
    """The closest that each family came to each quota."""

    def __init__(self) -> None:
        self._closest: dict[tuple[str, int], Lead] = {}

    def learn(self, attacks: Sequence[Attack], log: EventLog, policy: Policy) -> None:
        """Take in a run whose first clients were those of the attacks, in order.

        What is violated is no lead any more.
        """
        claims = frozenset({OVER_ADMISSION})
        verdicts = [
            judge(own, policy, claims=claims, tolerance_ppm=0)
            for own in alone(log, sum(len(attack.starts) for attack in attacks))
        ]
        for attack in attacks:
            mine, verdicts = verdicts[: len(attack.starts)], verdicts[len(attack.starts) :]
            place = attack.family, attack.quota
            if not FAMILIES[attack.family].edged:
                continue
            if any(verdict.outcome == VIOLATED for verdict in mine):
                self._closest.pop(place, None)
                continue
            margins = [verdict.pressure[attack.quota].margin_ns for verdict in mine]
            margin_ns = min((ns for ns in margins if ns is not None), default=None)
            known = self._closest.get(place)
            if known is not None and attack.edge_ns >= known.attack.edge_ns:
                continue
            self._closest.pop(place, None)
            if margin_ns is not None:
                self._closest[place] = Lead(attack, max(0, margin_ns))

    def best(self) -> Lead | None:
        """The closest that can be tried closer still."""
        open_leads = [lead for lead in self._closest.values() if not lead.exhausted]
        return min(open_leads, key=lambda lead: (lead.margin_ns, lead.attack.family), default=None)
