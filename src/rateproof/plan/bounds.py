"""Bounds on what policies would have done to the requests of a log.

A bound is for a limiter that starts empty with the log, sees its requests and no others, and
counts one for each. `rust/plan` has the replays, and why they bound.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from rateproof.core import required_native
from rateproof.errors import InvalidArgument
from rateproof.plan.traffic import Span, Traffic, drifted
from rateproof.policy import Policy, Quota
from rateproof.policy.token_bucket import TOKEN_BUCKET

_TIMELINE: Final = 240
Gate = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Requests and clients that a policy would have rejected, at least and at most.

    Args:
        policy: which.
        requests: of the log.
        rejected: requests, at least and at most.
        clients: that are rejected once or more, at least and at most.
        timeline: rejections at most, as they are replayed, in equal bins of the log's time.
    """

    policy: Policy
    requests: int
    rejected: tuple[int, int]
    clients: tuple[int, int]
    timeline: tuple[int, ...]

    @property
    def shares(self) -> tuple[float, float]:
        """The parts of all requests that are rejected, at least and at most."""
        least, most = self.rejected
        return least / max(1, self.requests), most / max(1, self.requests)


def gates(policy: Policy) -> list[Gate]:
    """Return the figures by which the native core replays a policy: see `Gate` in `rust/plan`.

    Raises:
        InvalidArgument: it has a quota that delays requests.
    """
    return [_gate(quota) for quota in policy.quotas]


def _gate(quota: Quota) -> Gate:
    record = quota.record
    if record.delays:
        replaced = replace(quota, algorithm=TOKEN_BUCKET.name, burst=quota.burst + 1)
        raise InvalidArgument(
            f"{quota} delays requests, and no log says how its clients would have waited",
            f"{replaced} rejects as many, if it is meant to delay at most {quota.burst}",
        )
    if record.has_burst:
        least_ns, most_ns, figures = (
            quota.window_ns // quota.limit,
            -(-quota.window_ns // quota.limit),
            (quota.burst, -1),
        )
    else:
        width, lag, _ = quota.stair
        least_ns, most_ns, figures = quota.window_ns, quota.memory_ns, (width, lag)
        if record.least_window_ns(quota.limit, quota.parameter) > 1:
            most_ns += most_ns // 1_000  # its ends are rounded
    return (*figures, *drifted(least_ns, most_ns))


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """Policies, replayed.

    Args:
        bounds: of each.
        retried: of the first: rejections, and repetitions that are rejected too, if each rejected
            request comes back once, as Retry-After says; a model, and no bound.
        clients: by code, what the native core says of some and of the first policy for them.
    """

    bounds: list[Bounds]
    retried: tuple[int, int]
    clients: dict[int, Sequence[Any]]


def replayed(traffic: Traffic, policies: Sequence[Policy], clients: Sequence[int] = ()) -> Replayed:
    """Replay all requests under each policy, and look at some clients under the first."""
    native, told = required_native("planning"), [gates(policy) for policy in policies]
    span = Span(traffic.span.since_ns, traffic.span.until_ns, _TIMELINE)
    sums = [[0] * 4 for _ in policies]
    lines: list[list[bytes]] = [[] for _ in policies]
    first = again = 0
    among: dict[int, Sequence[Any]] = {}
    work = partial(_replay, told, span.grid, clients)
    for _, (found, [(late, lost)], known) in traffic.each_part(work):
        for total, line, one in zip(sums, lines, found, strict=True):
            total[:] = map(int.__add__, total, one[:4])
            line.append(one[4])
        first, again = first + late, again + lost
        among |= {one[0]: one for one in known}
    all_bounds = [
        Bounds(
            policy=policy,
            requests=traffic.requests,
            rejected=(total[0], total[1]),
            clients=(total[2], total[3]),
            timeline=tuple(array("q", native.summed(line))),
        )
        for policy, total, line in zip(policies, sums, lines, strict=True)
    ]
    return Replayed(bounds=all_bounds, retried=(first, again), clients=among)


def _replay(
    told: Sequence[Sequence[Gate]], grid: tuple[int, int, int], clients: Sequence[int], part: Any
) -> tuple[Any, ...]:
    of_first = told[:1]
    return part.bounds(told, grid), part.retries(of_first), part.clients(clients, of_first)
