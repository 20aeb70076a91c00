"""Trying recipes against the target, and shrinking what an iteration found."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rateproof.events import EventLog
from rateproof.hunt.exploration.draw import SCHEDULE, Draw
from rateproof.hunt.exploration.leads import keys_of
from rateproof.hunt.iteration import Iteration
from rateproof.hunt.recipe import Phase, Recipe
from rateproof.hunt.settings import TestSettings
from rateproof.hunt.shrinking.bench import Bench, judged_alone, rows_of
from rateproof.hunt.shrinking.canonical import canonical
from rateproof.hunt.shrinking.command import repeat_command
from rateproof.hunt.shrinking.oracle import CONFIRMATIONS, LEAST_TRIES, Tries
from rateproof.hunt.shrinking.reproduction import NO_VIOLATION, Reproduction
from rateproof.hunt.shrinking.search import shrink
from rateproof.hunt.shrinking.trace import Trace, retrace
from rateproof.output import say
from rateproof.prove import INCONCLUSIVE, VIOLATED, Cause, Verdict
from rateproof.simulate.control import Control
from rateproof.simulate.transports import Transport
from rateproof.units import SECOND_NS, counted

__all__ = ["Violations", "outcome_of", "scheduled", "shrunk_violations", "told_if_cut_short"]

_PATIENCE_NS = 60 * SECOND_NS
_LEAST_SPANS = 4


def scheduled(recipe: Recipe, number: int, settings: TestSettings) -> tuple[Draw, Phase | None]:
    """An iteration that runs a recipe on fresh clients, begun over the window's phases."""
    spread_ns = min(settings.policy.quotas[0].window_ns, _PATIENCE_NS)
    bench = Bench.of([recipe], CONFIRMATIONS, spread_ns=spread_ns, max_rate=settings.max_rate)
    drawn = Draw(
        seed=settings.seed,
        iteration=number,
        shape=SCHEDULE,
        clients=len(bench.owners),
        rate_per_s=None,
        duration_ns=bench.duration_ns,
        groups=bench.groups,
        note=str(recipe),
    )
    return drawn, bench.phase


def outcome_of(recipe: Recipe, iteration: Iteration, settings: TestSettings) -> Reproduction:
    """How often a recipe that was run as it is violated the policy, or crashed the server.

    A client that could not send all of it, and for whom nothing happened, did not try it.
    """
    alone = _alone(iteration.log, iteration.draw.clients, settings, settings.claims)
    ended = _ended(recipe, iteration)
    claims = sorted({piece.claim for verdict in alone for piece in verdict.evidence})
    violated = [verdict.outcome == VIOLATED for verdict in alone]
    happened, tried = sum(violated), sum(map(max, violated, ended))
    if iteration.crashes:
        claims.append("crash")
        happened = max(happened, min(len(iteration.crashes), len(alone)))
        tried = len(alone)
    command = repeat_command(settings, recipe, iterations=iteration.draw.iteration)
    tries = Tries(happened, tried)
    return Reproduction(", ".join(claims) or NO_VIOLATION, recipe, tries, None, command)


def told_if_cut_short(recipe: Recipe, iteration: Iteration) -> Iteration:
    """The iteration; inconclusive where nothing was found and nobody had sent all of the recipe."""
    verdict, ended = iteration.verdict, _ended(recipe, iteration)
    if verdict.outcome == VIOLATED or iteration.crashes or any(ended):
        return iteration
    why = f"the schedule was cut short: none of {len(ended)} clients had sent all of it"
    found = len(verdict.diagnosis)
    return replace(
        iteration,
        verdict=replace(
            verdict,
            outcome=INCONCLUSIVE,
            reasons=(*verdict.reasons[:found], why, *verdict.reasons[found:]),
            causes=(*verdict.causes, Cause.CUT_SHORT),
        ),
    )


def _ended(recipe: Recipe, iteration: Iteration) -> list[bool]:
    """Whether each client sent all that it was to send."""
    keys = keys_of(iteration.log, iteration.draw.clients)
    return [len(rows) >= recipe.requests for rows in rows_of(iteration.log, keys).values()]


def _alone(
    log: EventLog, clients: int, settings: TestSettings, claims: frozenset[str]
) -> list[Verdict]:
    return judged_alone(
        log,
        keys_of(log, clients),
        settings.policy,
        claims=claims,
        tolerance_ppm=settings.tolerance_ppm,
        granularity_ns=settings.granularity_ns,
        denied_count=settings.denied_count,
    )


@dataclass(frozen=True, slots=True)
class Violations:
    """An oracle: a recipe is reproduced with a client for whom a claim is violated.

    Args:
        settings: what is tested.
        claim: what must be violated.
        window_ns: over which the clients of a recipe that is alone begin.
        transport: what sends.
        stop: ends a run early; then nothing was tried.
    """

    settings: TestSettings
    claim: str
    window_ns: int
    transport: Transport
    stop: threading.Event

    def __call__(self, candidates: Sequence[Recipe], tries: int) -> list[Tries | None]:
        """See `Oracle`."""
        if self.stop.is_set():
            return [None] * len(candidates)
        spread_ns = min(self.window_ns, _PATIENCE_NS) if tries > LEAST_TRIES else 0
        max_rate = self.settings.max_rate
        bench = Bench.of(candidates, tries, spread_ns=spread_ns, max_rate=max_rate)
        scenario = self.settings.scenario(
            bench.groups,
            seed=self.settings.seed,
            duration_ns=bench.duration_ns,
            start_ns=None if bench.phase is None else bench.phase.next_ns(),
        )
        log = self.transport(scenario, control=Control(self.stop))
        if self.stop.is_set():
            return [None] * len(candidates)
        alone = _alone(log, len(bench.owners), self.settings, frozenset({self.claim}))
        return bench.tally([verdict.outcome == VIOLATED for verdict in alone])


def shrunk_violations(
    iteration: Iteration,
    settings: TestSettings,
    known: set[str],
    transport: Transport,
    stop: threading.Event,
) -> tuple[Reproduction, ...]:
    """The shortest schedules for the violations of an iteration, one for each new kind.

    Args:
        iteration: what was found.
        settings: what is tested.
        known: claims whose violation has been shrunk; new ones are added.
        transport: what sends.
        stop: ends the search with the shortest so far, or with what was seen.
    """
    found = []
    for claim in sorted({piece.claim for piece in iteration.verdict.evidence} - known):
        shrunk = _of_claim(claim, iteration, settings, transport, stop)
        if shrunk is not None:
            known.add(claim)
            found.append(shrunk)
    return tuple(found)


def _of_claim(
    claim: str,
    iteration: Iteration,
    settings: TestSettings,
    transport: Transport,
    stop: threading.Event,
) -> Reproduction | None:
    """The shortest schedule for the violation of one claim; None if there is nothing to try.

    Where it was stopped before anything was tried, the schedule that was seen.
    """
    traces = retrace(iteration.log, iteration.verdict, settings.policy, claim)
    shrunk: list[Reproduction] = []
    # What raced may need all its requests: where the fewest do not suffice, the most are tried.
    for trace in (*traces[:1], *traces[1:][-1:]):
        if not stop.is_set() and not any(each.tries.accepted for each in shrunk):
            shrunk.append(_shrunk(trace, settings, transport, stop))
    tried = [each for each in shrunk if each.tries.tries]
    if traces and not tried:
        seen = traces[0].recipe
        command = repeat_command(settings, seen)
        return Reproduction(claim, seen, Tries(0, 0), complete=False, command=command)
    return max(tried, key=lambda each: each.tries.reproduced / each.tries.tries, default=None)


def _shrunk(
    trace: Trace, settings: TestSettings, transport: Transport, stop: threading.Event
) -> Reproduction:
    claim, recipe = trace.evidence.claim, trace.recipe
    instants = counted(len(recipe.schedule.steps), "instant")
    say(f"shrinking the {claim}: {counted(recipe.requests, 'request')} at {instants}")
    spans_ns = _LEAST_SPANS * (recipe.span_ns + trace.window_ns)
    until_ns = time.monotonic_ns() + max(_PATIENCE_NS, spans_ns)
    longest_ns = max(recipe.span_ns, min(trace.window_ns * 11 // 10, _PATIENCE_NS))
    book = canonical(settings.policy, trace.window_ns, trace.least)
    shrunk = shrink(
        recipe,
        Violations(settings, claim, trace.window_ns, transport, stop),
        window_ns=trace.window_ns,
        book=[each for each in book if each.span_ns <= longest_ns],
        least=trace.least,
        hint=trace.hint,
        go_on=lambda: not stop.is_set() and time.monotonic_ns() < until_ns,
    )
    command = repeat_command(settings, shrunk.recipe)
    return Reproduction(claim, shrunk.recipe, shrunk.tries, shrunk.complete, command)
