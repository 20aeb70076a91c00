"""The tester: iteration after iteration until stopped, every one of them recorded."""

import itertools
import json
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rateproof.errors import CannotWrite
from rateproof.events import listed, open_log_writer, parquet
from rateproof.hunt.exploration.draw import Draw, draw
from rateproof.hunt.exploration.leads import Lead, Leads
from rateproof.hunt.iteration import Iteration, run_iteration
from rateproof.hunt.recipe import Phase
from rateproof.hunt.report.conclusion import of_claim
from rateproof.hunt.report.reporter import Reporter
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.summary import SummaryFile, Totals, describe
from rateproof.hunt.server.child import ChildServer
from rateproof.hunt.server.nemesis import Stroke, aftermath_ns, plan, witnesses
from rateproof.hunt.server.starting import server_for
from rateproof.hunt.server.watch import Watch
from rateproof.hunt.settings import TestSettings
from rateproof.hunt.shrinking.command import repeat_command
from rateproof.hunt.shrinking.crashes import CRASH, shrunk_crash
from rateproof.hunt.shrinking.oracle import Tries
from rateproof.hunt.shrinking.reproduction import Reproduction
from rateproof.hunt.shrinking.violations import (
    outcome_of,
    scheduled,
    shrunk_violations,
    told_if_cut_short,
)
from rateproof.hunt.signals import NO_VERDICT, Signals
from rateproof.output import columns, emit, fold, say
from rateproof.prove import VIOLATED
from rateproof.simulate.consent import allow_target, allowed_rate
from rateproof.simulate.scenario import Scenario
from rateproof.simulate.target import Target
from rateproof.simulate.transports import Transport, default_name, named
from rateproof.units import SECOND_NS, format_duration

__all__ = ["Hunt", "TestSettings", "run_test"]

_KEPT_LOGS = 3
_PATIENCE_S, _PATIENCE_TRIES = 0.5, 20


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
    transport = named(settings.transport or default_name())
    _first_scenario(settings)  # refuses what no iteration could have
    with SummaryFile(settings.out) as summary, ExitStack() as stack:
        if not allow_target(settings.target, yes=settings.yes):
            return Totals().exit_code
        settings = replace(settings, max_rate=allowed_rate(settings.target, settings.max_rate))
        signals = Signals(stop or threading.Event())
        if stop is None:
            stack.enter_context(signals.handled())
        child = _server(settings, stack, signals.stop)
        if child is None:
            settings = replace(settings, may_start=False)  # nor by who repeats it
        subject = _subject(settings, own=child is not None and settings.start is None)
        reporters = [summary, *reporters]
        totals = Totals()
        for reporter in reporters:
            reporter.begin(subject, totals)
        say(str(subject))
        if not parquet.available():
            say("pyarrow is not installed: logs are JSON lines (hint: pip install pyarrow)")
        stack.enter_context(_stopped_after(settings.duration_ns, signals.stop))
        hunt = Hunt(settings, child, signals.stop, transport)
        with _ended(reporters, totals), _verdict_so_far(signals, totals):
            _iterate_until_done(hunt, signals, summary, reporters, totals)
        if settings.json_lines:
            emit(json.dumps({"type": "totals"} | totals.to_json()))
        else:
            emit(totals.describe())
    return totals.exit_code


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


def _subject(settings: TestSettings, *, own: bool) -> Subject:
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
        own=own,
        settings={name: value for name, value in shown.items() if value},
    )


@contextmanager
def _ended(reporters: Sequence[Reporter], totals: Totals) -> Iterator[None]:
    """End every report, whatever happens in the body, and say there if it was out of order."""
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


def _iterate_until_done(
    hunt: Hunt,
    signals: Signals,
    summary: SummaryFile,
    reporters: Sequence[Reporter],
    totals: Totals,
) -> None:
    settings = hunt.settings
    prefix = f"test_log_{datetime.now(UTC):%Y%m%dT%H%M%SZ}"  # no run overwrites another's
    logs: deque[Path] = deque()
    for number in itertools.count(1):
        iteration = hunt.iterate(number)
        path = _log_path(settings.out, prefix, number)
        with signals.held():
            totals.add(iteration)
            for reporter in reporters:
                reporter.add(iteration, path)
            say(describe(iteration, path, columns(sys.stderr)).partition("\n")[2])
            if settings.json_lines:
                emit(json.dumps({"type": "iteration"} | iteration.to_json()))
            _write_log(path, iteration)
            _drop_old_logs(logs, path, iteration)
        for reproduction in hunt.reproductions(iteration):
            totals.reproductions.append(reproduction)
            summary.append(reproduction.describe())
            say(reproduction.describe())
            if settings.json_lines:
                about = {"type": "reproduction", "iteration": number}
                emit(json.dumps(about | reproduction.to_json()))
        failed = settings.fail_fast and iteration.verdict.outcome == VIOLATED
        if hunt.stop.is_set() or failed or number == settings.iterations:
            return


def _server(settings: TestSettings, stack: ExitStack, stop: threading.Event) -> ChildServer | None:
    child = server_for(
        settings.target,
        settings.policy,
        settings.key,
        command=settings.start,
        may_start=settings.may_start,
        nemesis=settings.nemesis,
    )
    if child is not None:
        stack.push(child)
        child.start(stop)
    return child


def _log_path(folder: Path, prefix: str, iteration: int) -> Path:
    suffix = "parquet" if parquet.available() else "jsonl"
    return folder / f"{prefix}_{iteration:06}.{suffix}"


def _write_log(path: Path, iteration: Iteration) -> None:
    """Write a whole log, or none."""
    try:
        with open_log_writer(path, iteration.log.metadata) as writer:
            writer.write(iteration.log)
    except CannotWrite:
        path.unlink(missing_ok=True)
        raise


def _drop_old_logs(kept: deque[Path], path: Path, iteration: Iteration) -> None:
    """Keep the logs that show something, and of the consistent ones the last three."""
    if iteration.verdict.outcome == "consistent":
        kept.append(path)
    while len(kept) > _KEPT_LOGS:
        kept.popleft().unlink(missing_ok=True)


@contextmanager
def _stopped_after(duration_ns: int | None, stop: threading.Event) -> Iterator[None]:
    """Set the event when that time is over and the body still runs."""
    if duration_ns is None:
        yield
        return
    timer = threading.Timer(duration_ns / SECOND_NS, stop.set)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _kinds(iteration: Iteration, settings: TestSettings) -> set[str]:
    """The claims that an iteration violates, and `crash`."""
    verdict = iteration.verdict
    kinds = {CRASH} if iteration.crashes else set()
    if verdict.outcome == VIOLATED:
        kinds |= {claim for claim in settings.claims if of_claim(verdict, claim) is not None}
    return kinds


def _first_scenario(settings: TestSettings) -> Scenario:
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
