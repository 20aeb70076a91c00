"""Hypotheses on how the target limits, beside the verdict: those that fit, in words.

None of it decides a verdict of violated: it explains one, or keeps a log from
being called consistent that shows another limit than the declared one.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rateproof.events import UNKNOWN, EventLog, declines, rejected_statuses
from rateproof.events.judged import answers, is_long
from rateproof.prove.diagnosis.statuses import (
    failing_throughout,
    only_elsewhere,
    statuses,
    why_elsewhere,
    why_nothing_admitted,
)
from rateproof.prove.evidence.wording import spaced
from rateproof.prove.keys import Counts, KeyLog, fresh, observe
from rateproof.prove.over_admission.windows import most_nested
from rateproof.prove.power.pressure import Pressure
from rateproof.prove.terms import OVER_ADMISSION, WRONG_REJECTION
from rateproof.units import counted

MOST_OF_ANY = 2
"""Times N in less than W, for any one counter: see the table of families in docs/theory.md."""

_LEAST_KEYS = 2  # one may be rejected for a reason of its own
_FEW = 20  # of so many keys one may be rejected for reasons of its own, such as a full store


class Diagnosis:
    """Findings, as names for programs."""

    NOTHING_ADMITTED: Final = "nothing-admitted"
    ONLY_ELSEWHERE: Final = "only-elsewhere"
    OTHER_STATUS: Final = "other-status"
    NO_LIMIT: Final = "no-limit"
    OTHER_KEY: Final = "other-key"
    OWN_LIMIT_PER_CONNECTION: Final = "own-limit-per-connection"
    SEVERAL_COUNTERS: Final = "several-counters"


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One thing that was found."""

    name: str
    sentence: str
    unjudged: frozenset[str] = frozenset()


def diagnose(log: EventLog, pressure: Sequence[Pressure], counts: Counts) -> list[Hypothesis]:
    """Explain what a target does that is not what was declared, as far as one look shows it."""
    if counts.rejected:
        return [] if is_long(log) else list(_other_key(log, pressure))
    return list(_other_status(log, pressure[0]) or _unlimited(log, pressure))


def not_limited(log: EventLog, counts: Counts) -> list[Hypothesis]:
    """Explain that no answer in the whole log comes from a limiter that admits anything."""
    if only_elsewhere(log):
        unjudged = frozenset({OVER_ADMISSION})
        return [Hypothesis(Diagnosis.ONLY_ELSEWHERE, why_elsewhere(log), unjudged)]
    if counts.admitted:
        return []
    down = {WRONG_REJECTION} if failing_throughout(log) else ()
    return [Hypothesis(Diagnosis.NOTHING_ADMITTED, why_nothing_admitted(log), frozenset(down))]


def failed_runs(log: EventLog) -> list[Hypothesis]:
    """Name a run of several in which no request got as far as a limiter: others hide it."""
    if log.same("run") is not None or not len(log):
        return []
    seen: dict[int, bool] = {}
    known = rejected_statuses(log)
    for of in answers(log):
        status = of.status or 0
        fails = status < 100 or (status >= 500 and status not in known)
        seen[of.run] = seen.get(of.run, True) and of.outcome == UNKNOWN and fails
    failed = [run for run, fails in seen.items() if fails]
    if not failed:
        return []
    which = f"run {failed[0]}"
    if len(failed) > 1:
        which += f", as in {len(failed) - 1} more of {len(seen)} runs"
    rows = [row for row, run in enumerate(log.ints("run")) if run == failed[0]]
    return [
        Hypothesis(Diagnosis.NOTHING_ADMITTED, f"{which}: {why_nothing_admitted(log.take(rows))}")
    ]


def known_since_ns(log: EventLog, pressure: Sequence[Pressure]) -> int | None:
    """From when on a key's first request in the log is its first in a window; None: always.

    Of several runs nobody knows, for each may have a clock of its own: never.
    """
    if fresh(log):
        return None
    if log.same("run") is None:
        return 2**63
    return min(log.ints("sent_ns")) + max(p.window_ns for p in pressure)


def _unlimited(log: EventLog, pressure: Sequence[Pressure]) -> Iterator[Hypothesis]:
    hardest = max(pressure, key=lambda p: p.provable / p.allowed)
    if hardest.provable <= MOST_OF_ANY * hardest.allowed:
        return
    answers = ", ".join(sorted(str(status or "none") for status in statuses(log)))
    lengths = log.distinct("bytes")
    same = f", {counted(max(lengths), 'byte')} long" if len(lengths) == 1 and max(lengths) else ""
    yield Hypothesis(
        Diagnosis.NO_LIMIT,
        f"no limit seen: none of {len(log)} requests was rejected, though one key was admitted "
        f"{hardest.provable} times within {spaced(hardest.window_ns)} (every answer was "
        f"{answers}{same}: is this the page that is meant?)",
    )


def _other_status(log: EventLog, quota: Pressure) -> list[Hypothesis]:
    """A status from 300 on that each key was answered only once it had been admitted its fill."""
    if is_long(log) or not any(map(declines, statuses(log))):
        return []
    answers = log.column("status")
    refusing: Counter[int] = Counter()
    passed = False
    for key in observe(log):
        refused = _refused(key, answers, quota.allowed)
        if refused is None:
            return []
        refusing.update(refused)
        passed |= any(declines(answers[row]) for row in key.admitted_rows)
    if len(refusing) != 1:
        return []
    ((status, times),) = refusing.items()
    known = " or ".join(map(str, sorted(rejected_statuses(log))))
    sentence = (
        f"{status} seems to be how this target rejects: it was the answer {times} times, and only "
        f"to keys that had been answered otherwise {quota.allowed} times before; it counts as "
        f"{'admitted' if passed else 'unknown'}, since only {known} is taken for a rejection: "
        f"--rejected {status}"
    )
    # Of what passed, it is not known whether it was admitted; what is unknown counts as neither.
    return [
        Hypothesis(Diagnosis.OTHER_STATUS, sentence, frozenset({OVER_ADMISSION} if passed else ()))
    ]


def _refused(key: KeyLog, answers: Sequence[int | None], allowed: int) -> list[int] | None:
    """The statuses that decline, where each came after so many others; None if one came before."""
    sent = sorted(
        sent_ns
        for (sent_ns, _), row in zip(key.admitted, key.admitted_rows, strict=True)
        if not declines(answers[row])
    )
    refused = []
    ended = (*key.admitted, *key.unknown)
    for (_, end_ns), row in zip(ended, (*key.admitted_rows, *key.unknown_rows), strict=True):
        status = answers[row]
        if status is not None and declines(status):
            if end_ns is None or bisect_right(sent, end_ns) < allowed:
                return None
            refused.append(status)
    return refused


def _other_key(log: EventLog, pressure: Sequence[Pressure]) -> Iterator[Hypothesis]:
    """Clients that were rejected before anything of theirs was admitted."""
    keys, since_ns = observe(log), known_since_ns(log, pressure)
    starved = sum(_starved(key, since_ns) for key in keys)
    if starved < max(_LEAST_KEYS, len(keys) // _FEW):
        return
    named = log.metadata.get("scenario")
    declared = named.get("key", "the key") if isinstance(named, dict) else "the key"
    quota = pressure[0]
    together = [interval for key in keys for interval in key.admitted]
    most = most_nested(together, quota.window_ns)
    window = spaced(quota.window_ns)
    # A limit on a fixed window lets 2N through where two of them meet.
    what = (
        f"limits all clients together (by address?) rather than by {declared}"
        if most <= 2 * quota.allowed
        else f"limits by something else than {declared}, such as the address"
    )
    yield Hypothesis(
        Diagnosis.OTHER_KEY,
        f"the target {what}: {starved} of {len(keys)} keys were rejected before anything of "
        f"theirs was admitted, and all keys together never had more than {most} admitted in {window}",
    )


def _starved(key: KeyLog, since_ns: int | None) -> bool:
    if not key.rejected:
        return False
    sent_ns, received_ns = min(key.rejected)
    if since_ns is not None and sent_ns < since_ns:
        return False
    return all(other_ns > received_ns for other_ns, _ in (*key.admitted, *key.unknown))
