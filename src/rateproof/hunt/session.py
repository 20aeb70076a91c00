"""The tester: iteration after iteration until stopped, every one of them recorded."""

import itertools
import json
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from rateproof.errors import CannotWrite, Unreachable
from rateproof.events import open_log_writer, parquet
from rateproof.hunt.child import ChildServer
from rateproof.hunt.explore import Draw, draw
from rateproof.hunt.iteration import Iteration, run_iteration
from rateproof.hunt.report.summary import SummaryFile, Totals, describe, heading
from rateproof.keyspec import KeySpec
from rateproof.output import emit, say
from rateproof.policy import Policy
from rateproof.prove import VIOLATED
from rateproof.simulate.client.live import allow_target, allowed_rate
from rateproof.simulate.scenario import Scenario
from rateproof.simulate.target import Target
from rateproof.simulate.transports import Transport, default_name, named
from rateproof.units import SECOND_NS

__all__ = ["TestSettings", "run_test"]

_KEPT_LOGS = 3
_PATIENCE_S, _PATIENCE_TRIES = 0.5, 20

# What is judged is what was sent, whenever that was: only a generator that hardly
# ran makes an iteration inconclusive, not a busy machine.
_LAG_TOLERANCE_NS = SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSettings:
    """What to test, against which claims, and where the results go.

    Args:
        target: where the requests go.
        policy: what is claimed to hold there.
        key: where each client's identity is put.
        seed: of every draw.
        claims: `over-admission`, `wrong-rejection`, or both.
        tolerance_ppm: how far the server's clock may drift from ours.
        timeout_ns: for one answer.
        max_rate: requests a second at most; None: as drawn, but 100 to another machine.
        yes: do not ask before sending to another machine.
        may_start: where nothing listens, start a server of our own and test that.
        iterations: how many; None: until stopped.
        fail_fast: stop at the first violation.
        out: folder of `test_summary.txt` and of the logs.
        json_lines: print each iteration and the totals as JSON on stdout.
        transport: name of what sends; None: the best there is here.
        ca_file: certificates in PEM to trust instead of the system's.
        insecure: accept any certificate.
    """

    target: Target
    policy: Policy
    key: KeySpec
    seed: int
    claims: frozenset[str]
    tolerance_ppm: int
    timeout_ns: int
    max_rate: float | None
    yes: bool
    may_start: bool
    iterations: int | None
    fail_fast: bool
    out: Path
    json_lines: bool
    transport: str | None = None
    ca_file: str | None = None
    insecure: bool = False


def run_test(settings: TestSettings) -> int:
    """Test until stopped by a signal, by the number of iterations, or by `fail_fast`.

    Args:
        settings: what to test, and how.

    Returns:
        0 consistent, 1 violated or the server crashed, 2 inconclusive.

    Raises:
        CannotWrite: the summary cannot be written; before any load is sent.
        InvalidArgument: a value that no iteration could be run with; another machine,
            nobody to ask, and not `yes`; or there is nothing to send with, and what to
            install. The first and the last before anything is written or printed.
        Unreachable: nothing listens at the target and no server can be started there.
    """
    transport = named(settings.transport or default_name())
    _scenario(settings, draw(settings.seed, 1, settings.policy))  # refuses what none could have
    with SummaryFile(settings.out) as summary, ExitStack() as stack:
        if not allow_target(settings.target, yes=settings.yes):
            return Totals().exit_code
        settings = replace(settings, max_rate=allowed_rate(settings.target, settings.max_rate))
        stop = stack.enter_context(_stopped_by_signals())
        child = _server(settings, stack)
        start = heading(
            settings.target.url,
            str(settings.policy),
            str(settings.key),
            settings.seed,
            own=child is not None,
        )
        summary.append(start)
        say(start)
        if not parquet.available():
            say("pyarrow is not installed: logs are JSON lines (hint: pip install pyarrow)")
        totals = Totals()
        try:
            _iterate_until_done(settings, summary, totals, child, stop, transport=transport)
        finally:
            summary.append(totals.describe())
    emit(json.dumps(totals.to_json()) if settings.json_lines else totals.describe())
    return totals.exit_code


def _iterate_until_done(
    settings: TestSettings,
    summary: SummaryFile,
    totals: Totals,
    child: ChildServer | None,
    stop: threading.Event,
    *,
    transport: Transport,
) -> None:
    prefix = f"test_log_{datetime.now(UTC):%Y%m%dT%H%M%SZ}"  # no run overwrites another's
    logs: deque[Path] = deque()
    for number in itertools.count(1):
        iteration = _iterate(settings, number, child, stop, transport)
        totals.add(iteration)
        path = _log_path(settings.out, prefix, number)
        text = describe(iteration, path)
        summary.append(text)
        say(text.partition("\n")[2])
        if settings.json_lines:
            emit(json.dumps(iteration.to_json()))
        _write_log(path, iteration)
        _drop_old_logs(logs, path, iteration)
        failed = settings.fail_fast and iteration.verdict.outcome == VIOLATED
        if stop.is_set() or failed or number == settings.iterations:
            return


def _iterate(
    settings: TestSettings,
    number: int,
    child: ChildServer | None,
    stop: threading.Event,
    transport: Transport,
) -> Iteration:
    drawn = draw(settings.seed, number, settings.policy)
    say(f"iteration {number}: {drawn}")
    if child is None:
        _wait_for(settings.target, stop)
    return run_iteration(
        drawn,
        _scenario(settings, drawn),
        settings.policy,
        claims=settings.claims,
        tolerance_ppm=settings.tolerance_ppm,
        child=child,
        stop=stop,
        transport=transport,
    )


def _server(settings: TestSettings, stack: ExitStack) -> ChildServer | None:
    """Nothing when the target answers; else a server of our own there, where that is possible."""
    target = settings.target
    if target.answers():
        return None
    ours = target.is_loopback and target.scheme == "http" and target.path == "/"
    if not (ours and settings.may_start):
        raise Unreachable(f"nothing listens at {target.url}", "start the server first")
    say(f"nothing listens at {target.url}: starting a server there")
    return stack.enter_context(ChildServer(target, settings.policy, settings.key))


def _scenario(settings: TestSettings, drawn: Draw) -> Scenario:
    return Scenario(
        target=settings.target,
        groups=drawn.groups,
        seed=drawn.scenario_seed,
        duration_ns=drawn.duration_ns,
        key=settings.key.writable,
        timeout_ns=settings.timeout_ns,
        max_rate=settings.max_rate,
        policy=settings.policy,
        lag_tolerance_ns=_LAG_TOLERANCE_NS,
        ca_file=settings.ca_file,
        insecure=settings.insecure,
    )


def _wait_for(target: Target, stop: threading.Event) -> None:
    """Give a server that went away some time to come back; the loop goes on in any case."""
    for _ in range(_PATIENCE_TRIES):
        if target.answers() or stop.wait(_PATIENCE_S):
            return


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
def _stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second SIGINT interrupts for good."""
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        with suppress(OSError):  # not through sys.stderr, whose lock this may have interrupted
            os.write(2, b"stopping: requests in flight are awaited\n")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
