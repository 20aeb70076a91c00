"""All iterations of a test together, and one verdict over them."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from rateproof.answer import NOT_TESTED, answer, too_many
from rateproof.hunt.iteration import Iteration
from rateproof.hunt.shrinking.reproduction import Reproduction
from rateproof.policy import Policy
from rateproof.prove import (
    CLAIMS,
    CONSISTENT,
    INCONCLUSIVE,
    OVER_ADMISSION,
    UNTESTED,
    VIOLATED,
    Cause,
    Verdict,
    combine,
)
from rateproof.prove.diagnosis.statuses import ODDLY_ADMITTED
from rateproof.prove.evidence.wording import plain_quota, spaced
from rateproof.units import counted

if TYPE_CHECKING:
    from rateproof.hunt.worst.search import Worst

UNREACHABLE: Final = "UNREACHABLE"


_OF_A_STOP: Final = {
    Cause.NEVER_STRESSED,
    Cause.UNTESTED,
    Cause.TOO_COARSE,
    Cause.NOT_JUDGED,
    Cause.INVALID_RUN,
    Cause.LOG_CUT_OFF,
    Cause.CUT_SHORT,
}
"""Causes of an inconclusive verdict that being stopped may be the reason of."""


_MOST_WARNINGS: Final = 100

_MOST_SHOWN: Final = 8
"""Warnings that are told; the rest are in the logs."""


def of_claim(verdict: Verdict, claim: str) -> Verdict | None:
    """Return the part of a verdict on one claim; None where another one decided it.

    Once a log violates one claim, nothing is concluded of the others from it.
    """
    if verdict.outcome != VIOLATED:
        return verdict
    evidence = tuple(piece for piece in verdict.evidence if piece.claim == claim)
    reasons = tuple(reason for reason in verdict.reasons if reason.startswith(f"{claim}: "))
    if not evidence and not reasons:
        return None
    quotas = verdict.quotas if claim == OVER_ADMISSION else ()  # they are of this claim
    return replace(verdict, evidence=evidence, reasons=reasons, quotas=quotas)


def counted_kinds(counts: Mapping[str, int]) -> str:
    """Each kind with its count, or `none`."""
    return ", ".join(f"{kind}: {count}" for kind, count in counts.items()) or "none"


def without_counts(reason: str) -> str:
    """A reason without how often each answer came, which differs from run to run."""
    return re.sub(r" \([^)]*: \d+[^)]*\)", "", reason)


class Totals:
    """All iterations together, or a log that was judged.

    Args:
        claims: what is tested.
        allow_untested: a quota that was not tested is no doubt about the others.

    `failed` is what ended the test out of order, None if nothing did, and `absent` that the target is
    not there; `other_clients` is how many
    came between two bursts of a client who was still denied then, None where nobody tried;
    `seen` is which known weaknesses would have been seen, and `unseen` a sentence on those that
    would not, for the attacks on them arrived too spread out; `untried` are the attacks that it ended
    before, `remedy` is what it had too little of for them, and `unwaited` the windows whose end is not waited for; `keys` is how keys of a file were used,
    `sent` how many requests were sent in all, and `pursuing` how many of them pursued a finding.
    """

    def __init__(self, claims: Iterable[str] = CLAIMS, *, allow_untested: bool = False) -> None:
        self.allow_untested = allow_untested
        self.failed: str | None = None
        self.absent: str | None = None
        self.other_clients: int | None = None
        self.tried_others = False
        self.seen = self.unseen = self.keys = ""
        self.untried: tuple[str, ...] = ()
        self.remedy = ""
        self.unwaited: tuple[int, ...] = ()
        self.iterations = 0
        self.requests = self.sent = self.pursuing = 0
        self.statuses: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.reproductions = list[Reproduction]()
        self.worst: list[Worst] = []
        self.warnings: list[str] = []
        self._diagnosis: dict[tuple[str, str], str] = {}
        self.claims: dict[str, Verdict | None] = dict.fromkeys(sorted(claims))
        self._combined = combine([])
        self._is_judged = False

    def add(self, iteration: Iteration, *, numbered: bool = True) -> None:
        """Count one iteration in; one without a number is no more than a part of the one before."""
        self.iterations += numbered
        self.requests += iteration.summary.requests
        self.statuses.update({str(k): v for k, v in iteration.summary.statuses.items()})
        self.errors.update(iteration.summary.errors)
        self.crashes.update(iteration.crash_counts)
        self.outcomes[iteration.verdict.allowing_untested().outcome] += numbered
        number = iteration.draw.iteration
        told = [f"iteration {number}: {each}" for each in iteration.summary.warnings]
        self.warnings += told[: _MOST_WARNINGS - len(self.warnings)]
        self.judge(iteration.verdict, stopped=iteration.stopped)

    def judge(self, verdict: Verdict, *, stopped: bool = False) -> None:
        """Take one more verdict into account: on all claims, and on each.

        One that was cut short by a stop and so could not tell is neutral beside others:
        being stopped is the normal end of a test.
        """
        neutral = stopped and verdict.outcome == INCONCLUSIVE
        neutral &= not verdict.counts.events or _OF_A_STOP.issuperset(verdict.causes)
        if not (self._is_judged and neutral):
            self._combined = combine([self._combined, verdict]) if self._is_judged else verdict
        self._is_judged = True
        for name, sentence in zip(verdict.diagnosis, verdict.reasons, strict=False):
            self._diagnosis.setdefault((verdict.outcome, name), sentence)
        for claim, before in self.claims.items():
            part = of_claim(verdict, claim)
            if part is not None and not (before and neutral):
                self.claims[claim] = combine([before, part]) if before else part

    @property
    def combined(self) -> Verdict:
        """On everything together; not consistent if known attacks were not tried, or came too spread out."""
        found = self._combined.allowing_untested() if self.allow_untested else self._combined
        return self._whole(found, self.unseen if OVER_ADMISSION in self.claims else "")

    def of_claim(self, claim: str) -> Verdict | None:
        """The same on one claim; None where another one decided every iteration."""
        found = self.claims[claim]
        unseen = self.unseen if claim == OVER_ADMISSION else ""
        return None if found is None else self._whole(found, unseen)

    def _whole(self, found: Verdict, unseen: str) -> Verdict:
        """A verdict with the doubts that no single iteration has."""
        if found.outcome != CONSISTENT and found.causes != (Cause.UNTESTED,):
            return found
        if unseen:
            return found.doubted(unseen, Cause.TOO_COARSE)
        if self.untried and not self.allow_untested:
            names = [one.quota for one in found.quotas if one.outcome == UNTESTED]
            kept = [plain_quota(one.quota) for one in found.quotas if one.outcome == CONSISTENT]
            missing = ", ".join([*map(plain_quota, names), *self.untried])
            held = " and ".join(kept) or "what was claimed"
            why = f"{NOT_TESTED}: {missing}; {held} held until the test ended (hint: {self.remedy}, or --allow-untested)"
            return found.doubted(why, Cause.UNTESTED, first=True)
        return found

    @property
    def diagnosis(self) -> list[str]:
        """Sentences that say what the target seems to do instead of what was declared."""
        return [told for (outcome, _), told in self._diagnosis.items() if outcome == self.verdict]

    @property
    def reasons(self) -> list[str]:
        """The reasons each once, also where only the counts of a remark differ; none that the answer says."""
        told = dict.fromkeys(
            without_counts(one) if one.startswith(ODDLY_ADMITTED) else one
            for one in self.combined.reasons
        )
        return [one for one in told if not any(line.endswith(one) for line in self.answer)]

    @property
    def verdict(self) -> str:
        """Violated if any was."""
        return self.combined.outcome

    @property
    def exit_code(self) -> int:
        """0 consistent, 1 violated or the server crashed, 2 inconclusive."""
        if self.verdict == VIOLATED or self.crashes:
            return 1
        return 0 if self.verdict == CONSISTENT else 2

    @property
    def answer(self) -> tuple[str, ...]:
        """The answer's line: see `rateproof.answer`; and a second for what was not tested.

        A crash, or what ended the test out of order, is never behind a green word.
        """
        first, *rest = answer(self.combined)
        found = [(one.most, one.allowed, one.window_ns) for one in self.combined.quotas]
        sought = [(one.certain, one.allowed, one.window_ns) for one in self.worst]
        most = max([*found, *sought], key=lambda one: one[0] / one[1], default=None)
        if most is not None and most in sought and self.verdict == VIOLATED:
            first = f"VIOLATED: {too_many(*most)}"
        if self.absent is not None and self.verdict != VIOLATED:
            return (f"{UNREACHABLE}: {self.absent}",)
        if self.failed is not None and self.verdict != VIOLATED:
            return (f"INCONCLUSIVE: the test did not end in order: {self.failed}",)
        if self.verdict == CONSISTENT and self.untried:
            outcome, told = first.split(":", 1)
            tried = "as far as tried)"
            outcome = f"{outcome[:-1]}, {tried}" if rest else f"{outcome} ({tried}"
            first = f"{outcome}:{told}"
            rest.append(f"{NOT_TESTED}: {', '.join(self.untried)}: the test ended before")
        if self.verdict == CONSISTENT and OVER_ADMISSION in self.claims:
            held = (one.quota for one in self.combined.quotas if one.outcome == CONSISTENT)
            windows = [quota.window_ns for text in held for quota in Policy.parse(text).quotas]
            far = " and ".join(spaced(ns) for ns in windows if ns in self.unwaited)
            first += f"; bursts around the end of {far} were not tried" if far else ""
            if self.other_clients == 0:
                first += "; other clients between two bursts were not tried"
        if self.crashes:
            first = f"CRASHED: the server crashed ({counted_kinds(self.crashes)}); {first}"
        return (first, *rest)

    def describe(self, *, found: bool = True) -> str:
        """The totals as text; with the schedules that were found, or without where they stand already."""
        findings: list[Reproduction | Worst] = [*self.reproductions, *self.worst] if found else []
        return "\n  ".join(
            [
                f"total of {counted(self.iterations, 'iteration')}",
                f"requests  {self.requests}",
                *self._besides(),
                f"codes     {counted_kinds(dict(sorted(self.statuses.items())))}",
                f"errors    {counted_kinds(self.errors)}",
                f"crashes   {counted_kinds(self.crashes)}",
                f"verdicts  {counted_kinds(self.outcomes)}",
                *self._warned(),
                f"verdict   {self.verdict}",
                *(f"diagnosis {sentence}" for sentence in self.diagnosis),
                *(f"remark    {one}" for one in self.reasons if one.startswith(ODDLY_ADMITTED)),
                *(told for told in self.combined.untested if told not in self.answer),
                *([f"known     would have been seen: {self.seen}"] if self.seen else []),
                *([f"unknown   {self.unseen}"] if self.unseen and self.verdict != VIOLATED else []),
                *self._forgetting(),
                *([f"keys      {self.keys}"] if self.keys else []),
                *(line for each in findings for line in each.describe().splitlines()),
                *([] if self.failed is None else [f"failed    {self.failed}"]),
            ]
        )

    def _besides(self) -> list[str]:
        """The requests that belong to no iteration: a line for each purpose that has any."""
        purposes = {
            "to see how it answers": self.sent - self.requests - self.pursuing,
            "to shorten what was found and to look for the worst": self.pursuing,
        }
        told = ((counted(more, "request"), why) for why, more in purposes.items() if more > 0)
        return [f"besides   {more} {why}" for more, why in told]

    def _warned(self) -> list[str]:
        """The first warnings, a line each: of an iteration that holds, no line says them before."""
        rest = len(self.warnings) - _MOST_SHOWN
        more = [f"{rest} more warnings are in the logs"] if rest > 0 else []
        return [f"warning: {one}" for one in self.warnings[:_MOST_SHOWN]] + more

    def _forgetting(self) -> list[str]:
        """A line that says how many other clients were tried, so that the limiter forgets one."""
        if self.other_clients is None or OVER_ADMISSION not in self.claims:
            return []
        if self.tried_others and not self.other_clients:
            return ["others    nothing learnt: no client was denied after others came"]
        if not self.other_clients:
            return ["others    not tried: other clients between two bursts of one"]
        return [
            f"others    tried with up to {self.other_clients:,} other client{'s' * (self.other_clients != 1)}"
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain data, for `--json`."""
        return {
            "answer": self.answer[0],
            "iterations": self.iterations,
            "requests": self.requests,
            "statuses": dict(sorted(self.statuses.items())),
            "errors": dict(self.errors),
            "crashes": dict(self.crashes),
            "verdicts": dict(self.outcomes),
            "verdict": self.verdict,
            "diagnosis": self.diagnosis,
            "reproductions": [each.to_json() for each in self.reproductions],
            "other_clients": self.other_clients,
            "weaknesses": {"seen": self.seen, "unseen": self.unseen},
            "untried": list(self.untried),
            **({"keys": self.keys} if self.keys else {}),
            "worst": [each.to_json() for each in self.worst],
            "warnings": self.warnings,
        }
