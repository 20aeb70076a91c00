"""A finding pursued: made as short as it gets (`shrinking`), and as bad as it gets (`worst`)."""

import time
from collections.abc import Iterator

from rateproof.hunt.iteration import Iteration
from rateproof.hunt.recipe import Recipe
from rateproof.hunt.replay import outcome_of
from rateproof.hunt.report.totals import of_claim
from rateproof.hunt.rig import Rig
from rateproof.hunt.settings import TestSettings
from rateproof.hunt.shrinking.crashes import shrunk_crash
from rateproof.hunt.shrinking.reproduction import CRASH, Reproduction
from rateproof.hunt.shrinking.violations import shrunk_violations
from rateproof.hunt.worst.search import Worst, find_worst
from rateproof.policy import Quota
from rateproof.prove import OVER_ADMISSION, VIOLATED
from rateproof.units import SECOND_NS


class Pursuit:
    """The pursuit of all that a test finds, each kind of it once."""

    def __init__(self, settings: TestSettings) -> None:
        self._shrunk, self._told = set[str](), set[str]()
        self._recipes = list[Recipe]()
        self._sought = set[Quota]()
        self._worst_left_ns = settings.worst_time_ns

    def reproductions(self, rig: Rig, iteration: Iteration) -> list[Reproduction]:
        """The schedule that was to be run; else the shortest for each new violation or crash.

        Where there is none, or none was to be looked for, the iteration as a whole.
        """
        settings, number = rig.settings, iteration.draw.iteration
        if settings.recipe is not None:
            return [outcome_of(settings.recipe, iteration, rig)]
        found = self._shortest(rig, iteration) if settings.shrink_time_ns else []
        new = _kinds(iteration, settings) - self._shrunk - self._told
        new -= {each.kind for each in found}
        self._told |= new
        whole = [
            Reproduction.of(settings, kind, None, complete=None, iterations=number)
            for kind in sorted(new)
        ]
        self._recipes += [
            each.recipe for each in found if each.recipe and each.kind == OVER_ADMISSION
        ]
        return found + whole

    def _shortest(self, rig: Rig, iteration: Iteration) -> list[Reproduction]:
        until_ns = time.monotonic_ns() + rig.settings.shrink_time_ns
        found = shrunk_violations(iteration, rig, self._shrunk, until_ns)
        if iteration.crashes and rig.child is not None and CRASH not in self._shrunk:
            self._shrunk.add(CRASH)
            crash = shrunk_crash(iteration, rig, rig.child, until_ns)
            found += [] if crash is None else [crash]
        return found

    def worst(self, rig: Rig, iteration: Iteration) -> Iterator[Worst]:
        """Look for the most that each violated quota lets through, once, in the time that is left.

        Those that are violated together share it evenly.
        """
        settings = rig.settings
        broken = [
            quota
            for quota, one in zip(settings.policy.quotas, iteration.verdict.quotas, strict=False)
            if one.outcome == VIOLATED and quota not in self._sought and not settings.recipe
        ]
        for place, quota in enumerate(broken):
            began_ns = time.monotonic_ns()
            share_ns = self._worst_left_ns // (len(broken) - place)
            if share_ns < SECOND_NS:
                return
            self._sought.add(quota)
            until_ns = began_ns + share_ns
            worst = find_worst(rig, quota, self._recipes, until_ns, iteration.answer_ns)
            self._worst_left_ns -= time.monotonic_ns() - began_ns
            if worst is not None:
                yield worst


def _kinds(iteration: Iteration, settings: TestSettings) -> set[str]:
    verdict = iteration.verdict
    kinds = {CRASH} if iteration.crashes else set()
    if verdict.outcome == VIOLATED:
        kinds |= {claim for claim in settings.claims if of_claim(verdict, claim) is not None}
    return kinds
