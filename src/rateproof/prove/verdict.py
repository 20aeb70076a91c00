"""The verdict on a log: consistent, violated or inconclusive. Never "correct".

consistent    some choice of decision instants explains everything seen
violated      none does; the evidence is a part that shows it, and all of it is needed
inconclusive  the log cannot tell, and the reasons say why
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from typing import Any, Final, TypeVar

from rateproof.prove.evidence.drawing import DRAWING_WIDTH
from rateproof.prove.evidence.piece import MOST_EVIDENCE, Evidence
from rateproof.prove.evidence.wording import key_to_json, readable_key
from rateproof.prove.headers import Headers, all_headers
from rateproof.prove.keys import Counts
from rateproof.prove.power.coverage import QuotaVerdict, merged
from rateproof.prove.power.pressure import ClosestCall, Pressure, closest_of, harder
from rateproof.prove.power.sensitivity import Sensitivity, better
from rateproof.prove.terms import CONSISTENT, INCONCLUSIVE, UNTESTED, VIOLATED, Cause
from rateproof.units import counted

Q = TypeVar("Q")

_SILENT: Final = {
    Cause.NEVER_STRESSED,
    Cause.TOO_COARSE,
    Cause.UNKNOWN_BEGINNING,
    Cause.NOT_JUDGED,
}
"""Causes that say nothing against other runs."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The finding, the reason for it, and the evidence that it rests on.

    Args:
        outcome: `consistent`, `violated` or `inconclusive`.
        reasons: plain sentences: how many keys were violated, what makes it
            inconclusive, or what a consistent verdict does not cover.
        evidence: at most `MOST_EVIDENCE` pieces, the shortest first.
        causes: names from `Cause`, none unless inconclusive.
        pressure: how hard the log pressed, one for each quota in policy order.
        counts: what was in the log.
        closest: the keys that came closest to more than is allowed, at most
            `MOST_CALLS`, the closest first.
        sensitivity: the least excess over each quota, in policy order, that the
            log could have shown; none where it was violated or not asked for.
        diagnosis: names from `Diagnosis`: what the target seems to do instead of what
            was declared; the first reasons are their sentences.
        headers: what became of what the answers' header fields said; None where
            there were none. It does not change the outcome unless that was asked for.
    """

    outcome: str
    reasons: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    causes: tuple[str, ...] = ()
    pressure: tuple[Pressure, ...] = ()
    counts: Counts = field(default_factory=Counts)
    closest: tuple[ClosestCall, ...] = ()
    sensitivity: tuple[Sensitivity, ...] = ()
    diagnosis: tuple[str, ...] = ()
    headers: Headers | None = None
    quotas: tuple[QuotaVerdict, ...] = ()

    @property
    def untested(self) -> tuple[str, ...]:
        """Sentences of the quotas that were not tested."""
        return tuple(quota.sentence() for quota in self.quotas if quota.outcome == UNTESTED)

    def allowing_untested(self) -> "Verdict":
        """The verdict of what was tested: the same, if nothing was or there are other doubts."""
        if self.causes != (Cause.UNTESTED,):
            return self
        return replace(self, outcome=CONSISTENT, causes=())

    def demanding_tests(self) -> "Verdict":
        """The verdict on the whole policy: not consistent if only some quotas were tested."""
        told = self.untested
        if self.outcome == VIOLATED or not 0 < len(told) < len(self.quotas):
            return self
        reasons = (*self.reasons, *told)
        return replace(
            self, outcome=INCONCLUSIVE, reasons=reasons, causes=(*self.causes, Cause.UNTESTED)
        )

    def doubted(self, why: str, cause: str, *, first: bool = False) -> "Verdict":
        """It as inconclusive, unless it is violated; the reason after those of a diagnosis, or first."""
        if self.outcome == VIOLATED:
            return self
        found = 0 if first else len(self.diagnosis)
        return replace(
            self,
            outcome=INCONCLUSIVE,
            reasons=(*self.reasons[:found], why, *self.reasons[found:]),
            causes=(*self.causes, cause),
            quotas=tuple(
                replace(one, outcome=INCONCLUSIVE) if one.outcome == CONSISTENT else one
                for one in self.quotas
            ),
        )

    def of_the_tested(self) -> "Verdict":
        """The verdict before `demanding_tests`."""
        causes = tuple(cause for cause in self.causes if cause != Cause.UNTESTED)
        reasons = tuple(reason for reason in self.reasons if reason not in self.untested)
        outcome = self.outcome if causes == self.causes or causes else CONSISTENT
        return replace(self, outcome=outcome, reasons=reasons, causes=causes)

    @property
    def met(self) -> bool:
        """Tell whether requests got as far as a limiter: else what pressed on none says nothing."""
        return Cause.ONLY_ELSEWHERE not in self.causes

    def describe(self, pieces: int = 1, width: int = DRAWING_WIDTH) -> str:
        """The verdict for people: what it is, why, how hard it was pressed, and what shows it.

        Args:
            pieces: how many pieces of evidence are shown at most, each with its drawing.
            width: characters a line of a drawing; sentences are a line each.
        """
        lines = [self.outcome, *self.reasons]
        if self.met:
            lines += [pressure.sentence() for pressure in self.pressure]
        if self.closest and not self.evidence:
            lines.append("closest calls: " + "; ".join(call.sentence() for call in self.closest))
        lines += [shown.sentence() for shown in self.sensitivity]
        for piece in self.evidence[:pieces]:
            lines += [piece.sentence(), *piece.timeline(width).splitlines()]
        if self.headers is not None:
            lines += [line for line in self.headers.describe() if line not in self.reasons]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "outcome": self.outcome,
            "reasons": list(self.reasons),
            "causes": list(self.causes),
            "diagnosis": list(self.diagnosis),
            "evidence": [piece.to_json() for piece in self.evidence],
            "pressure": [{**asdict(one), "key": readable_key(one.key)} for one in self.pressure],
            "counts": asdict(self.counts),
            "closest": [call.to_json() for call in self.closest],
            "sensitivity": [asdict(one) for one in self.sensitivity],
            "headers": None if self.headers is None else self.headers.to_json(),
            "quotas": [quota.to_json() for quota in self.quotas],
        }


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict over several runs under one policy.

    Violated if any is. Runs that merely could not have shown anything are neutral
    unless all are. Otherwise inconclusive if any is, for its reasons, or if a quota
    was tested in none of them.
    """
    if not verdicts:
        return Verdict(INCONCLUSIVE, ("no run was judged",), causes=(Cause.NO_RUN,))
    counts = sum((verdict.counts for verdict in verdicts), Counts())
    runs = [verdict.of_the_tested() for verdict in verdicts]
    telling = [v for v in runs if not v.causes or set(v.causes) - _SILENT] or runs
    for outcome in (VIOLATED, INCONCLUSIVE, CONSISTENT):
        decisive = [verdict for verdict in telling if verdict.outcome == outcome]
        if decisive:
            break
    pressure = _each_quota(harder, (verdict.pressure for verdict in verdicts))
    causes = dict.fromkeys(cause for verdict in decisive for cause in verdict.causes)
    evidence = [piece for verdict in decisive for piece in verdict.evidence]
    return Verdict(
        outcome,
        tuple(_told_once(decisive, pressure)),
        tuple(evidence[:MOST_EVIDENCE]),
        tuple(causes),
        pressure,
        counts,
        closest_of(call for verdict in verdicts for call in verdict.closest),
        () if outcome == VIOLATED else _each_quota(better, (one.sensitivity for one in verdicts)),
        headers=all_headers(verdict.headers for verdict in verdicts),
        diagnosis=tuple(dict.fromkeys(name for one in decisive for name in one.diagnosis)),
        quotas=_each_quota(merged, (verdict.quotas for verdict in verdicts)),
    ).demanding_tests()


def _each_quota(join: Callable[[Q, Q], Q], runs: Iterable[tuple[Q, ...]]) -> tuple[Q, ...]:
    """Quota by quota, what some runs come to; those without any count for nothing."""
    told = [run for run in runs if run]
    return tuple(reduce(join, of_quota) for of_quota in zip(*told, strict=True))


_OF_KEYS: Final = re.compile(r"([a-z-]+: )(\d+) keys? (?:was|were) (.+)")


def _told_once(runs: Sequence[Verdict], pressure: Sequence[Pressure]) -> list[str]:
    """Reasons of several runs: one sentence a diagnosis, keys added up, and full is what any filled."""
    found, others, keys = dict[str, str](), dict[str, None](), Counter[tuple[str, str]]()
    unfilled = {one.unfilled() for run in runs for one in run.pressure}
    for run in runs:
        found = dict(zip(run.diagnosis, run.reasons, strict=False)) | found
        for reason in run.reasons[len(run.diagnosis) :]:
            if counted_keys := _OF_KEYS.fullmatch(reason):
                claim, many, what = counted_keys.groups()
                keys[claim, what] += int(many)
            elif reason not in unfilled:
                others[reason] = None
    added = [
        f"{claim}{many} {'key was' if many == 1 else 'keys were'} {what}"
        for (claim, what), many in keys.items()
    ]
    told = any(reason in unfilled for run in runs for reason in run.reasons)
    never = [one.unfilled() for one in pressure] if told else []
    return [*found.values(), *added, *others, *filter(None, never)]


@dataclass(frozen=True, slots=True)
class KeyVerdict:
    """The verdict on one key.

    Args:
        key: the client's identity.
        run: the run that it is of, None where runs need not be told apart.
        verdict: as on a whole log, but that of windows which are too short nothing is said,
            and that evidence may hold requests that are not needed.
    """

    key: bytes
    run: int | None
    verdict: Verdict

    @property
    def margin_ns(self) -> int | None:
        """The distance of its admissions from too many: see `ClosestCall`; None where they were few."""
        return self.verdict.closest[0].margin_ns if self.verdict.closest else None

    @property
    def excess(self) -> int | None:
        """The least excess over any quota that its requests could have shown; None if violated."""
        shown = (one.excess for one in self.verdict.sensitivity)
        return min((excess for excess in shown if excess is not None), default=None)

    def sentence(self) -> str:
        """The key, what was found, and the figures, in one line."""
        verdict, counts = self.verdict, self.verdict.counts
        who = readable_key(self.key) + ("" if self.run is None else f", run {self.run}")
        told = [
            f"{who}: {', '.join((verdict.outcome, *verdict.causes))}",
            f"{counted(counts.events, 'request')}, {counts.admitted} admitted",
        ]
        if verdict.closest:
            told.append(f"{verdict.closest[0].allowed + 1} in {self._took_ns / 1e9:.6f} s")
        if self.excess is not None:
            told.append(f"could have shown {self.excess} more")
        return "; ".join(told)

    @property
    def _took_ns(self) -> int:
        return self.verdict.closest[0].window_ns + self.verdict.closest[0].margin_ns

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the evidence."""
        counts = self.verdict.counts
        return {
            **key_to_json(self.key),
            "run": self.run,
            "outcome": self.verdict.outcome,
            "causes": list(self.verdict.causes),
            "requests": counts.events,
            "admitted": counts.admitted,
            "rejected": counts.rejected,
            "unknown": counts.unknown,
            "margin_ns": self.margin_ns,
            "excess": self.excess,
        }
