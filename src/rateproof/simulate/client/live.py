"""The interactive client: asks, runs, shows figures, acts on keys, sums up."""

import json
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from rateproof.errors import CannotWrite, InvalidArgument, Unreachable
from rateproof.events import open_log_writer
from rateproof.output import emit, say
from rateproof.simulate.client.console import Attention, ask_clients, confirm, has_terminal
from rateproof.simulate.client.figures import Figures, Heading
from rateproof.simulate.client.keys import BOUND
from rateproof.simulate.client.live_line import watch_line
from rateproof.simulate.client.runner import Runner
from rateproof.simulate.client.settings import ClientSettings
from rateproof.simulate.client.watch import can_view, watch_view
from rateproof.simulate.control import Control
from rateproof.simulate.metadata import run_metadata
from rateproof.simulate.scenario import Scenario
from rateproof.simulate.summary import Summary
from rateproof.simulate.target import Target

__all__ = ["ClientSettings", "allow_target", "allowed_rate", "run_client"]

DEFAULT_CLIENTS = 10
OFF_LOOPBACK_RATE = 100.0
"""Requests a second to another machine, unless told otherwise."""


def allow_target(target: Target, *, yes: bool) -> bool:
    """Make sure that load may be sent: a person is asked where it is another machine.

    Args:
        target: where the load is meant to go.
        yes: there is no need to ask.

    Returns:
        False when the person at the terminal said no.

    Raises:
        InvalidArgument: another machine, nobody to ask, and not `yes`.
    """
    if yes or target.is_loopback:
        return True
    if not has_terminal():
        raise InvalidArgument(
            f"{target.host} is not this machine, and there is no terminal to ask at",
            "give --yes to send load there",
        )
    return confirm(f"{target.host} is not this machine. Send load to it?")


def allowed_rate(target: Target, max_rate: float | None) -> float | None:
    """The most requests a second to send: as told, else 100 to another machine, said on stderr."""
    if max_rate is None and not target.is_loopback:
        say(f"{target.host} is not this machine: at most {OFF_LOOPBACK_RATE:g} requests a second")
        return OFF_LOOPBACK_RATE
    return max_rate


def _require_answer(target: Target) -> None:
    if not target.answers():
        port = "" if target.port == 8080 else f" --port {target.port}"
        raise Unreachable(
            f"nothing answers at {target.url}",
            f"start the server first: python server.py{port}"
            if target.is_loopback
            else "check the host, the port and the way there",
        )


def run_client(settings: ClientSettings) -> int:
    """Run clients until a key press, Ctrl-C, SIGTERM, SIGHUP or the end of the scenario.

    Progress goes to stderr, the summary to stdout (to stderr when the log is
    `-`). Stopping is the normal end, and so is leaving at a question. A run
    that fails midway is summed up as far as it came before its error is raised.

    Returns:
        The exit code: 0.

    Raises:
        InvalidArgument: a value out of bounds, a package missing, or nobody to ask.
        Unreachable: nothing answers at the URL.
        CannotWrite: the log cannot be written.
    """
    settings.transport_in_use()
    if settings.log == "-" and sys.stdout is None:
        raise CannotWrite("cannot write the log: standard output is closed")
    draft = settings.scenario()  # every value is checked before the first question
    try:
        if not allow_target(draft.target, yes=settings.yes):
            return 0
        _require_answer(draft.target)
        scenario = _complete(draft, settings)
        if scenario is None:
            return 0
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


def _complete(draft: Scenario, settings: ClientSettings) -> Scenario | None:
    """The scenario with its number of clients and its rate; None when nobody wants one."""
    groups = draft.groups
    if settings.asks_clients:
        clients: int | None = DEFAULT_CLIENTS
        if has_terminal():
            clients = ask_clients()
        else:
            say(f"no number of clients and no terminal to ask at: {DEFAULT_CLIENTS} clients")
        if clients is None:
            return None
        groups = settings.scenario(clients=clients).groups
    return replace(draft, groups=groups, max_rate=allowed_rate(draft.target, draft.max_rate))


def _report(settings: ClientSettings, summary: Summary, metadata: dict[str, Any]) -> None:
    text = str(summary)
    if settings.json:
        extra = {name: metadata.get(name) for name in ("seed", "audit")}
        text = json.dumps(summary.as_dict() | extra)
    if settings.log == "-":
        say(text)
    else:
        emit(text)


def _run(
    settings: ClientSettings,
    scenario: Scenario,
    summary: Summary,
    attention: Attention,
    metadata: dict[str, Any],
    *,
    viewed: bool,
) -> None:
    name, transport = settings.transport_in_use()
    settings.check()(scenario)
    control = Control()
    figures = Figures(scenario.client_count, summary, extra=lambda: control.extra_clients)
    observers = [figures.observe]

    def done() -> None:
        figures.finish()
        attention.wake()

    with ExitStack() as stack:
        writer = None
        if settings.log is not None:
            # The namespace of the identities is random: no server has seen them before.
            before = run_metadata(scenario, name) | {"fresh_keys": True, "complete": False}
            writer = stack.enter_context(open_log_writer(settings.log, before))
            observers.append(writer.write)
        runner = Runner(transport, scenario, control, observers, done)
        try:
            _watch(runner, figures, control, attention, Heading.of(scenario), viewed=viewed)
        finally:
            control.stop()
            if runner.ident is not None:
                runner.join()
            summary.expect(figures.most_clients)
        after = runner.result().metadata
        metadata |= after
        summary.conclude(after)
        if writer is not None:
            writer.note(after | {"complete": True})


def _watch(
    runner: Runner,
    figures: Figures,
    control: Control,
    attention: Attention,
    heading: Heading,
    *,
    viewed: bool,
) -> None:
    """Start the run once its view is up, which takes some of the processor, and see it through."""

    def start() -> None:
        if runner.ident is None:
            figures.begin()
            runner.start()

    if viewed:
        watch_view(figures, control, attention, heading, start)
    start()
    watch_line(figures, control, attention, heading)
