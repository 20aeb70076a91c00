"""Known weaknesses: whether requests, as they came, would have shown a limiter that has one.

The requests of a key are sent once more through a limiter that counts in another way than was
promised: each decided as it was sent, in the middle of its interval, and as it was answered. What
is admitted is judged with the intervals as they were, and has to be too much each time. So a burst
that came too spread out to show anything is told from one that did.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from rateproof.clock import Interval
from rateproof.policy import Policy, Quota
from rateproof.policy.first_hit_window import FIRST_HIT_WINDOW
from rateproof.policy.fixed_window import FIXED_WINDOW
from rateproof.policy.sliding_counter import SLIDING_COUNTER
from rateproof.policy.token_bucket import TOKEN_BUCKET
from rateproof.prove.over_admission.families import Model
from rateproof.prove.power.sensitivity import PHASES, admissions, too_many


@dataclass(frozen=True, slots=True)
class Weakness:
    """A way to count that admits more than a sliding log does.

    Args:
        words: its limiters, in plain words.
        algorithm: that they keep; None: the one that was promised, by two counters that do not
            know of each other.
        phases: eighths of a window by which its windows may begin earlier than on the clock.
    """

    words: str
    algorithm: str | None = None
    phases: tuple[int, ...] = (0,)


FIRST_HIT: Final = Weakness("windows from the first request", FIRST_HIT_WINDOW.name)
WORKERS: Final = Weakness("a counter for each worker")
FORGETS: Final = Weakness("a store that forgets clients")
WEAKNESSES: Final = (
    Weakness("fixed windows", FIXED_WINDOW.name, PHASES),
    FIRST_HIT,
    Weakness("sliding counters", SLIDING_COUNTER.name, PHASES),
    Weakness("token buckets", TOKEN_BUCKET.name),
    WORKERS,
    FORGETS,
)


class Attempt(NamedTuple):
    """A request as it came, or as it is planned: from when to when it is decided, and on which connection."""

    sent_ns: int
    received_ns: int
    connection: int


def shown(
    requests: Sequence[Attempt],
    policy: Policy,
    quota: int,
    weakness: Weakness,
    *,
    model: Model,
    phases: Iterable[int],
) -> set[int]:
    """Return the phases at which a limiter with the weakness is certainly found out.

    Args:
        requests: of one key that was fresh, those that a limiter answered, as they were sent.
        policy: what was promised.
        quota: the number of the one that is kept in the weak way; the others hold.
        weakness: how it counts instead.
        model: what is judged by; of the policy.
        phases: of the windows, those that are tried.
    """
    quotas = list(policy.quotas)
    if weakness.algorithm is not None:
        own = quotas[quota]
        quotas[quota] = Quota(own.limit, own.window_ns, weakness.algorithm)
    deal = {WORKERS: _dealt, FORGETS: _before_and_after}.get(weakness, _together)
    parts = deal(requests)
    left = set(phases)
    for decided in _INSTANTS:
        ordered = [sorted(part, key=decided) for part in parts]
        left = {
            phase
            for phase in left
            if too_many(
                [
                    one
                    for part in ordered
                    for one in admissions(part, quotas, phase, decided=decided)
                ],
                model,
            )
        }
    return left


_INSTANTS: Final[tuple[Callable[[Interval], int], ...]] = (
    lambda request: request[0],
    lambda request: sum(request) // 2,
    lambda request: request[1],
)


def _together(requests: Sequence[Attempt]) -> list[list[Interval]]:
    return [[one[:2] for one in requests]]


def _before_and_after(requests: Sequence[Attempt]) -> list[list[Interval]]:
    """The requests on both sides of the longest pause, in which the client was forgotten."""
    ended_ns, pause_ns, split = 0, -1, 0
    for place, one in enumerate(requests):
        if place and one.sent_ns - ended_ns > pause_ns:
            pause_ns, split = one.sent_ns - ended_ns, place
        ended_ns = max(ended_ns, one.received_ns)
    return _together(requests[:split]) + _together(requests[split:])


def _dealt(requests: Sequence[Attempt]) -> list[list[Interval]]:
    """The requests that reach each of two workers, who take new connections in turn."""
    workers: dict[int, int] = {}
    parts: list[list[Interval]] = [[], []]
    for sent_ns, received_ns, connection in requests:
        worker = workers.setdefault(connection, len(workers) % 2)
        parts[worker].append((sent_ns, received_ns))
    return parts
