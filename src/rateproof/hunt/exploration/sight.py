"""Sight: which known weaknesses the attacks would have shown, as they were planned and as they came."""

from collections.abc import Iterator, Sequence

from rateproof.clock import Tolerance
from rateproof.events import ADMITTED, REJECTED, EventLog
from rateproof.hunt.exploration.attacks import Attack
from rateproof.hunt.rig import keys_of, rows_of
from rateproof.policy import Policy
from rateproof.prove.evidence.wording import plain_quota
from rateproof.prove.over_admission.families import Model
from rateproof.prove.power.weaknesses import FORGETS, WEAKNESSES, Asked, Weakness, shown

Aim = tuple[int, Weakness]
"""The number of a quota, and a way in which it may be kept that admits too much."""


class Sight:
    """The weaknesses that a test could have seen, whatever phase windows have.

    Args:
        policy: what is promised.
        tolerance: what clocks may disagree on.
    """

    def __init__(self, policy: Policy, tolerance: Tolerance) -> None:
        self._policy = policy
        self._model = Model.of(policy, tolerance)
        self._unplanned = dict[Aim, set[int]]()
        self._unseen = dict[Aim, set[int]]()

    @property
    def missed(self) -> list[Aim]:
        """The weaknesses that attacks were sent for, and would not have been seen as these came."""
        return [aim for aim, phases in self._unseen.items() if phases and not self._unplanned[aim]]

    @property
    def seen(self) -> list[Aim]:
        """The weaknesses that would have been seen."""
        return [
            aim for aim, phases in self._unseen.items() if not phases and not self._unplanned[aim]
        ]

    def words(self, aims: Sequence[Aim]) -> str:
        """Some of them in plain words."""
        quotas = self._policy.quotas
        told = [
            words if len(quotas) == 1 else f"{words} ({plain_quota(str(quotas[quota]))})"
            for quota, words in ((quota, weakness.words) for quota, weakness in aims)
        ]
        return " and ".join(filter(None, [", ".join(told[:-1]), *told[-1:]]))

    def learn(self, attacks: Sequence[Attack], log: EventLog) -> None:
        """Take in a run whose first clients were those of the attacks, in order."""
        last = 0
        for attack in attacks:
            first, last = last, last + len(attack.starts)
            if self._policy.quotas[attack.quota].record.delays:
                continue  # late answers are what it promises
            aims = [(attack.quota, weakness) for weakness in WEAKNESSES]
            aims = [aim for aim in aims if self._is_for(attack, aim)]
            for requests in _asked(log, first, last) if aims else ():
                for aim in aims:
                    self._unseen[aim] -= self._shown(requests, aim, self._unseen[aim])

    def _is_for(self, attack: Attack, aim: Aim) -> bool:
        """Tell if the attack, were it to come as planned, would show a weakness that none has shown."""
        _, weakness = aim
        if weakness is FORGETS and not attack.recipe.other_clients:
            return False
        unseen = self._unseen.setdefault(aim, set(weakness.phases))
        unplanned = self._unplanned.setdefault(aim, set(weakness.phases))
        if not unplanned and not unseen:
            return False
        missing = set(weakness.phases)
        for start_ns in attack.starts:
            missing -= self._shown(_intended(attack, start_ns), aim, missing)
        unplanned &= missing
        return len(missing) < len(weakness.phases)

    def _shown(self, requests: Sequence[Asked], aim: Aim, phases: set[int]) -> set[int]:
        quota, weakness = aim
        return shown(requests, self._policy, quota, weakness, model=self._model, phases=phases)


def _intended(attack: Attack, start_ns: int) -> list[Asked]:
    """The requests of a client as they are to come, each decided as it is sent."""
    lanes = attack.recipe.connections
    return [
        Asked(start_ns + at_ns, start_ns + at_ns, turn % lanes)
        for at_ns, count in attack.recipe.schedule.steps
        for turn in range(count)
    ]


def _asked(log: EventLog, first: int, last: int) -> Iterator[list[Asked]]:
    """The requests of some of the first clients that a limiter answered."""
    names = ("sent_ns", "received_ns", "connection", "outcome")
    for rows in rows_of(log, keys_of(log, last)[first:]).values():
        came = zip(*(log.column(name, rows) for name in names), strict=True)
        yield sorted(
            Asked(sent_ns, received_ns, connection)
            for sent_ns, received_ns, connection, outcome in came
            if outcome in {ADMITTED, REJECTED} and received_ns is not None
        )
