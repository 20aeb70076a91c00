"""Evidence made of the rows of a log."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from rateproof.events import ADMITTED, REJECTED, UNKNOWN, EventLog
from rateproof.events.columns import NULL
from rateproof.events.pieces import Pieces
from rateproof.policy import Policy
from rateproof.prove.evidence.drawing import Witness
from rateproof.prove.evidence.piece import Evidence
from rateproof.prove.keys import KeyLog
from rateproof.prove.over_admission.breach import Breach
from rateproof.prove.over_admission.gaps import Stair
from rateproof.prove.terms import OVER_ADMISSION, WRONG_REJECTION
from rateproof.prove.wrong_rejection.fullness import Rule, WindowRule


@dataclass
class Exhibits:
    """Makes evidence of rows of a log."""

    log: EventLog
    policy: Policy

    def over_admission(self, key: KeyLog, found: Breach) -> Evidence:
        """Admissions that break the policy's gaps."""
        jobs = [key.admitted[i] for i in found.core]
        quota = self.policy.quotas[found.stair or 0]
        stair = Stair.of(quota)
        steps = max(1, found.steps)
        rows = [key.admitted_rows[i] for i in found.core]
        return Evidence(
            claim=OVER_ADMISSION,
            key=key.key,
            run=self._run_of(rows),
            events=tuple(self._witness(row, ADMITTED) for row in rows),
            span_ns=max(end for _, end in jobs) - min(sent for sent, _ in jobs),
            allowed=stair.size(steps) - 1,
            seen=len(jobs),
            window_ns=stair.span_ns(steps),
            slack_ns=found.slack_ns,
            nested=found.stair is not None,
            policy=str(self.policy),
            minimal=found.minimal,
            complete=found.complete,
        )

    def wrong_rejection(
        self,
        key: KeyLog,
        counted: Sequence[int],
        rejected: Sequence[int],
        *,
        quota: int,
        rule: Rule,
        seen: int | None,
    ) -> Evidence:
        """Rejections without reason; `seen` is None where they only lack a reason together."""
        kept = self.policy.quotas[quota]
        refill_ns = kept.burst * kept.window_ns // kept.limit
        rows = [*sorted(counted, key=self._times), *sorted(rejected, key=self._times)]
        outcomes = dict.fromkeys(key.unknown_rows, UNKNOWN) | dict.fromkeys(
            key.rejected_rows, REJECTED
        )
        events = tuple(self._witness(row, outcomes.get(row, ADMITTED)) for row in rows)
        refused = events[-len(rejected) :]
        last_ns = max(event.received_ns or event.sent_ns for event in refused)
        return Evidence(
            claim=WRONG_REJECTION,
            key=key.key,
            run=self._run_of(rows),
            events=events,
            span_ns=last_ns - refused[0].sent_ns,
            allowed=kept.burst,
            seen=len(counted) if seen is None else seen,
            window_ns=rule.lasts_ns if isinstance(rule, WindowRule) else refill_ns,
            slack_ns=0,
            nested=seen is not None,
            policy=str(self.policy),
            quota=str(kept),
            complete=True,
            without_need=len(rejected),
        )

    @cached_property
    def _numbered(self) -> bool:
        if isinstance(self.log, Pieces):
            return self.log.numbered
        same = self.log.same("sequence")
        if len(self.log) < 2 or same is not None:
            return len(self.log) < 2 or same not in {0, NULL}
        return any(number not in {0, NULL} for number in self.log.ints("sequence"))

    @cached_property
    def _runs(self) -> bool:
        if self.log.same("run") is not None:
            return False
        runs = self.log.ints("run")
        return any(run != runs[0] for run in runs)

    def _times(self, row: int) -> tuple[int, int]:
        event = self.log[row]
        return event.sent_ns, event.sent_ns if event.received_ns is None else event.received_ns

    def _run_of(self, rows: Sequence[int]) -> int | None:
        runs = {self.log[row].run for row in rows}
        return runs.pop() if len(runs) == 1 and self._runs else None

    def _witness(self, row: int, outcome: str) -> Witness:
        event = self.log[row]
        place = self.log.place_of(event) if isinstance(self.log, Pieces) else row
        return Witness(
            number=event.sequence if self._numbered else place,
            sent_ns=event.sent_ns,
            received_ns=event.received_ns,
            status=event.status,
            outcome=outcome,
        )
