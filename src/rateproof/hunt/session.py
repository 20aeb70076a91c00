"""The test: iteration after iteration until stopped, each judged, recorded, and learnt from.

`hunt` chooses what each sends; `iteration` runs and judges it, and `report` tells what came of it.
"""

import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rateproof.errors import CannotWrite, RateproofError, Unreachable
from rateproof.events import listed, open_log_writer, parquet
from rateproof.hunt.iteration import Iteration
from rateproof.hunt.iterations import Hunt, traffic
from rateproof.hunt.keyring import Keyring
from rateproof.hunt.pursuit import Pursuit
from rateproof.hunt.report.reporter import Reporter
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.text import KEPT_LOGS, Console, SummaryFile
from rateproof.hunt.report.totals import Totals
from rateproof.hunt.rig import Rig
from rateproof.hunt.server.child import server_for
from rateproof.hunt.settings import TestSettings
from rateproof.hunt.signals import NO_VERDICT, Signals
from rateproof.output import columns, say
from rateproof.prove import CONSISTENT, VIOLATED
from rateproof.simulate.consent import allow_target, allowed_rate
from rateproof.simulate.scenario import Scenario
from rateproof.simulate.tokens import Tokens
from rateproof.simulate.transports import default_name, named, sender
from rateproof.units import SECOND_NS, format_duration


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
    """The totals of a test: see `run_test`."""
    rig = rigged(settings, signals.stop)
    with SummaryFile(settings.out) as summary, ExitStack() as stack:
        if not allow_target(settings.target, yes=settings.yes):
            return Totals()
        settings = replace(settings, max_rate=allowed_rate(settings.target, settings.max_rate))
        if handled:
            stack.enter_context(signals.handled())
        totals = Totals(settings.claims, allow_untested=settings.allow_untested)
        try:
            if settings.on is not None:
                transport, check = stack.enter_context(sender(settings.transport, on=settings.on))
                check(_first(settings))
                rig = replace(rig, transport=transport)
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
    _first(settings)
    return Rig(settings, transport, stop, keyring=Keyring.of(settings))


def _first(settings: TestSettings) -> Scenario:
    first, _ = traffic(settings, 1)
    return settings.scenario(
        first.groups,
        duration_ns=first.duration_ns,
        tokens=settings.keys and Tokens(settings.keys.keys),
        max_requests=settings.max_requests,
    )


def _iterate_until_done(
    hunt: Hunt, signals: Signals, reporters: Sequence[Reporter], totals: Totals
) -> None:
    settings, stop = hunt.rig.settings, hunt.rig.stop
    of = f"_{settings.endpoint}" if settings.endpoint else ""
    prefix = f"test_log_{datetime.now(UTC):%Y%m%dT%H%M%SZ}{of}"  # no run overwrites another's
    suffix = "parquet" if parquet.available() else "jsonl"
    consistent: deque[Path] = deque()
    pursuit, number = Pursuit(settings), 0
    while True:
        iteration = hunt.iterate(number + 1)
        violated = iteration.verdict.outcome == VIOLATED
        is_part = hunt.is_extra and not (violated or iteration.crash_counts)
        number += not is_part
        path = settings.out / f"{prefix}_{number:06}.{suffix}"
        with signals.held():
            totals.add(iteration, numbered=not is_part)
            totals.other_clients = None if settings.recipe else hunt.forgetting.reached
            totals.tried_others = hunt.forgetting.tried
            totals.seen, totals.unseen = hunt.seen, hunt.unseen
            totals.untried, totals.remedy = hunt.untried, hunt.remedy
            totals.unwaited = hunt.unwaited
            totals.keys = hunt.keys_told
            totals.sent = hunt.rig.sent["requests"]
            if not is_part:
                _record(iteration, path, reporters, consistent)
        for reproduction in pursuit.reproductions(hunt.rig, iteration):
            totals.reproductions.append(reproduction)
            for reporter in reporters:
                reporter.found(reproduction, number)
        for worst in pursuit.worst(hunt.rig, iteration):
            totals.worst.append(worst)
            for reporter in reporters:
                reporter.found(worst, number)
        totals.pursuing += hunt.rig.sent["requests"] - totals.sent
        totals.sent = hunt.rig.sent["requests"]
        if stop.is_set() or (settings.fail_fast and violated) or hunt.done:
            return


def _record(
    iteration: Iteration, path: Path, reporters: Sequence[Reporter], consistent: deque[Path]
) -> None:
    """Report an iteration and write its log; of logs that hold, the last few are kept."""
    for reporter in reporters:
        reporter.add(iteration, path)
    _write_log(path, iteration)
    if iteration.verdict.allowing_untested().outcome == CONSISTENT:
        consistent.append(path)
    while len(consistent) > KEPT_LOGS:
        consistent.popleft().unlink(missing_ok=True)


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
        "Sent on": settings.on,
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
            totals.absent = error.message if isinstance(error, Unreachable) else None
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
