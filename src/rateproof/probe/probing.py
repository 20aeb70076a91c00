"""`rateproof probe`: from its settings to what it prints."""

import json
import time
from dataclasses import dataclass, replace

from rateproof.events import ADMITTED, outcome_of
from rateproof.output import emit, say
from rateproof.probe.budget import Budget, Spending, needed_with_key
from rateproof.probe.finding import Finding
from rateproof.probe.hello import say_hello
from rateproof.probe.identity import (
    IN_KEY,
    NOT_IN_KEY,
    Dimension,
    dimensions,
    most_of_a_dimension,
)
from rateproof.probe.investigation import run_course
from rateproof.probe.page import describe
from rateproof.probe.plain_data import to_json
from rateproof.probe.seen import widened
from rateproof.probe.sender import HttpSender
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.consent import allow_target, allowed_rate
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.sending import Sending
from rateproof.simulate.transports import default_name, named
from rateproof.units import format_duration

_REFUSED = 2


@dataclass(frozen=True, kw_only=True)
class ProbeSettings(Sending):
    """The target of a probe, and its budget.

    Args:
        max_requests: in all.
        max_time_ns: about; no window longer than that is looked for.
        json: the finding as JSON on stdout.
    """

    verb = "probe"

    max_requests: int
    max_time_ns: int
    json: bool


def run_probe(settings: ProbeSettings) -> int:
    """Probe, and print what was found.

    Returns:
        0 when a policy was inferred, 2 when not, or when the person at the terminal said no.

    Raises:
        InvalidArgument: see `Scenario`, or there is nothing to send with.
        Unreachable: nothing answers.
    """
    named(settings.transport or default_name())
    _scenario(settings)
    if not allow_target(settings.target, yes=settings.yes):
        return _REFUSED
    settings = replace(settings, max_rate=allowed_rate(settings.target, settings.max_rate))
    say(
        f"probing {settings.target.url}: at most {settings.max_requests} requests "
        f"in about {format_duration(settings.max_time_ns)}"
    )
    finding = probe(settings)
    told = json.dumps(to_json(finding)) if settings.json else describe(finding)
    emit(told, sentences=not settings.json)
    return finding.exit_code


def probe(settings: ProbeSettings) -> Finding:
    """Infer the policy of a black box; prints nothing, asks nobody.

    Raises:
        InvalidArgument: see `Scenario`, or there is nothing to send with.
        Unreachable: nothing answers.
    """
    scenario = _scenario(settings)
    transport = named(settings.transport or default_name())
    sender = HttpSender(scenario, transport, settings.keys)
    began_ns = time.monotonic_ns()
    hello = say_hello(sender.fresh(scenario))
    sender.statuses[hello.status] += 1
    sender.reconnecting = hello.closing
    asked = widened(
        began_ns,
        sender.now_ns(),
        admitted=outcome_of(hello.status, scenario.rejected_statuses) == ADMITTED,
    )
    budget = Budget(settings.max_requests, settings.max_time_ns, settings.max_rate)
    spending = Spending(sender, budget)
    course = run_course(sender, budget, hello.hints_ns, (asked,))
    kinds = [] if course.hypotheses is None else course.hypotheses.kinds()
    told: list[Dimension] = []
    if sender.delaying:  # nobody stays full for as long as the answers take
        told = [Dimension(str(scenario.key), NOT_IN_KEY if course.shared else IN_KEY)]
    elif course.limit and not course.several:  # one that is full hides no other
        # Where all share one limit, what was left of it for a fresh identity may be less.
        limit = course.limit if kinds else max(course.limit, course.burst)
        most = needed_with_key(limit) - sender.requests
        most = max(most, most_of_a_dimension(limit))  # the key at least, whatever the limit took
        told = dimensions(sender, limit, min(most, spending.left))
    return Finding(
        url=settings.target.url,
        key=str(scenario.key),
        course=course,
        kinds=kinds,
        delaying=sender.delaying,
        dimensions=told,
        hello=hello,
        statuses=sender.statuses,
        rejected_statuses=scenario.rejected_statuses,
        requests=sender.requests,
        elapsed_ns=time.monotonic_ns() - began_ns,
        budget=budget,
    )


def _scenario(settings: ProbeSettings) -> Scenario:
    return settings.scenario((Group(Schedule(((0, 1),))),))
