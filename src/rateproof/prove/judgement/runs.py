"""Logs of several runs: the parts that are judged apart, and one verdict over both."""

from array import array
from collections import Counter
from dataclasses import replace
from typing import Final

from rateproof.events import EventLog
from rateproof.prove.keys import cut_off, marks_rejections
from rateproof.prove.terms import INCONCLUSIVE, OVER_ADMISSION, WRONG_REJECTION, Cause
from rateproof.prove.verdict import Verdict, combine

APART: Final = (
    "keys are in more than one run: of these each run was judged by itself, and no rejection, "
    "for requests of another run may be its reason"
)


def by_run(log: EventLog) -> tuple[EventLog | None, EventLog | None]:
    """The parts of a log that are judged apart: the keys of one run only, and all others.

    Returns:
        None for a part that is empty. The second says that requests are missing from it,
        and that its keys are not fresh; in it each run of a key is a key of its own.
    """
    if log.same("run") is not None or not len(log):
        return log, None
    runs, (keys, words) = log.ints("run"), log.codes("key")
    pairs = {pair: at for at, pair in enumerate(sorted(set(zip(runs, keys, strict=True))))}
    times = Counter(code for _, code in pairs)
    if len(pairs) == len(times):
        return log, None
    alone, apart, codes = array("q"), array("q"), array("i")
    for row, pair in enumerate(zip(runs, keys, strict=True)):
        if times[pair[1]] == 1:
            alone.append(row)
        else:
            apart.append(row)
            codes.append(pairs[pair])
    marked = {"marked_rejections": marks_rejections(log)}
    several = log.take(apart).with_column("key", (codes, [words[code] for _, code in pairs]))
    several.metadata |= marked | {"fresh_keys": False, "complete": False}
    several.metadata.pop("fresh_keys_assumed", None)
    several.metadata["complete_by_run"] = not cut_off(log)
    if not alone:
        return None, several
    single = log.take(alone)
    single.metadata |= marked
    return single, several


def in_run(verdict: Verdict, part: EventLog) -> Verdict:
    """The verdict, its evidence with the run that it is of, where the part has one only."""
    runs = part.distinct("run")
    if len(runs) > 1:
        return verdict
    (run,) = runs
    return replace(verdict, evidence=tuple(replace(piece, run=run) for piece in verdict.evidence))


def together(alone: Verdict | None, apart: Verdict, claims: frozenset[str]) -> Verdict:
    """One verdict over keys that are in one run, and those that are in several."""
    total = apart if alone is None else combine([alone, apart])
    counts = total.counts
    if OVER_ADMISSION not in claims:
        if alone is None:
            return Verdict(INCONCLUSIVE, (APART,), causes=(Cause.NOT_JUDGED,), counts=counts)
        total = alone
    told = (APART,) if WRONG_REJECTION in claims and apart.counts.rejected else ()
    return replace(total, counts=counts, reasons=(*total.reasons, *told))
