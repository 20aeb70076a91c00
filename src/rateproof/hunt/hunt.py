"""The hunt: what to send next, run and judged, learnt from, and shrunk where it found something."""

import sys
import threading
from collections.abc import Sequence
from dataclasses import replace

from rateproof.hunt.explore.explore import Draw, draw
from rateproof.hunt.explore.leads import Lead, Leads
from rateproof.hunt.iteration import Iteration, run_iteration
from rateproof.hunt.recipe import Phase
from rateproof.hunt.report.conclusion import of_claim
from rateproof.hunt.server.child import ChildServer
from rateproof.hunt.server.nemesis import Stroke, aftermath_ns, plan, witnesses
from rateproof.hunt.server.watch import Watch
from rateproof.hunt.settings import TestSettings
from rateproof.hunt.shrink.command import repeat_command
from rateproof.hunt.shrink.crashes import CRASH, shrunk_crash
from rateproof.hunt.shrink.oracle import Tries
from rateproof.hunt.shrink.reproduction import Reproduction
from rateproof.hunt.shrink.violations import (
    outcome_of,
    scheduled,
    shrunk_violations,
    told_if_cut_short,
)
from rateproof.output import columns, fold, say
from rateproof.prove import VIOLATED
from rateproof.simulate.scenario import Scenario
from rateproof.simulate.target import Target
from rateproof.simulate.transports import Transport

__all__ = ["Hunt", "first_scenario"]

_PATIENCE_S, _PATIENCE_TRIES = 0.5, 20


class Hunt:
    """Iteration after iteration against one target; each learns from those before.

    Args:
        settings: what is tested.
        child: the server, where it is ours to look after.
        stop: ends an iteration, or a search for the shortest schedule, early.
        transport: what sends.
    """

    def __init__(
        self,
        settings: TestSettings,
        child: ChildServer | None,
        stop: threading.Event,
        transport: Transport,
    ) -> None:
        self.settings = settings
        self._child = child
        self.stop = stop
        self._transport = transport
        self._leads = Leads()
        self._known = False
        self._shrunk: set[str] = set()
        self._told: set[str] = set()

    def iterate(self, number: int) -> Iteration:
        """Draw, run and judge an iteration, and learn from it."""
        settings = self.settings
        drawn, phase = _drawn(settings, number, self._leads.best())
        say("\n".join(fold(f"iteration {number}: {drawn}", columns(sys.stderr))))
        up = self._child is not None or _listens(settings.target, self.stop)
        iteration = run_iteration(
            drawn,
            _scenario(settings, drawn, phase),
            settings,
            watch=None if self._child is None else Watch(self._child, _strokes(settings, drawn)),
            stop=self.stop,
            transport=self._transport,
            known=self._known,
            up=up,
        )
        if settings.recipe is not None:
            iteration = told_if_cut_short(settings.recipe, iteration)
        self._known = iteration.answered
        self._leads.learn(drawn.attacks, iteration.log, settings.policy)
        return iteration

    def reproductions(self, iteration: Iteration) -> tuple[Reproduction, ...]:
        """The schedule that was to be run; else the shortest for each new violation or crash.

        Where there is none, or none was to be looked for, the iteration as a whole.
        """
        settings = self.settings
        if settings.recipe is not None:
            return (outcome_of(settings.recipe, iteration, settings),)
        found = self._shortest(iteration) if settings.shrink else ()
        new = _kinds(iteration, settings) - self._shrunk - self._told
        new -= {each.kind for each in found}
        self._told |= new
        return (*found, *(self._as_a_whole(kind, iteration) for kind in sorted(new)))

    def _as_a_whole(self, kind: str, iteration: Iteration) -> Reproduction:
        command = repeat_command(self.settings, None, iterations=iteration.draw.iteration)
        return Reproduction(kind, None, Tries(0, 0), complete=None, command=command)

    def _shortest(self, iteration: Iteration) -> tuple[Reproduction, ...]:
        settings = self.settings
        found = shrunk_violations(iteration, settings, self._shrunk, self._transport, self.stop)
        if iteration.nemesis:
            found = self._with_nemesis(found, iteration.draw.iteration)
        if not iteration.crashes or self._child is None or CRASH in self._shrunk:
            return found
        self._shrunk.add(CRASH)
        crash = shrunk_crash(iteration, settings, self._child, self._transport, self.stop)
        return found if crash is None else (*found, crash)

    def _with_nemesis(self, found: Sequence[Reproduction], number: int) -> tuple[Reproduction, ...]:
        """What does not happen without the nemesis is repeated by the iteration as a whole."""
        command = repeat_command(self.settings, None, iterations=number)
        told = []
        for each in found:
            if each.tries.accepted:
                told.append(each)
            else:
                self._shrunk.discard(each.kind)
                told.append(replace(each, recipe=None, command=command))
        return tuple(told)


def _kinds(iteration: Iteration, settings: TestSettings) -> set[str]:
    """The claims that an iteration violates, and `crash`."""
    verdict = iteration.verdict
    kinds = {CRASH} if iteration.crashes else set()
    if verdict.outcome == VIOLATED:
        kinds |= {claim for claim in settings.claims if of_claim(verdict, claim) is not None}
    return kinds


def first_scenario(settings: TestSettings) -> Scenario:
    """What the first iteration sends.

    Raises:
        InvalidArgument: a value with which no iteration could be run.
    """
    return _scenario(settings, *_drawn(settings, 1))


def _drawn(
    settings: TestSettings, number: int, lead: Lead | None = None
) -> tuple[Draw, Phase | None]:
    """What an iteration sends, and where it is to begin in windows from the epoch."""
    if settings.recipe is not None:
        return scheduled(settings.recipe, number, settings)
    drawn = draw(settings.seed, number, settings.policy, lead=lead, max_rate=settings.max_rate)
    if settings.nemesis:
        quota = settings.policy.quotas[0]
        group = witnesses(quota)
        drawn = replace(
            drawn,
            groups=(*drawn.groups, group),
            duration_ns=drawn.duration_ns + aftermath_ns(quota),
            note=f"{drawn.note}; {group.clients} witnesses",
        )
    return drawn, None


def _strokes(settings: TestSettings, drawn: Draw) -> tuple[Stroke, ...]:
    if not settings.nemesis:
        return ()
    quota, duration_ns = settings.policy.quotas[0], drawn.duration_ns
    if settings.recipe is None:
        duration_ns -= aftermath_ns(quota)
    return plan(drawn.seed, drawn.iteration, duration_ns, quota.window_ns, settings.nemesis)


def _scenario(settings: TestSettings, drawn: Draw, phase: Phase | None) -> Scenario:
    return settings.scenario(
        drawn.groups,
        seed=drawn.scenario_seed,
        duration_ns=drawn.duration_ns,
        start_ns=None if phase is None else phase.next_ns(),
    )


def _listens(target: Target, stop: threading.Event) -> bool:
    """Whether a server is there, after some time for one that went away to come back."""
    for _ in range(_PATIENCE_TRIES):
        if target.answers():
            return True
        if stop.wait(_PATIENCE_S):
            break
    return False
