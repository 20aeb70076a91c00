"""The interactive client: asks, runs, shows figures, acts on keys, sums up."""

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

from rateproof.errors import CannotWrite, Unreachable
from rateproof.events import EventLog, open_log_writer
from rateproof.output import columns, emit, fold, say
from rateproof.simulate.client.console import BOUND, HELP, Attention, act, ask_clients
from rateproof.simulate.client.figures import Figures
from rateproof.simulate.client.settings import ClientSettings
from rateproof.simulate.consent import allow_target, allowed_rate, has_terminal
from rateproof.simulate.control import Control
from rateproof.simulate.run_metadata import run_metadata
from rateproof.simulate.scenario import Scenario
from rateproof.simulate.summary import Summary
from rateproof.simulate.target import Target
from rateproof.simulate.transports import sender

DEFAULT_CLIENTS = 10

DRAINING = (
    "draining: requests in flight finish, nothing new is sent; again to give up what is in flight"
)
_USUAL_COLUMNS = 80
GIVING_UP = "giving up what is in flight"


def _require_answer(target: Target) -> None:
    if not target.answers():
        port = "" if target.port == 8080 else f" --port {target.port}"
        ours = "python server.py" if Path(sys.argv[0]).name == "client.py" else "rateproof serve"
        raise Unreachable(
            f"nothing answers at {target.url}",
            f"start the server first: {ours}{port}"
            if target.is_loopback
            else "check the host, the port and the way there",
        )


def run_client(settings: ClientSettings) -> int:
    """Run clients until a key press, Ctrl-C, SIGTERM, SIGHUP or the end of the scenario.

    Progress goes to stderr, the summary to stdout (to stderr when the log is
    `-`). Stopping is the normal end, and so is a no to the question. A run
    that fails midway is summed up as far as it came before its error is raised.

    Returns:
        The exit code: 0.

    Raises:
        InvalidArgument: a value out of bounds, a package missing, nobody to ask, or no
            answer to how many clients.
        KeyboardInterrupt: Ctrl-C before the run began.
        Unreachable: nothing answers at the URL.
        CannotWrite: the log cannot be written.
    """
    settings.check()
    if settings.log == "-" and sys.stdout is None:
        raise CannotWrite("cannot write the log: standard output is closed")
    draft = settings.scenario()  # every value is checked before the first question
    if not allow_target(draft.target, yes=settings.yes):
        return 0
    _require_answer(draft.target)
    scenario = _complete(draft, settings)
    try:
        viewed = not settings.plain and settings.log != "-" and can_view()
        with Attention(BOUND, terminal=not viewed) as attention:
            summary = Summary(scenario.client_count)
            metadata: dict[str, Any] = {"seed": scenario.seed}
            try:
                _run(settings, scenario, summary, attention, metadata, viewed=viewed)
            except Exception:
                if summary.requests:
                    _report(settings, summary, metadata)
                raise
            # Still inside: a second Ctrl-C must not cost the summary.
            _report(settings, summary, metadata)
    except KeyboardInterrupt:
        return 0
    return 0


def _complete(draft: Scenario, settings: ClientSettings) -> Scenario:
    """The scenario with its number of clients and its rate."""
    groups = draft.groups
    if settings.asks_clients:
        clients = DEFAULT_CLIENTS
        if has_terminal():
            clients = ask_clients()
        else:
            say(f"no number of clients and no terminal to ask at: {DEFAULT_CLIENTS} clients")
        groups = settings.scenario(clients=clients).groups
    return replace(draft, groups=groups, max_rate=allowed_rate(draft.target, draft.max_rate))


def _report(settings: ClientSettings, summary: Summary, metadata: dict[str, Any]) -> None:
    write, stream = (say, sys.stderr) if settings.log == "-" else (emit, sys.stdout)
    if settings.json:
        extra = {name: metadata.get(name) for name in ("seed", "audit")}
        write(json.dumps(summary.as_dict() | extra))
    else:
        lines = (fold(line, columns(stream), " " * 10) for line in str(summary).split("\n"))
        write("\n".join(chain(*lines)))


def _run(
    settings: ClientSettings,
    scenario: Scenario,
    summary: Summary,
    attention: Attention,
    metadata: dict[str, Any],
    *,
    viewed: bool,
) -> None:
    control = Control()
    figures = Figures(scenario.client_count, summary, extra=lambda: control.extra_clients)
    observers = [figures.observe]

    def observe(events: EventLog) -> None:
        for each in observers:
            each(events)

    with ExitStack() as stack:
        transport, check = stack.enter_context(
            sender(settings.transport, threads=settings.threads, on=settings.on)
        )
        check(scenario)
        writer = None
        if settings.log is not None:
            # The namespace of the identities is random: no server has seen them before.
            fresh = scenario.tokens is None
            before = run_metadata(scenario, settings.transport_in_use) | {
                "fresh_keys": fresh,
                "complete": False,
            }
            writer = stack.enter_context(open_log_writer(settings.log, before))
            observers.append(writer.write)
        started: list[Future[EventLog]] = []
        pool = stack.enter_context(ThreadPoolExecutor(1, "runner"))

        def start() -> None:
            """Begin once the view is up, which takes some of the processor."""
            if not started:
                figures.begin()
                run = pool.submit(transport, scenario, control=control, observe=observe, keep=False)
                run.add_done_callback(done)
                started.append(run)

        def done(_run: object) -> None:
            figures.finished = True
            attention.wake()

        try:
            _watch(start, figures, control, attention, scenario, viewed=viewed)
        finally:
            control.stop()
            pool.shutdown()
            summary.expect(figures.most_clients)
        after = started[0].result().metadata
        metadata |= after
        summary.conclude(after)
        if writer is not None:
            writer.note({"complete": True} | after)


def can_view() -> bool:
    """True if the view can be shown.

    It needs textual, and a terminal at stdin, stdout and stderr, in whose
    foreground we are; one that can move its cursor.
    """
    if find_spec("textual") is None or os.environ.get("TERM", "dumb") == "dumb":
        return False
    try:
        streams = [stream.fileno() for stream in (sys.stdin, sys.stdout, sys.stderr)]
        return all(map(os.isatty, streams)) and os.tcgetpgrp(streams[0]) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False


def _watch(
    start: Callable[[], None],
    figures: Figures,
    control: Control,
    attention: Attention,
    scenario: Scenario,
    *,
    viewed: bool,
) -> None:
    """Start the run once its view is up, and see it through."""
    if viewed:
        from rateproof.simulate.client.view import View

        View(figures, control, scenario, start=start, attention=attention).run(mouse=False)
        if not figures.finished:
            say("the view has failed; the run goes on, Ctrl-C stops")
    start()
    _watch_line(figures, control, attention, scenario)


class _LiveLine(ExitStack):
    """One line that is rewritten in place on a terminal, and a line a second elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self._in_place = sys.stderr is not None and sys.stderr.isatty()
        self.interval_s = 0.2 if self._in_place else 1.0
        self._next_s = 0.0
        self._width = 0
        self.callback(self._end)

    def show(self, text: Callable[[], str], *, last: bool = False) -> None:
        """Show the text if it is time to, and at the end of the run."""
        now_s = time.monotonic()
        if now_s < self._next_s and not last:
            return
        self._next_s = now_s + self.interval_s
        if not self._in_place:
            say(text())
            return
        # The last column stays free: some terminals wrap as soon as it is filled.
        room = max(1, _columns() - 1)
        line = text()[:room]
        padding = " " * min(max(0, self._width - len(line)), room - len(line))
        self._width = len(line)
        say(f"\r{line}{padding}", end="")

    def say(self, text: str) -> None:
        """A line of its own, above the live one."""
        self._end()
        say(text)

    def _end(self) -> None:
        if self._in_place and self._width:
            say()
            self._width = 0


def _watch_line(
    figures: Figures, control: Control, attention: Attention, scenario: Scenario
) -> None:
    """Show a run until it is over, and do what the person says."""
    if figures.finished:
        return
    with _LiveLine() as line:
        noun = "client" if figures.clients == 1 else "clients"
        keys = "? shows the keys that act, any other key or Ctrl-C stops"
        line.say(
            f"{figures.clients} {noun} to {scenario.target}, seed {scenario.seed}\n"
            f"{keys if attention.has_keys else 'Ctrl-C stops'}"
        )
        drains = gives_up = False
        while not figures.finished:
            line.show(figures.text)
            stopping = attention.wait(line.interval_s)
            for key in attention.typed():
                done = act(key, control, figures.clients)
                line.say(_HELP if done is None else done)
            attention.obey(control)
            if stopping and not drains:
                drains = True
                line.say(DRAINING)
            if attention.abandoning and not gives_up:
                gives_up = True
                line.say(GIVING_UP)
        line.show(figures.text, last=True)


_HELP = "\n".join(f"{keys:>15}  {what}" for keys, what in HELP)


def _columns() -> int:
    """Width of the terminal at stderr; stdout, which shutil asks, may be a file."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _USUAL_COLUMNS
    except OSError:
        return _USUAL_COLUMNS
