"""From the violations of an iteration to the shortest schedules that do the same."""

import time
from collections.abc import Sequence

from rateproof.hunt.iteration import Iteration
from rateproof.hunt.recipe import Recipe
from rateproof.hunt.rig import Rig, alone
from rateproof.hunt.shrinking.bench import Bench
from rateproof.hunt.shrinking.reproduction import LEAST_TRIES, Oracle, Reproduction, Tries
from rateproof.hunt.shrinking.search import shrink
from rateproof.hunt.shrinking.trace import Trace, book, retrace
from rateproof.output import say
from rateproof.prove import VIOLATED
from rateproof.units import SECOND_NS, counted

__all__ = ["shrunk_violations"]

_PATIENCE_NS = 60 * SECOND_NS
_LEAST_SPANS = 4


def _violates(rig: Rig, claim: str, window_ns: int) -> Oracle:
    """Make an oracle: a recipe is reproduced with a client for whom a claim is violated.

    The clients of a recipe that is alone begin over a window. A stop ends a run early, and
    then nothing was tried.
    """

    def tried(candidates: Sequence[Recipe], tries: int) -> Sequence[Tries | None]:
        if not rig.stop.is_set():
            spread_ns = min(window_ns, _PATIENCE_NS) if tries > LEAST_TRIES else 0
            bench = Bench.of(candidates, tries, spread_ns=spread_ns, max_rate=rig.settings.max_rate)
            log = rig.send(rig.scenario(bench.groups, bench.duration_ns, phase=bench.phase))
        if rig.stop.is_set():
            return [None] * len(candidates)
        claims = frozenset({claim})
        seen = [rig.judge(own, claims).outcome for own in alone(log, len(bench.owners))]
        return bench.tally([outcome == VIOLATED for outcome in seen])

    return tried


def shrunk_violations(iteration: Iteration, rig: Rig, known: set[str]) -> list[Reproduction]:
    """The shortest schedules for the violations of an iteration, one for each new kind.

    Args:
        iteration: what was found.
        rig: what is tested; a stop ends the search with the shortest so far, or with what was seen.
        known: claims whose violation has been shrunk; new ones are added.
    """
    found = []
    for claim in sorted({piece.claim for piece in iteration.verdict.evidence} - known):
        shrunk = _of_claim(claim, iteration, rig)
        if shrunk is not None:
            known.add(claim)
            found.append(shrunk)
    return found


def _of_claim(claim: str, iteration: Iteration, rig: Rig) -> Reproduction | None:
    """The shortest schedule for the violation of one claim; None if there is nothing to try.

    Where it was stopped before anything was tried, the schedule that was seen.
    """
    traces = retrace(iteration.log, iteration.verdict, rig.settings.policy, claim)
    shrunk: list[Reproduction] = []
    # What raced may need all its requests: where the fewest do not suffice, the most are tried.
    for trace in (*traces[:1], *traces[1:][-1:]):
        if not rig.stop.is_set() and not any(each.tries.accepted for each in shrunk):
            shrunk.append(_shrunk(trace, rig))
    tried = [each for each in shrunk if each.tries.tries]
    if traces and not tried:
        return Reproduction.of(rig.settings, claim, traces[0].recipe)
    return max(tried, key=lambda each: each.tries.reproduced / each.tries.tries, default=None)


def _shrunk(trace: Trace, rig: Rig) -> Reproduction:
    claim, recipe, window_ns = trace.evidence.claim, trace.recipe, trace.window_ns
    instants = counted(len(recipe.schedule.steps), "instant")
    say(f"shrinking the {claim}: {counted(recipe.requests, 'request')} at {instants}")
    spans_ns = _LEAST_SPANS * (recipe.span_ns + window_ns)
    until_ns = time.monotonic_ns() + max(_PATIENCE_NS, spans_ns)
    longest_ns = max(recipe.span_ns, min(window_ns * 11 // 10, _PATIENCE_NS))
    known = book(rig.settings.policy, window_ns, trace.least)
    shrunk = shrink(
        recipe,
        _violates(rig, claim, window_ns),
        window_ns=window_ns,
        book=[each for each in known if each.span_ns <= longest_ns],
        least=trace.least,
        hint=trace.hint,
        go_on=lambda: not rig.stop.is_set() and time.monotonic_ns() < until_ns,
    )
    return Reproduction.of(
        rig.settings, claim, shrunk.recipe, shrunk.tries, complete=shrunk.complete
    )
