"""From the violations of an iteration to the shortest schedules that do the same."""

import time
from collections.abc import Sequence

from rateproof.hunt.iteration import Iteration
from rateproof.hunt.recipe import Recipe
from rateproof.hunt.rig import Rig, alone
from rateproof.hunt.shrinking.bench import Bench
from rateproof.hunt.shrinking.reproduction import Oracle, Reproduction, Tries
from rateproof.hunt.shrinking.search import shrink
from rateproof.hunt.shrinking.trace import book, retrace
from rateproof.output import say
from rateproof.prove import VIOLATED
from rateproof.units import SECOND_NS, counted

_MOST_SPREAD_NS = 5 * SECOND_NS
_ANSWERS_NS = SECOND_NS  # until the last requests are answered and judged


def _violates(rig: Rig, claim: str, window_ns: int, until_ns: int) -> Oracle:
    """Make an oracle: a recipe is reproduced with a client for whom a claim is violated.

    The clients of a recipe begin over half a window. What would not be over at an instant
    is not tried; a stop ends a run early, and then nothing was tried.
    """
    spread_ns = min(window_ns // 2, _MOST_SPREAD_NS)

    def tried(candidates: Sequence[Recipe], tries: int) -> Sequence[Tries | None]:
        left_ns = until_ns - time.monotonic_ns() - _ANSWERS_NS
        fitting = [each for each in candidates if _takes_ns(each, spread_ns) <= left_ns]
        if rig.stop.is_set() or not fitting or fitting[0].others != candidates[0].others:
            return [None] * len(candidates)
        most, rate = rig.most_clients, rig.most_per_s
        bench = Bench.of(fitting, tries, spread_ns=spread_ns, max_rate=rate, most=most)
        while bench.takes_ns > left_ns + _ANSWERS_NS and len(fitting) > 1:
            fitting = fitting[: len(fitting) // 2]
            bench = Bench.of(fitting, tries, spread_ns=spread_ns, max_rate=rate, most=most)
        if bench.takes_ns > left_ns + _ANSWERS_NS:
            return [None] * len(candidates)
        log = rig.send(rig.scenario(bench.groups, bench.duration_ns, phase=bench.phase))
        if rig.stop.is_set():
            return [None] * len(candidates)
        seen = [rig.judge(own, frozenset({claim})) for own in alone(log, len(bench.owners))]
        tally = bench.tally([verdict.outcome == VIOLATED for verdict in seen])
        results = dict(zip(fitting, tally, strict=True))
        return [results.get(each) for each in candidates]

    return tried


def _takes_ns(recipe: Recipe, spread_ns: int) -> int:
    """The time until the last request of a recipe, with the wait for its phase."""
    if recipe.phase is None:
        return recipe.span_ns + spread_ns
    return recipe.span_ns + recipe.phase.next_ns() - time.monotonic_ns()


def shrunk_violations(
    iteration: Iteration, rig: Rig, known: set[str], until_ns: int
) -> list[Reproduction]:
    """The shortest schedules for the violations of an iteration, one for each new kind.

    Args:
        iteration: what was found.
        rig: what is tested; a stop ends the search with the shortest so far, or with what was seen.
        known: claims whose violation has been shrunk; new ones are added.
        until_ns: when the search is over, on the monotonic clock.
    """
    found = []
    for claim in sorted({piece.claim for piece in iteration.verdict.evidence} - known):
        shrunk = _of_claim(claim, iteration, rig, until_ns)
        if shrunk is not None:
            found.append(shrunk)
            if shrunk.recipe is not None or not iteration.nemesis:
                known.add(claim)
    return found


def _of_claim(claim: str, iteration: Iteration, rig: Rig, until_ns: int) -> Reproduction | None:
    """The shortest schedule for the violation of one claim; None if there is nothing to try."""
    policy = rig.settings.policy
    traces = retrace(iteration.log, iteration.verdict, policy, claim)
    if not traces:
        return None
    trace = traces[0]
    seen, window_ns = trace.starts[0], trace.window_ns
    instants = counted(len(seen.schedule.steps), "instant")
    left_s = max(0, until_ns - time.monotonic_ns()) / SECOND_NS
    say(
        f"shrinking the {claim}: {counted(seen.requests, 'request')} at {instants}, "
        f"for {left_s:.0f} s at most"
    )
    # What raced may need all its requests: beside the client with the fewest, the one with the most.
    starts = dict.fromkeys((*trace.starts, *traces[-1].starts))
    # Other clients may have to come in between, or at once: one of each, if there is one.
    among = {len(each.starts[0].schedule.steps) > 1: each.starts[0] for each in traces[::-1]}
    alone_too = [each for each in starts if each.others is None and each != seen]
    shrunk = shrink(
        list(dict.fromkeys([seen, *among.values(), *alone_too])),
        _violates(rig, claim, window_ns, until_ns),
        window_ns=window_ns,
        book=book(policy, window_ns, trace.least),
        least=trace.least,
    )
    number, harmed = iteration.draw.iteration, bool(iteration.nemesis)
    return Reproduction.shrunk(rig.settings, claim, shrunk, number, harmed=harmed)
