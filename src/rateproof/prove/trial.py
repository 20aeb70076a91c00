"""One log before one policy: what is found against each claim, key by key."""

from collections.abc import Iterator, Sequence
from dataclasses import InitVar, dataclass, field
from functools import cached_property

from rateproof.events import EventLog
from rateproof.events.columns import NULL
from rateproof.policy import Policy
from rateproof.prove.breach import Breach, find_breach
from rateproof.prove.evidence import OVER_ADMISSION, WRONG_REJECTION, Evidence, Witness
from rateproof.prove.feasible import Exhausted, Interval
from rateproof.prove.models import EXACT, Model, Stair, Tolerance
from rateproof.prove.observed import KeyLog
from rateproof.prove.rejections import WrongRejection, judged, wrong_rejections
from rateproof.prove.screen import screened
from rateproof.prove.survey import Survey, cut_off, fresh, survey

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


@dataclass
class Trial:
    """Everything needed to judge one log.

    Args:
        log: what clients saw.
        policy: what was promised.
        tolerance: what clocks may disagree on.
        budget: positions that may be decided again; counts down.
        claims: what will be asked; see `verdict.CLAIMS`.
        survey: what is known of the log before anything is searched.
        fresh: whether the log says that no key was used before it began.
        cut_off: whether the log says that requests of its run are missing from it.
    """

    log: EventLog
    policy: Policy
    tolerance: Tolerance
    budget: int
    claims: InitVar[frozenset[str]]
    survey: Survey = field(init=False)
    fresh: bool = field(init=False)
    cut_off: bool = field(init=False)
    _model: Model = field(init=False)

    def __post_init__(self, claims: frozenset[str]) -> None:
        self.survey = screened(
            self.log, self.policy, self.tolerance, over_admission=OVER_ADMISSION in claims
        ) or survey(self.log, self.policy, self.tolerance)
        self._model = Model.of(self.policy, self.tolerance)
        self.fresh = fresh(self.log)
        self.cut_off = cut_off(self.log)

    @cached_property
    def _numbered(self) -> bool:
        """Whether the rows have numbers of their own."""
        same = self.log.same("sequence")
        if len(self.log) < 2 or same is not None:
            return len(self.log) < 2 or same not in {0, NULL}
        return any(number not in {0, NULL} for number in self.log.ints("sequence"))

    @cached_property
    def _runs(self) -> bool:
        """Whether there are several runs."""
        if self.log.same("run") is not None:
            return False
        runs = self.log.ints("run")
        return any(run != runs[0] for run in runs)

    def over_admissions(self, doubts: Doubts) -> Iterator[Evidence]:
        """One piece of evidence for each key that certainly got too much."""
        for suspect in self.survey.suspects:
            if self._clears(suspect.tolerated):
                continue
            key = suspect.load()
            found = self._breach(key.admitted, self._model, doubts)
            if found is not None:
                yield self._over_admission(key, found)

    def doubt_over_admission(self, doubts: Doubts) -> None:
        """Note what would have been a breach; for a log that has none."""
        exact = Model.of(self.policy, EXACT)
        for suspect in self.survey.suspects:
            in_doubt = not doubts.tolerance and self.tolerance != EXACT
            if in_doubt and not self._clears(suspect.exact):
                found = self._breach(suspect.load().admitted, exact, doubts)
                doubts.tolerance = found is not None
            if not doubts.unknowns and not self._clears(suspect.unknown):
                key = suspect.load()
                if ended := key.ended_unknowns():
                    found = self._breach(key.admitted + ended, self._model, doubts)
                    doubts.unknowns = found is not None

    def _clears(self, cost: int | None) -> bool:
        """Whether a search is known to find nothing; its cost is then paid as if it had been made.

        Without the means it would give up on the way, so it must be made.
        """
        if cost is None or cost > max(0, self.budget):
            return False
        self.budget -= cost
        return True

    def _breach(self, jobs: Sequence[Interval], model: Model, doubts: Doubts) -> Breach | None:
        found, spent = find_breach(jobs, model, self.budget)
        self.budget -= spent
        if isinstance(found, Exhausted):
            doubts.exhausted += 1
            return None
        return found

    def wrong_rejections(self) -> Iterator[Evidence]:
        """One piece of evidence for each key that was certainly rejected without need."""
        for suspect in self.survey.suspects:
            if not suspect.wrong:
                continue
            key = suspect.load()
            wrong = self._wrong(key, key.maybe_admitted(), self.tolerance)
            if wrong:
                # The emptiest window is the plainest evidence.
                yield self._wrong_rejection(key, min(wrong, key=lambda w: (w.most, w.index)))

    def doubt_wrong_rejection(self, doubts: Doubts) -> None:
        """Note what would have been a wrong rejection; for a log that has none."""
        survey = self.survey
        if survey.wrong_if_exact is not None and survey.wrong_if_unknown is not None:
            doubts.tolerance |= self.tolerance != EXACT and survey.wrong_if_exact
            doubts.unknowns |= survey.wrong_if_unknown
            return
        for key in (suspect.load() for suspect in survey.suspects):
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
        if self.cut_off:
            return []
        indices = judged(
            key,
            self.policy,
            self.tolerance,
            fresh=self.fresh,
            longest_ns=self.survey.longest_ns,
        )
        rejections = [key.rejected[i] for i in indices]
        found = wrong_rejections(rejections, admissions, self.policy, tolerance)
        return [
            WrongRejection(indices[wrong.index], wrong.quota, wrong.most, wrong.counted)
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
        return runs.pop() if len(runs) == 1 and self._runs else None

    def _witness(self, row: int) -> Witness:
        event = self.log[row]
        return Witness(
            number=event.sequence if self._numbered else row,
            sent_ns=event.sent_ns,
            received_ns=event.received_ns,
            status=event.status,
            outcome=event.outcome,
        )
