"""The pace of a target: how fast it answers, so that attacks are not sent faster than that."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from rateproof.events import UNKNOWN, EventLog
from rateproof.hunt.exploration.attacks import Attack, attack
from rateproof.hunt.exploration.sight import Aim
from rateproof.hunt.recipe import Recipe
from rateproof.policy import Policy, Quota
from rateproof.prove.power.weaknesses import FIRST_HIT, FORGETS, WORKERS, Weakness
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.scenario import Group
from rateproof.units import SECOND_NS

SOUNDING: Final = Group(Schedule(((0, 1),)), 16)
"""Fresh clients with a request each, all at once: their answers tell the pace."""

ALONE: Final = Group(Schedule(((0, 1),)), 1)
"""A fresh client with one request."""

SOUNDING_NS: Final = 2 * SECOND_NS
"""The time that they wait for their answers at most."""

QUICK_NS: Final = 1_000_000
"""Whoever answers that fast need not be asked again."""

_TOO_MUCH: Final = 2.0
_LONGEST_NS, _LONGEST_BURST_NS = 30 * SECOND_NS, 4 * SECOND_NS
_LONGEST_GAP_NS = 10 * SECOND_NS
_CLIENTS, _PARTS, _WIDE = 4, 8, 4
_MOST_AT_ONCE, _MOST_LANES = 5_000, 200


@dataclass(frozen=True, slots=True)
class Pace:
    """The time of one answer, and between two where many requests wait.

    Args:
        answer_ns: of the quickest answer.
        each_ns: between two of them.
        share: of what it could answer, so much is sent.
    """

    answer_ns: int
    each_ns: int
    share: float = 0.5

    @classmethod
    def of(cls, log: EventLog) -> Self | None:
        """The pace that a log shows, its requests taken as sent at once; None if nothing was answered."""
        columns = map(log.column, ("sent_ns", "received_ns", "outcome"))
        answers = [
            (sent_ns, received_ns)
            for sent_ns, received_ns, outcome in zip(*columns, strict=True)
            if received_ns is not None and outcome != UNKNOWN
        ]
        if not answers:
            return None
        span_ns = max(end_ns for _, end_ns in answers) - min(log.ints("sent_ns"))
        quickest_ns = min(end_ns - sent_ns for sent_ns, end_ns in answers)
        return cls(quickest_ns, max(1, span_ns // len(answers)))

    @property
    def answers_per_s(self) -> float:
        """Answers a second where many requests wait."""
        return SECOND_NS / self.each_ns

    @property
    def rate_per_s(self) -> float:
        """Requests a second that leave the target idle for a part of the time."""
        return self.share * self.answers_per_s

    def slower(self) -> Self:
        """With half as many requests a second."""
        return replace(self, share=self.share / 2)

    def is_exceeded_by(self, attacks: Sequence[Attack], duration_ns: int) -> bool:
        """Tell if so many requests in that time would wait for each other."""
        requests = sum(
            each.recipe.requests * len(each.starts) + each.recipe.other_clients for each in attacks
        )
        return requests > _TOO_MUCH * self.rate_per_s * duration_ns / SECOND_NS

    def spread(
        self, attacks: Sequence[Attack], duration_ns: int
    ) -> tuple[list[Attack], list[Attack]]:
        """The attacks on fewer clients, one after the other, and those that are left for later.

        There are as many clients of each as find room in the duration, and one at least. Bursts that
        would not be answered in time are left out.
        """
        kept = [each for each in map(self._among_fewer, attacks) if self._is_answered(each)]
        spread: list[Attack] = []
        at_ns = 0
        for place, each in enumerate(kept):
            if at_ns > _LONGEST_NS:
                return spread, kept[place:]
            takes_ns = round(each.recipe.requests / self.rate_per_s * SECOND_NS)
            clients = max(1, min(len(each.starts), duration_ns // len(kept) // max(1, takes_ns)))
            together = bool(each.recipe.other_clients)  # others come with the first of them
            starts = [at_ns + (0 if together else turn * takes_ns) for turn in range(clients)]
            spread.append(replace(each, starts=tuple(starts)))
            at_ns += clients * takes_ns + (each.recipe.span_ns if together else 0)
        return spread, []

    def end_ns(self, attack: Attack) -> int:
        """The instant of its last answer."""
        return attack.end_ns + round(attack.recipe.requests / self.rate_per_s * SECOND_NS)

    def _among_fewer(self, attack: Attack) -> Attack:
        """It among as many other clients as are answered between its bursts."""
        recipe = attack.recipe
        most = int(self.rate_per_s * recipe.span_ns / SECOND_NS)
        if recipe.others is None or recipe.other_clients <= most:
            return attack
        others = Schedule(((recipe.others.steps[0][0], most),)) if most else None
        return replace(attack, recipe=replace(recipe, others=others))

    def _is_answered(self, attack: Attack) -> bool:
        at_once = attack.recipe.largest if attack.recipe.connections > 1 else 1
        return at_once * self.each_ns <= _LONGEST_BURST_NS

    def reaches(self, quota: Quota) -> bool:
        """Tell if the target answers more within a window than its limit."""
        return (quota.limit + 1) * self.each_ns < quota.window_ns

    def between(self, quota: Quota) -> Schedule | None:
        """The other clients that it answers between two bursts of one; None if there is no time."""
        answered_ns = quota.limit * self.each_ns * 5 // 4
        others = (_gap_ns(quota) - answered_ns) // 2 // self.each_ns
        return Schedule(((answered_ns, others),)) if others > 0 else None

    def calm(self, policy: Policy, aims: Sequence[Aim], turn: int) -> list[Attack]:
        """Attacks for some weaknesses, each client after the bursts of the last one.

        These go over one connection, or in every second turn over as many as make them short.
        """
        calm: list[Attack] = []
        at_ns = 0
        for number, family in dict.fromkeys((quota, _gentle(weakness)) for quota, weakness in aims):
            quota = policy.quotas[number]
            window_ns = quota.window_ns
            burst_ns = round(quota.limit / self.rate_per_s * SECOND_NS)
            fold = -(-_PARTS * quota.limit * self.answer_ns // window_ns) if turn % 2 else 1
            edge_ns = max(1, window_ns // (_WIDE if family == "opening" else 2))
            others = self.between(quota) if family == "forget" else None
            if others is not None:
                edge_ns = window_ns - _gap_ns(quota)
            once = attack(family, policy, number, edge_ns, fold=max(1, min(fold, quota.limit)))
            once = replace(once, recipe=replace(once.recipe, others=others))
            if family == "race":
                most = min(quota.limit + 1, _MOST_AT_ONCE)
                once = replace(once, recipe=Recipe(Schedule(((0, most),)), min(most, _MOST_LANES)))
            clients = _CLIENTS if family == "turn" else 1
            starts = []
            for client in range(clients):
                at_ns += (window_ns * client // clients - at_ns) % window_ns
                starts.append(at_ns)
                is_short = burst_ns < window_ns // _PARTS
                at_ns = (
                    at_ns + burst_ns if is_short else self.end_ns(replace(once, starts=(at_ns,)))
                )
            calm.append(replace(once, starts=tuple(starts)))
        return calm

    def __str__(self) -> str:
        took = f"{self.answer_ns / 1e6:.0f} ms" if self.answer_ns >= 1_000_000 else "1 ms or less"
        return f"answers took {took}, and {self.answers_per_s:,.0f} came in a second"


def _gap_ns(quota: Quota) -> int:
    return min(quota.window_ns // 2, _LONGEST_GAP_NS)


def _gentle(weakness: Weakness) -> str:
    """The family of attacks that shows a weakness with the fewest requests at a time."""
    return {FIRST_HIT: "opening", WORKERS: "race", FORGETS: "forget"}.get(weakness, "turn")
