"""The interactive client: asks, runs, shows figures, stops at a key press, sums up."""

import json
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from rateproof.errors import InvalidArgument, Unreachable
from rateproof.events import REJECTED_STATUSES, Event, EventLog, open_log_writer
from rateproof.keyspec import KeySpec
from rateproof.output import emit, say
from rateproof.policy import Policy
from rateproof.simulate.behaviours import Think, make_behaviour
from rateproof.simulate.console import Attention, ask_clients, confirm
from rateproof.simulate.figures import Figures, LiveLine
from rateproof.simulate.metadata import run_metadata
from rateproof.simulate.scenario import Group, Scenario, fresh_seed
from rateproof.simulate.summary import Summary
from rateproof.simulate.target import Target
from rateproof.simulate.transports import Transport, require_requests, threads
from rateproof.units import SECOND_NS

__all__ = ["ClientSettings", "allow_target", "allowed_rate", "run_client"]

DEFAULT_CLIENTS = 10
OFF_LOOPBACK_RATE = 100.0
"""Requests a second to another machine, unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """What `rateproof simulate` can be told.

    Args:
        url: where to send.
        clients: how many; None asks on a terminal, and means 10 without one.
        behaviour: name of how each client sends; the default at random intervals.
        rate_per_s: requests a second of all clients together; None: the behaviour's own.
        connections: of each client.
        key: where identities are put: its first part that a client can set.
        duration_ns: until when; None: until stopped.
        seed: random, and printed, if None.
        timeout_ns: of a whole request.
        max_rate: requests a second in all; None is no limit on loopback, 100 elsewhere.
        rejected_statuses: codes by which the limiter says no.
        policy: what the server promises, for the log.
        log: file for every event; None for none.
        json: the summary as one JSON object.
        yes: do not ask before sending to another machine.
        transport: what sends.
    """

    url: str = "http://127.0.0.1:8080"
    clients: int | None = None
    behaviour: str = Think.name
    rate_per_s: float | None = None
    connections: int = 1
    key: KeySpec = KeySpec.parse("query:clientId")
    duration_ns: int | None = None
    seed: int | None = None
    timeout_ns: int = 10 * SECOND_NS
    max_rate: float | None = None
    rejected_statuses: frozenset[int] = REJECTED_STATUSES
    policy: Policy | None = None
    log: str | None = None
    json: bool = False
    yes: bool = False
    transport: Transport = threads.run


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
    if not sys.stdin.isatty():
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
    """Run clients until a key press, Ctrl-C, SIGTERM or the end of the duration.

    Progress goes to stderr, the summary to stdout (to stderr when the log is
    `-`). Stopping is the normal end, and so is leaving at a question.

    Returns:
        The exit code: 0.

    Raises:
        InvalidArgument: a value out of bounds, Requests missing, or nobody to ask.
        Unreachable: nothing answers at the URL.
        CannotWrite: the log cannot be written.
    """
    require_requests()
    draft = _draft(settings)  # every value is checked before the first question
    try:
        if not allow_target(draft.target, yes=settings.yes):
            return 0
        _require_answer(draft.target)
        scenario = _complete(draft, settings)
        if scenario is None:
            return 0
        with Attention() as attention:
            summary, log = _run(settings, scenario, attention)
            # Still inside: a second Ctrl-C must not cost the summary.
            _report(settings, summary, log)
    except KeyboardInterrupt:
        return 0
    return 0


def _draft(settings: ClientSettings) -> Scenario:
    clients = 1 if settings.clients is None else settings.clients
    return Scenario(
        target=Target.parse(settings.url),
        groups=_groups(settings, clients),
        seed=fresh_seed() if settings.seed is None else settings.seed,
        duration_ns=settings.duration_ns,
        key=settings.key.writable,
        timeout_ns=settings.timeout_ns,
        max_rate=settings.max_rate,
        rejected_statuses=settings.rejected_statuses,
        policy=settings.policy,
    )


def _complete(draft: Scenario, settings: ClientSettings) -> Scenario | None:
    """The scenario with its number of clients and its rate; None when nobody wants one."""
    clients = settings.clients
    if clients is None and sys.stdin.isatty():
        clients = ask_clients()
        if clients is None:
            return None
    if clients is None:
        clients = DEFAULT_CLIENTS
        say(f"no number of clients and no terminal to ask at: {clients} clients")
    max_rate = allowed_rate(draft.target, draft.max_rate)
    return replace(draft, groups=_groups(settings, clients), max_rate=max_rate)


def _groups(settings: ClientSettings, clients: int) -> tuple[Group, ...]:
    group = Group(
        make_behaviour(settings.behaviour, policy=settings.policy), clients, settings.connections
    )
    if settings.rate_per_s is None:
        return (group,)
    behaviour = make_behaviour(
        settings.behaviour,
        rate_per_s=settings.rate_per_s / (clients * settings.connections),
        policy=settings.policy,
    )
    return (replace(group, behaviour=behaviour),)


def _report(settings: ClientSettings, summary: Summary, log: EventLog) -> None:
    text = str(summary)
    if settings.json:
        seed, audit = log.metadata.get("seed"), log.metadata.get("audit")
        text = json.dumps(summary.as_dict() | {"seed": seed, "audit": audit})
    if settings.log == "-":
        say(text)
    else:
        emit(text)


def _run(
    settings: ClientSettings, scenario: Scenario, attention: Attention
) -> tuple[Summary, EventLog]:
    summary = Summary(scenario.client_count)
    figures = Figures(scenario.client_count, summary)
    observers: list[Callable[[Event], None]] = [figures.observe]
    stop = threading.Event()
    with ExitStack() as stack:
        if settings.log is not None:
            # The namespace of the identities is random: no server has seen them before.
            metadata = run_metadata(scenario, "threads") | {"fresh_keys": True}
            writer = stack.enter_context(open_log_writer(settings.log, metadata))
            observers.append(writer.write)
        runner = _Runner(settings.transport, scenario, stop, observers, attention.wake)
        line = stack.enter_context(LiveLine())
        noun = "client" if scenario.client_count == 1 else "clients"
        say(
            f"{scenario.client_count} {noun} to {scenario.target}, seed {scenario.seed}; "
            "any key or Ctrl-C stops"
        )
        runner.start()
        try:
            while runner.is_alive():
                line.show(figures.text)
                if attention.wait(line.interval_s) and not stop.is_set():
                    stop.set()
                    line.say("draining: requests in flight finish, nothing new is sent")
        finally:
            stop.set()
            runner.join()
        line.show(figures.text, last=True)
        return summary, runner.result()


class _Runner(threading.Thread):
    """The transport on a thread of its own: the main one listens to the person."""

    def __init__(
        self,
        transport: Transport,
        scenario: Scenario,
        stop: threading.Event,
        observers: list[Callable[[Event], None]],
        done: Callable[[], None],
    ) -> None:
        super().__init__(name="runner", daemon=True)
        self._transport = transport
        self._scenario = scenario
        self._stop_event = stop
        self._observers = observers
        self._done = done
        self._log: EventLog | None = None
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            self._log = self._transport(
                self._scenario, stop=self._stop_event, observe=self._observe, keep=False
            )
        except BaseException as failure:  # noqa: BLE001 - raised again by result()
            self._failure = failure
        finally:
            self._done()

    def result(self) -> EventLog:
        if self._failure is not None:
            raise self._failure
        return EventLog() if self._log is None else self._log

    def _observe(self, event: Event) -> None:
        for observe in self._observers:
            observe(event)
