"""One log before one policy: what is found against each claim, key by key."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rateproof.events import EventLog
from rateproof.policy import Policy
from rateproof.prove.breach import Breach, find_breach
from rateproof.prove.evidence import OVER_ADMISSION, WRONG_REJECTION, Evidence, Witness
from rateproof.prove.feasible import Exhausted, Interval
from rateproof.prove.models import EXACT, Model, Stair, Tolerance
from rateproof.prove.observed import KeyLog, observe
from rateproof.prove.rejections import WrongRejection, covered_from_ns, has_rule, wrong_rejections

__all__ = ["Doubts", "Trial"]


@dataclass(slots=True)
class Doubts:
    """What would have made a violation, had one thing been otherwise.

    Args:
        tolerance: without the tolerance.
        unknowns: had unknown outcomes been the less favourable.
        exhausted: keys whose search ran out of budget.
    """

    tolerance: bool = False
    unknowns: bool = False
    exhausted: int = 0


@dataclass(slots=True)
class Trial:
    """Everything needed to judge one log.

    Args:
        log: what clients saw.
        policy: what was promised.
        tolerance: what clocks may disagree on.
        budget: positions that may be decided again; counts down.
        keys: the log by key.
        fresh: whether the log says that no key was used before it began.
        cut_off: whether the log says that requests of its run are missing from it.
    """

    log: EventLog
    policy: Policy
    tolerance: Tolerance
    budget: int
    keys: dict[bytes, KeyLog] = field(init=False)
    fresh: bool = field(init=False)
    cut_off: bool = field(init=False)
    _model: Model = field(init=False)
    _longest_ns: int | None = field(init=False)
    _numbered: bool = field(init=False)
    _runs: bool = field(init=False)

    def __post_init__(self) -> None:
        self.keys = observe(self.log)
        self._model = Model.of(self.policy, self.tolerance)
        self.fresh = self.log.metadata.get("fresh_keys") is True
        self.cut_off = self.log.metadata.get("complete") is False
        self._longest_ns = self._longest()
        self._numbered = len(self.log) < 2 or any(self.log.column("sequence"))
        self._runs = len(set(self.log.column("run"))) > 1

    def _longest(self) -> int | None:
        """The longest way from sending to answer; None where an answer was lost."""
        keys = self.keys.values()
        if any(key.unknown for key in keys):
            return None
        known = (job for key in keys for job in (*key.admitted, *key.rejected))
        return max((received_ns - sent_ns for sent_ns, received_ns in known), default=None)

    def over_admissions(self, doubts: Doubts) -> Iterator[Evidence]:
        """One piece of evidence for each key that certainly got too much."""
        for key in self.keys.values():
            found = self._breach(key.admitted, self._model, doubts)
            if found is not None:
                yield self._over_admission(key, found)

    def doubt_over_admission(self, doubts: Doubts) -> None:
        """Note what would have been a breach; for a log that has none."""
        exact = Model.of(self.policy, EXACT)
        for key in self.keys.values():
            if not doubts.tolerance and self.tolerance != EXACT:
                doubts.tolerance = self._breach(key.admitted, exact, doubts) is not None
            if not doubts.unknowns and (ended := key.ended_unknowns()):
                jobs = key.admitted + ended
                doubts.unknowns = self._breach(jobs, self._model, doubts) is not None

    def _breach(self, jobs: Sequence[Interval], model: Model, doubts: Doubts) -> Breach | None:
        found, spent = find_breach(jobs, model, self.budget)
        self.budget -= spent
        if isinstance(found, Exhausted):
            doubts.exhausted += 1
            return None
        return found

    def judged(self, key: KeyLog) -> list[int]:
        """Which of a key's rejections can be judged: see `covered_from_ns`.

        None of a log that is cut off: a request that is missing may have used up the limit.
        """
        if self.cut_off or not has_rule(self.policy):
            return []
        if self.fresh:
            return list(range(len(key.rejected)))
        if self._longest_ns is None:
            return []
        from_ns = covered_from_ns(key.first_sent_ns, self._longest_ns, self.policy, self.tolerance)
        return [i for i, (sent_ns, _) in enumerate(key.rejected) if sent_ns >= from_ns]

    def wrong_rejections(self) -> Iterator[Evidence]:
        """One piece of evidence for each key that was certainly rejected without need."""
        for key in self.keys.values():
            wrong = self._wrong(key, key.maybe_admitted(), self.tolerance)
            if wrong:
                # The emptiest window is the plainest evidence.
                yield self._wrong_rejection(key, min(wrong, key=lambda w: (w.most, w.index)))

    def doubt_wrong_rejection(self, doubts: Doubts) -> None:
        """Note what would have been a wrong rejection; for a log that has none."""
        for key in self.keys.values():
            if not doubts.tolerance and self.tolerance != EXACT:
                doubts.tolerance = bool(self._wrong(key, key.maybe_admitted(), EXACT))
            if not doubts.unknowns and key.unknown:
                doubts.unknowns = bool(self._wrong(key, key.admitted, self.tolerance))

    def _wrong(
        self,
        key: KeyLog,
        admissions: Sequence[tuple[int, int | None]],
        tolerance: Tolerance,
    ) -> list[WrongRejection]:
        judged = self.judged(key)
        rejections = [key.rejected[i] for i in judged]
        found = wrong_rejections(rejections, admissions, self.policy, tolerance)
        return [
            WrongRejection(judged[wrong.index], wrong.quota, wrong.most, wrong.counted)
            for wrong in found
        ]

    def _over_admission(self, key: KeyLog, found: Breach) -> Evidence:
        jobs = [key.admitted[i] for i in found.core]
        quota = self.policy.quotas[found.stair or 0]
        stair = Stair.of(quota)
        steps = max(1, found.steps)
        rows = [key.admitted_rows[i] for i in found.core]
        return Evidence(
            claim=OVER_ADMISSION,
            key=key.key,
            run=self._run_of(rows),
            events=tuple(map(self._witness, rows)),
            span_ns=max(end for _, end in jobs) - min(sent for sent, _ in jobs),
            allowed=stair.size(steps) - 1,
            seen=len(jobs),
            window_ns=stair.span_ns(steps),
            slack_ns=found.slack_ns,
            nested=found.stair is not None,
            policy=str(self.policy),
        )

    def _wrong_rejection(self, key: KeyLog, wrong: WrongRejection) -> Evidence:
        quota = self.policy.quotas[wrong.quota]
        rows = [*key.admitted_rows, *key.unknown_rows]
        counted = sorted((rows[i] for i in wrong.counted), key=self._sent_ns)
        rejected = key.rejected_rows[wrong.index]
        sent_ns, received_ns = key.rejected[wrong.index]
        return Evidence(
            claim=WRONG_REJECTION,
            key=key.key,
            run=self._run_of([*counted, rejected]),
            events=tuple(map(self._witness, [*counted, rejected])),
            span_ns=received_ns - sent_ns,
            allowed=quota.limit,
            seen=wrong.most,
            window_ns=quota.window_ns,
            slack_ns=0,
            nested=False,
            policy=str(self.policy),
        )

    def _sent_ns(self, row: int) -> int:
        return self.log[row].sent_ns

    def _run_of(self, rows: Sequence[int]) -> int | None:
        runs = {self.log[row].run for row in rows}
        return runs.pop() if self._runs and len(runs) == 1 else None

    def _witness(self, row: int) -> Witness:
        event = self.log[row]
        return Witness(
            number=event.sequence if self._numbered else row,
            sent_ns=event.sent_ns,
            received_ns=event.received_ns,
            status=event.status,
            outcome=event.outcome,
        )
