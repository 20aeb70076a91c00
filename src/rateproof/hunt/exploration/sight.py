"""Sight: which known weaknesses the attacks would have shown, as they were planned and as they came."""

from collections.abc import Iterator, Sequence
from typing import Final

from rateproof.clock import Tolerance
from rateproof.events import ADMITTED, REJECTED, EventLog
from rateproof.hunt.exploration.attacks import Attack
from rateproof.hunt.rig import keys_of, rows_of
from rateproof.policy import Policy, Quota
from rateproof.prove.evidence.wording import plain_quota
from rateproof.prove.over_admission.families import Model
from rateproof.prove.power.weaknesses import FORGETS, WEAKNESSES, Attempt, Weakness, shown
from rateproof.units import format_seconds

_TENTH_NS: Final = 100_000_000

Aim = tuple[int, Weakness]
"""The number of a quota, and a way in which it may be kept that admits too much."""


class Sight:
    """The weaknesses that a test could have seen, whatever phase windows have."""

    def __init__(self, policy: Policy, tolerance: Tolerance) -> None:
        self._policy = policy
        self._model = Model.of(policy, tolerance)
        self._unplanned = dict[Aim, set[int]]()
        self._unseen = dict[Aim, set[int]]()
        self._paused_ns = 0

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

    @property
    def reach(self) -> str:
        """The longest pause after which a client came as often as shows that it gets too much, in words."""
        tenths = -(-self._paused_ns // _TENTH_NS)
        longer = f" longer than {format_seconds(tenths * _TENTH_NS)}" if tenths else ""
        return f"pauses of a client{longer} were not tried"

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
            quota = self._policy.quotas[attack.quota]
            asked = list(_asked(log, first, last))
            self._paused_ns = max([self._paused_ns, *(_paused_ns(one, quota) for one in asked)])
            if quota.record.delays:
                continue  # late answers are what it promises
            aims = [(attack.quota, weakness) for weakness in WEAKNESSES]
            aims = [aim for aim in aims if self._is_for(attack, aim)]
            for requests in asked if aims else ():
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

    def _shown(self, requests: Sequence[Attempt], aim: Aim, phases: set[int]) -> set[int]:
        quota, weakness = aim
        return shown(requests, self._policy, quota, weakness, model=self._model, phases=phases)


def _intended(attack: Attack, start_ns: int) -> list[Attempt]:
    """The requests of a client as they are to come, each decided as it is sent."""
    lanes = attack.recipe.connections
    return [
        Attempt(start_ns + at_ns, start_ns + at_ns, turn % lanes)
        for at_ns, count in attack.recipe.schedule.steps
        for turn in range(count)
    ]


def _paused_ns(requests: Sequence[Attempt], quota: Quota) -> int:
    """The longest pause that more requests than the limit were answered after, all within a window.

    Those that lie in the same window before it count, too.
    """
    longest_ns, ended_ns = 0, requests[0].sent_ns if requests else 0
    for place, one in enumerate(requests):
        if one.sent_ns - ended_ns > longest_ns and any(
            last.received_ns - first.sent_ns <= quota.window_ns
            for first, last in zip(
                requests[max(0, place - quota.limit) :],
                requests[max(place, quota.limit) :],
                strict=False,
            )
            if last.sent_ns - one.sent_ns <= quota.window_ns
        ):
            longest_ns = one.sent_ns - ended_ns
        ended_ns = max(ended_ns, one.received_ns)
    return longest_ns


def _asked(log: EventLog, first: int, last: int) -> Iterator[list[Attempt]]:
    """The requests of some of the first clients that a limiter answered."""
    names = ("sent_ns", "received_ns", "connection", "outcome")
    for rows in rows_of(log, keys_of(log, last)[first:]).values():
        came = zip(*(log.column(name, rows) for name in names), strict=True)
        yield sorted(
            Attempt(sent_ns, received_ns, connection)
            for sent_ns, received_ns, connection, outcome in came
            if outcome in {ADMITTED, REJECTED} and received_ns is not None
        )
