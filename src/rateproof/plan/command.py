"""The verb `plan`: a log is read, limits are tried on it, and what they would have done is told."""

import argparse
import json
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from typing import Final

from rateproof.checking.named_log import reading_of
from rateproof.cluster import connected
from rateproof.errors import InvalidArgument
from rateproof.events.access_logs import Reading
from rateproof.events.access_logs.rotation import found as found_files
from rateproof.events.places import path_of
from rateproof.events.shares import folder_on
from rateproof.output import emit, printable, progress
from rateproof.plan.bounds import Bounds, gates, replayed
from rateproof.plan.choice import choose, limits_to_try
from rateproof.plan.clients import Names, beyond, told_of
from rateproof.plan.findings import Plan, Settled
from rateproof.plan.hosts import traffic_on
from rateproof.plan.pasting import settings_for
from rateproof.plan.progress import PlanProgress
from rateproof.plan.reading import read_traffic
from rateproof.plan.traffic import Partitions, Traffic
from rateproof.policy import ALGORITHMS, Policy, Quota
from rateproof.policy.sliding_log import SLIDING_LOG

_USUAL_WINDOW_NS: Final = 60 * 10**9
_ALGORITHMS: Final = sorted(
    (record for record in ALGORITHMS.values() if not record.delays),
    key=lambda record: (record is not SLIDING_LOG, record.name),
)


def plan(arguments: argparse.Namespace) -> int:
    """Run the command; 0, or what `--max-rejected` says.

    Raises:
        LogError: no access log, or one that is damaged.
        InvalidArgument: what is asked for cannot be done with it.
        CannotWrite: the page cannot be written, or no room for parts of the log.
    """
    if arguments.max_rejected is not None and arguments.policy is None:
        raise InvalidArgument(
            "--max-rejected without --policy", "--policy '100 per minute' says of what"
        )
    if arguments.policy is not None:
        gates(arguments.policy)  # it can be replayed: known before the work
    if arguments.report is not None:
        from rateproof.hunt.report.page import require_jinja

        require_jinja()
    reading = replace(reading_of(arguments), key=arguments.key)
    done = PlanProgress(found_files(arguments.log))
    with (
        progress(f"planning from {printable(', '.join(arguments.log))}", done.left_s),
        Partitions() as partitions,
        ExitStack() as stack,
    ):
        asked = arguments.log, reading, partitions
        if arguments.on is None:
            traffic, assumptions = read_traffic(*asked, done)
        else:
            cluster = stack.enter_context(connected(arguments.on))
            folder = stack.enter_context(folder_on(cluster, path_of(found_files(arguments.log)[0])))
            traffic, assumptions = traffic_on(cluster, *asked, progress=done, folder=folder)
        found = _found(arguments, reading, traffic, assumptions)
    if arguments.report is not None:
        from rateproof.plan.page import write_page

        write_page(arguments.report, found)
    emit(json.dumps(found.to_json()) if arguments.json else "\n".join(found.lines()))
    return _code(found.asked, arguments.max_rejected)


def _code(asked: Bounds | None, share: Fraction | None) -> int:
    """Return 0 if certainly no more is rejected than that, 1 if more, 2 if nobody knows."""
    if asked is None or share is None:
        return 0
    least, most = asked.rejected
    if most <= share * asked.requests:
        return 0
    return 1 if least > share * asked.requests else 2


def _found(
    arguments: argparse.Namespace, reading: Reading, traffic: Traffic, assumptions: list[str]
) -> Plan:
    asked: Policy | None = arguments.policy
    windows_ns = set(arguments.windows)
    if asked is not None:
        windows_ns.update(one.window_ns for one in asked.quotas)
    peaks, timeline = traffic.peaks(sorted(windows_ns))
    choices = [choose(one) for one in peaks]
    usual = max(
        (one for one in choices if one.window_ns <= _USUAL_WINDOW_NS),
        default=choices[0],
        key=lambda one: one.window_ns,
    )
    quotas = [Quota(usual.limits[1], usual.window_ns)] if asked is None else asked.quotas
    of_window = {one.window_ns: one for one in peaks}
    quota = max(quotas, key=lambda one: of_window[one.window_ns].beyond(one.limit))
    by_algorithm = [
        Policy((Quota(quota.limit, quota.window_ns, record.name),)) for record in _ALGORITHMS
    ]
    settings = settings_for(asked or Policy((quota,)), reading.key)
    tries = [
        Policy((Quota(limit, choice.window_ns),))
        for choice in choices
        for limit in sorted({*limits_to_try(choice), *choice.limits})
    ]
    tries += [
        Policy((Quota(limit, choice.window_ns, record.name),))
        for choice in choices
        for limit in sorted(set(choice.limits))
        for record in _ALGORITHMS[1:]
    ]
    told = [asked or by_algorithm[0], *by_algorithm, *(one.policy for one in settings), *tries]
    distinct = list(dict.fromkeys(told))
    peak = of_window[quota.window_ns]
    top = beyond(peak, quota.limit)
    replay = replayed(traffic, distinct, top)
    found = dict(zip(distinct, replay.bounds, strict=True))
    names = Names(plain=arguments.show_keys)
    return Plan(
        log=", ".join(arguments.log),
        key=reading.key,
        requests=traffic.requests,
        clients=sum(map(bool, peaks[0].most)),
        since_ns=traffic.span.since_ns,
        until_ns=traffic.span.until_ns,
        assumptions=assumptions,
        choices=choices,
        grid=[found[one] for one in tries],
        quota=quota,
        asked=None if asked is None else found[asked],
        algorithms=[found[one] for one in by_algorithm],
        retried=replay.retried,
        beyond=told_of(top, peak, replay.clients, lambda code: names.of(traffic.keys[code])),
        all_beyond=peak.beyond(quota.limit),
        settings=[Settled(one, one.admits(quota.window_ns), found[one.policy]) for one in settings],
        timeline=timeline,
        distribution=[one.distribution() for one in peaks],
    )
