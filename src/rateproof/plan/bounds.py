"""Bounds on what policies would have done to the requests of a log.

A bound is for a limiter that starts empty with the log, sees its requests and no others, and
counts one for each. `rust/plan` has the replays, and why they bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from rateproof.errors import InvalidArgument
from rateproof.plan.traffic import Span, Traffic, drifted
from rateproof.policy import Policy, Quota
from rateproof.policy.token_bucket import TOKEN_BUCKET

__all__ = ["Bounds", "bounds", "gates", "retried"]

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


def bounds(traffic: Traffic, policies: Sequence[Policy]) -> list[Bounds]:
    """Return the bounds of each policy."""
    told = [gates(policy) for policy in policies]
    span = Span(traffic.span.since_ns, traffic.span.until_ns, _TIMELINE)
    sums = [[0] * 4 for _ in policies]
    lines = [[0] * span.bins for _ in policies]
    for _, found in traffic.each_part(lambda part: part.bounds(told, span.grid)):
        for total, line, one in zip(sums, lines, found, strict=True):
            total[:] = map(int.__add__, total, one[:4])
            line[:] = map(int.__add__, line, memoryview(one[4]).cast("q"))
    return [
        Bounds(
            policy=policy,
            requests=traffic.requests,
            rejected=(total[0], total[1]),
            clients=(total[2], total[3]),
            timeline=tuple(line),
        )
        for policy, total, line in zip(policies, sums, lines, strict=True)
    ]


def retried(traffic: Traffic, policies: Sequence[Policy]) -> list[tuple[int, int]]:
    """Return rejections, and repetitions that are rejected too: a model, and no bound.

    In it each rejected request comes back once, as Retry-After says.
    """
    told = [gates(policy) for policy in policies]
    sums = [(0, 0) for _ in policies]
    for _, found in traffic.each_part(lambda part: part.retries(told)):
        sums = [
            (one + first, two + again)
            for (one, two), (first, again) in zip(sums, found, strict=True)
        ]
    return sums
