"""The test: iteration after iteration until stopped, each judged, recorded, and learnt from.

What an iteration sends is drawn (`exploration`) or was given (`replay`); `iteration` runs and
judges it; what violated the policy is made as short as it gets (`shrinking`) and told (`report`).
"""

import itertools
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rateproof.clock import Tolerance
from rateproof.errors import CannotWrite, RateproofError, Unreachable
from rateproof.events import listed, open_log_writer, parquet
from rateproof.hunt.exploration.attacks import FAMILIES, Attack
from rateproof.hunt.exploration.draw import (
    SCHEDULE,
    Draw,
    book_length,
    continued,
    delayed,
    draw,
    filling,
)
from rateproof.hunt.exploration.forgetting import FIRST_OTHERS, Forgetting
from rateproof.hunt.exploration.leads import Lead, Leads
from rateproof.hunt.iteration import Iteration, run_iteration
from rateproof.hunt.keyring import Keyring, idle_ns
from rateproof.hunt.recipe import Phase, Recipe
from rateproof.hunt.replay import LATE, outcome_of, scheduled, told_if_cut_short
from rateproof.hunt.report.reporter import Reporter
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.text import KEPT_LOGS, Console, SummaryFile
from rateproof.hunt.report.totals import Totals, of_claim
from rateproof.hunt.rig import Rig
from rateproof.hunt.server.child import server_for
from rateproof.hunt.server.nemesis import Stroke, aftermath_ns, plan, witnesses
from rateproof.hunt.server.watch import Watch
from rateproof.hunt.settings import TestSettings
from rateproof.hunt.shrinking.crashes import shrunk_crash
from rateproof.hunt.shrinking.reproduction import CONFIRMATIONS, CRASH, Reproduction
from rateproof.hunt.shrinking.violations import shrunk_violations
from rateproof.hunt.signals import NO_VERDICT, Signals
from rateproof.hunt.worst.search import Worst, find_worst
from rateproof.output import columns, progress, say
from rateproof.policy import Quota
from rateproof.prove import CONSISTENT, OVER_ADMISSION, VIOLATED
from rateproof.simulate.consent import allow_target, allowed_rate
from rateproof.simulate.tokens import Tokens
from rateproof.simulate.transports import default_name, named
from rateproof.units import SECOND_NS, counted, format_duration

__all__ = ["Hunt", "rigged", "run_test", "subject_of", "tested"]

_PATIENCE_S, _PATIENCE_TRIES, _UNASKED_TRIES = 0.5, 20, 6


def run_test(
    settings: TestSettings,
    reporters: Sequence[Reporter] = (),
    stop: threading.Event | None = None,
) -> int:
    """Test until stopped, by the number of iterations, or by `fail_fast`.

    Args:
        settings: what to test, and how.
        reporters: what hears of it, besides `test_summary.txt`.
        stop: ends it when it is set; None: SIGINT and SIGTERM do. A second of them ends
            it at once, with the verdict so far.

    Returns:
        0 consistent, 1 violated or the server crashed, 2 inconclusive.

    Raises:
        CannotWrite: the summary cannot be written; before any load is sent.
        InvalidArgument: a value that no iteration could be run with; another machine,
            nobody to ask, and not `yes`; or there is nothing to send with, and what to
            install. The first and the last before anything is written or printed.
        KeyboardInterrupt: a signal came before any request was sent, or a second one before
            the first verdict; or it was stopped before a server that it starts listened.
        Unreachable: nothing listens at the target and no server can be started there.
    """
    signals = Signals(stop or threading.Event())
    return tested(settings, reporters, signals, handled=stop is None).exit_code


def tested(
    settings: TestSettings, reporters: Sequence[Reporter], signals: Signals, *, handled: bool
) -> Totals:
    """The totals of a test: see `run_test`.

    Args:
        settings: what to test, and how.
        reporters: what hears of it.
        signals: end it.
        handled: it has the signals of the process handled meanwhile.
    """
    rig = rigged(settings, signals.stop)
    with SummaryFile(settings.out) as summary, ExitStack() as stack:
        if not allow_target(settings.target, yes=settings.yes):
            return Totals()
        settings = replace(settings, max_rate=allowed_rate(settings.target, settings.max_rate))
        if handled:
            stack.enter_context(signals.handled())
        totals = Totals(settings.claims, allow_untested=settings.allow_untested)
        try:
            child = server_for(settings)
            if child is not None:
                stack.push(child)
                child.start(signals.stop)
        except RateproofError:  # who reads a report only is to know
            with _reported(reporters, subject_of(settings), totals):
                raise
        ours = child is not None and settings.start is None
        settings = replace(settings, own=ours)  # and whoever repeats it has one of ours too
        reporters = [summary, *reporters, Console(json=settings.json, verbose=settings.verbose)]
        hunt = Hunt(replace(rig, settings=settings, child=child))
        stack.enter_context(_reported(reporters, subject_of(settings), totals))
        if handled and settings.is_endless and columns(sys.stderr) is not None:
            say("it goes on until you stop it: Ctrl-C ends it with the totals")
        if settings.duration_ns is not None:
            timer = threading.Timer(settings.duration_ns / SECOND_NS, signals.stop.set)
            stack.callback(timer.cancel)
            timer.start()
        with _verdict_so_far(signals, totals):
            _iterate_until_done(hunt, signals, reporters, totals)
    return totals


def rigged(settings: TestSettings, stop: threading.Event) -> Rig:
    """The rig of a test.

    Raises:
        InvalidArgument: a value that no iteration could be run with.
    """
    transport = named(settings.transport or default_name())
    first, _ = _drawn(settings, 1)
    given = settings.keys and Tokens(settings.keys.keys)
    settings.scenario(first.groups, duration_ns=first.duration_ns, tokens=given)
    return Rig(settings, transport, stop, keyring=_keyring(settings))


class Hunt:
    """Iteration after iteration against one target; each learns from those before."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        most = rig.settings.iterations
        self.most = most and most + len(_outer(rig.settings))
        self._leads = Leads()
        self.forgetting = Forgetting()
        self._known = False
        self._draws = 0
        self._last: Draw | None = None
        self._shrunk: set[str] = set()
        self._told: set[str] = set()
        self._recipes: list[Recipe] = []
        self._sought = set[Quota]()
        self._worst_left_ns = rig.settings.worst_time_ns

    def iterate(self, number: int) -> Iteration:
        """Draw, run and judge an iteration, and learn from it.

        Raises:
            Unreachable: the server that was started ended, and had never answered anything.
        """
        rig, settings = self.rig, self.rig.settings
        drawn, phase = self._next(number)
        timely = settings.recipe is None or settings.recipe.phase is None or phase is not None
        if not timely:
            say(LATE)
        of = f" of {self.most}" if self.most else ""
        with progress(f"iteration {number}{of}: {drawn}", drawn.duration_ns / SECOND_NS):
            watch = None if rig.child is None else Watch(rig.child, _strokes(settings, drawn))
            iteration = run_iteration(
                rig,
                drawn,
                phase,
                watch=watch,
                known=self._known,
                up=rig.child is not None or self._listens(),
            )
        if (
            watch is not None
            and watch.first_end
            and not iteration.answered
            and self._ends_unasked()
        ):
            what = f"the server {watch.first_end} before it answered anything"
            words = watch.last_words and f"; its last words: {watch.last_words}"
            raise Unreachable(what + words, f"its command was {rig.child}")
        if settings.recipe is not None:
            iteration = told_if_cut_short(settings.recipe, iteration, timely=timely)
        self._known = iteration.answered
        self._leads.learn(drawn.attacks, iteration.log, settings.policy)
        self.forgetting.learn(drawn.attacks, iteration.log)
        return iteration

    def _next(self, number: int) -> tuple[Draw, Phase | None]:
        """Choose the traffic: first what the last iteration had too few keys for."""
        rig, last, phase = self.rig, self._last, None
        if last is not None and last.left:
            drawn = continued(last, number, rig.most_clients)
        else:
            self._draws += 1
            lead, others = self._leads.best(), self.forgetting.next
            drawn, phase = _drawn(rig.settings, self._draws, lead, others, keys=rig.most_clients)
            drawn = replace(drawn, iteration=number)
        self._last = drawn
        return drawn, phase

    @property
    def left(self) -> tuple[Attack, ...]:
        """Attacks of the last draw that there were too few keys for."""
        return () if self._last is None else self._last.left

    @property
    def done(self) -> bool:
        """True after the last iteration."""
        return self._draws == self.most and not self.left

    def _ends_unasked(self) -> bool:
        """Tell if the server that was started again ends without a request, too: that is no crash."""
        child = self.rig.child
        for _ in range(_UNASKED_TRIES):
            if child is None or not child.running or child.died() is not None:
                return True
            if self.rig.stop.wait(_PATIENCE_S):
                break
        return False

    def reproductions(self, iteration: Iteration) -> list[Reproduction]:
        """The schedule that was to be run; else the shortest for each new violation or crash.

        Where there is none, or none was to be looked for, the iteration as a whole.
        """
        settings, number = self.rig.settings, iteration.draw.iteration
        if settings.recipe is not None:
            return [outcome_of(settings.recipe, iteration, self.rig)]
        found = self._shortest(iteration) if settings.shrink_time_ns else []
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

    def _shortest(self, iteration: Iteration) -> list[Reproduction]:
        rig = self.rig
        until_ns = time.monotonic_ns() + rig.settings.shrink_time_ns
        found = shrunk_violations(iteration, rig, self._shrunk, until_ns)
        if iteration.crashes and rig.child is not None and CRASH not in self._shrunk:
            self._shrunk.add(CRASH)
            crash = shrunk_crash(iteration, rig, rig.child, until_ns)
            found += [] if crash is None else [crash]
        return found

    def worst(self, iteration: Iteration) -> Iterator[Worst]:
        """Look for the most that each violated quota lets through, once, in the time that is left.

        Those that are violated together share it evenly.
        """
        settings = self.rig.settings
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
            worst = find_worst(self.rig, quota, self._recipes, until_ns, iteration.answer_ns)
            self._worst_left_ns -= time.monotonic_ns() - began_ns
            if worst is not None:
                yield worst

    def _listens(self) -> bool:
        """Find a server at the target, after some time for one that went away to come back.

        One that neither accepts a connection nor refuses it is there.
        """
        for _ in range(_PATIENCE_TRIES):
            if self.rig.settings.target.accepts() is not False:
                return True
            if self.rig.stop.wait(_PATIENCE_S):
                break
        return False


def _iterate_until_done(
    hunt: Hunt, signals: Signals, reporters: Sequence[Reporter], totals: Totals
) -> None:
    settings, stop = hunt.rig.settings, hunt.rig.stop
    of = f"_{settings.endpoint}" if settings.endpoint else ""
    prefix = f"test_log_{datetime.now(UTC):%Y%m%dT%H%M%SZ}{of}"  # no run overwrites another's
    suffix = "parquet" if parquet.available() else "jsonl"
    consistent: deque[Path] = deque()
    for number in itertools.count(1):
        iteration = hunt.iterate(number)
        path = settings.out / f"{prefix}_{number:06}.{suffix}"
        with signals.held():
            totals.add(iteration)
            totals.other_clients = hunt.forgetting.reached
            totals.tried_others = hunt.forgetting.tried
            totals.keys = _told_keys(hunt)
            for reporter in reporters:
                reporter.add(iteration, path)
            _write_log(path, iteration)
            if iteration.verdict.allowing_untested().outcome == CONSISTENT:
                consistent.append(path)
            while len(consistent) > KEPT_LOGS:
                consistent.popleft().unlink(missing_ok=True)
        for reproduction in hunt.reproductions(iteration):
            totals.reproductions.append(reproduction)
            for reporter in reporters:
                reporter.found(reproduction, number)
        for worst in hunt.worst(iteration):
            totals.worst.append(worst)
            for reporter in reporters:
                reporter.found(worst, number)
        failed = settings.fail_fast and iteration.verdict.outcome == VIOLATED
        if stop.is_set() or failed or hunt.done:
            return


def _told_keys(hunt: Hunt) -> str:
    """Say how keys of a file were used, and what was not tried for lack of them."""
    keyring = hunt.rig.keyring
    if keyring is None:
        return ""
    missed = list(dict.fromkeys(FAMILIES[each.family].words for each in hunt.left))
    all_keys = len(keyring.keys.keys)
    if all_keys < CONFIRMATIONS:
        missed.append(f"schedules with more than {counted(all_keys, 'client')}")
    if all_keys < 2 * FIRST_OTHERS:
        missed.append(f"more than {all_keys // 2} other clients between two bursts")
    return keyring.told + (f"; not tried with so few: {', '.join(missed)}" if missed else "")


def _keyring(settings: TestSettings) -> Keyring | None:
    if settings.keys is None:
        return None
    tolerance = Tolerance(settings.tolerance_ppm, settings.granularity_ns)
    idle = idle_ns(settings.policy, tolerance, denied_count=settings.denied_count)
    return Keyring(settings.keys, idle, unused=settings.fresh_keys)


def _outer(settings: TestSettings) -> list[Attack]:
    """Draws that fill the quotas that others delay, an iteration each; none for a given schedule."""
    return [] if settings.recipe else delayed(settings.policy, settings.outer_time_ns)


def _kinds(iteration: Iteration, settings: TestSettings) -> set[str]:
    """The claims that an iteration violates, and `crash`."""
    verdict = iteration.verdict
    kinds = {CRASH} if iteration.crashes else set()
    if verdict.outcome == VIOLATED:
        kinds |= {claim for claim in settings.claims if of_claim(verdict, claim) is not None}
    return kinds


def _drawn(
    settings: TestSettings,
    number: int,
    lead: Lead | None = None,
    others: int | None = None,
    *,
    keys: int | None = None,
) -> tuple[Draw, Phase | None]:
    """Choose the traffic of an iteration, and its phase in windows from the epoch."""
    if settings.recipe is not None:
        return scheduled(settings.recipe, number, settings, keys)
    outer = _outer(settings)
    book = min(settings.iterations or number, book_length(settings.policy))
    if book < number <= book + len(outer):
        return filling(settings.seed, number, outer[number - book - 1], keys), None
    drawn = draw(
        settings.seed,
        number,
        settings.policy,
        lead=lead,
        others=others,
        max_rate=settings.max_rate,
        keys=keys,
    )
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
    if not settings.nemesis or (settings.recipe is None and drawn.shape == SCHEDULE):
        return ()
    quota, duration_ns = settings.policy.quotas[0], drawn.duration_ns
    if settings.recipe is None:
        duration_ns -= aftermath_ns(quota)
    return plan(drawn.seed, drawn.iteration, duration_ns, quota.window_ns, settings.nemesis)


def subject_of(settings: TestSettings) -> Subject:
    """The facts that reports of a test begin with."""
    shown = {
        "Claims": ", ".join(sorted(settings.claims)),
        "Tolerance": f"{settings.tolerance_ppm} ppm",
        "Granularity": format_duration(settings.granularity_ns),
        "Rejected by": listed(settings.rejected_statuses),
        "Method": settings.method,
        "Timeout": format_duration(settings.timeout_ns),
        "Most requests a second": None if settings.max_rate is None else f"{settings.max_rate:g}",
        "Transport": settings.transport or default_name(),
        "Server started by": settings.start,
        "Nemesis": ", ".join(settings.nemesis),
    }
    return Subject(
        verb="test",
        target=settings.target.url,
        policy=str(settings.policy),
        key=str(settings.key),
        seed=settings.seed,
        endpoint=settings.endpoint,
        own=settings.own,
        settings={name: value for name, value in shown.items() if value},
    )


def _write_log(path: Path, iteration: Iteration) -> None:
    """Write a whole log, or none."""
    try:
        with open_log_writer(path, iteration.log.metadata) as writer:
            writer.write(iteration.log)
    except CannotWrite:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def _reported(reporters: Sequence[Reporter], subject: Subject, totals: Totals) -> Iterator[None]:
    """Begin every report, and end it, whatever happens in the body; say there if it is out of order."""
    for reporter in reporters:
        reporter.begin(subject, totals)
    with ExitStack() as ends:
        for reporter in reversed(reporters):
            ends.callback(reporter.end)
        try:
            yield
        except BaseException as error:
            totals.failed = str(error) or type(error).__name__
            raise


@contextmanager
def _verdict_so_far(signals: Signals, totals: Totals) -> Iterator[None]:
    """Let signals end the body with the verdict so far, where there is one."""
    try:
        yield
    except KeyboardInterrupt:
        if not (signals.seen and totals.requests):
            raise
    else:
        if signals.seen and not totals.requests:
            raise KeyboardInterrupt(NO_VERDICT)
    finally:
        signals.ignore()
