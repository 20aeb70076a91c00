"""A schedule that was given, run as it is on fresh clients."""

import time

from rateproof.hunt.exploration.traffic import SCHEDULE, Draw
from rateproof.hunt.iteration import Iteration
from rateproof.hunt.recipe import Phase, Recipe
from rateproof.hunt.rig import Rig, alone, keys_of, rows_of
from rateproof.hunt.settings import TestSettings
from rateproof.hunt.shrinking.bench import Bench
from rateproof.hunt.shrinking.reproduction import (
    CONFIRMATIONS,
    CRASH,
    NO_VIOLATION,
    Reproduction,
    Tries,
)
from rateproof.prove import VIOLATED, Cause
from rateproof.units import SECOND_NS

_MOST_SPREAD_NS = 60 * SECOND_NS
LATE = "the phase of the schedule lies beyond --shrink-time: it begins at once"


def scheduled(
    recipe: Recipe, number: int, settings: TestSettings, most: int | None = None
) -> tuple[Draw, Phase | None]:
    """An iteration that runs a recipe on fresh clients, `most` at most, begun over the window's phases."""
    spread_ns = min(settings.policy.quotas[0].window_ns, _MOST_SPREAD_NS)
    rate = settings.max_rate
    bench = Bench.of([recipe], CONFIRMATIONS, spread_ns=spread_ns, max_rate=rate, most=most)
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
    wait_ns = 0 if bench.phase is None else bench.phase.next_ns() - time.monotonic_ns()
    return drawn, None if 0 < settings.shrink_time_ns < wait_ns else bench.phase


def outcome_of(recipe: Recipe, iteration: Iteration, rig: Rig) -> Reproduction:
    """Count the clients for whom a recipe that was given violated the policy, or crashed the server.

    A client that could not send all of it, and for whom nothing happened, did not try it.
    """
    verdicts = [rig.judge(own) for own in alone(iteration.log, iteration.draw.clients)]
    kinds = sorted({piece.claim for verdict in verdicts for piece in verdict.evidence})
    violated = [verdict.outcome == VIOLATED for verdict in verdicts]
    happened, tried = sum(violated), sum(map(max, violated, _ended(recipe, iteration)))
    if iteration.crashes:
        kinds.append(CRASH)
        happened, tried = max(happened, min(len(iteration.crashes), len(verdicts))), len(verdicts)
    return Reproduction.of(
        rig.settings,
        ", ".join(kinds) or NO_VIOLATION,
        recipe,
        Tries(happened, tried),
        complete=None,
        iterations=iteration.draw.iteration,
    )


def told_if_cut_short(recipe: Recipe, iteration: Iteration, *, timely: bool = True) -> Iteration:
    """The iteration; inconclusive where nothing was found and nobody had sent the recipe."""
    verdict, ended = iteration.verdict, _ended(recipe, iteration)
    if verdict.outcome == VIOLATED or iteration.crashes or (any(ended) and timely):
        return iteration
    why = f"the schedule was cut short: none of {len(ended)} clients had sent all of it"
    why = why if timely else LATE
    return iteration.doubted(why, Cause.CUT_SHORT)


def _ended(recipe: Recipe, iteration: Iteration) -> list[bool]:
    """For each client: it sent all that it was to send."""
    keys = keys_of(iteration.log, iteration.draw.clients)
    return [len(rows) >= recipe.requests for rows in rows_of(iteration.log, keys).values()]
