"""Which keys came closest to more than is allowed, and which pressed hardest."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from heapq import nsmallest
from itertools import chain, zip_longest
from typing import Any, Final, TypeVar

from rateproof.policy import Policy
from rateproof.prove.admissions.windows import tightest_nests
from rateproof.prove.models import Stair
from rateproof.prove.observed import KeyLog
from rateproof.prove.wording import key_to_json, readable_key

__all__ = ["MOST_CALLS", "MOST_PRESSED", "ClosestCall", "closest_of", "first_of_each", "rank"]

MOST_CALLS: Final = 5
"""Closest calls that are named."""

MOST_PRESSED: Final = 4
"""Keys of which it is asked what they could have shown."""

H = TypeVar("H", bound=Hashable)
Rank = tuple[int, int, int]
"""What a key is ranked by, the number of the key, the index of the quota that gave the rank."""


@dataclass(frozen=True, slots=True)
class ClosestCall:
    """How close one key came to more admissions than a quota allows.

    Args:
        key: the client's identity.
        quota: the quota's text, of several the one that it came closest to breaking.
        allowed: admissions that may lie in less than `window_ns`.
        window_ns: see `Pressure`.
        margin_ns: how much longer than the window its tightest `allowed + 1`
            admissions took, from the first sent to the last answered. Below 0
            they break the quota, but for the tolerance.
    """

    key: bytes
    quota: str
    allowed: int
    window_ns: int
    margin_ns: int

    @classmethod
    def of(cls, key: bytes, policy: Policy, quota: int, margin_ns: int) -> "ClosestCall":
        """That of a key, to the quota with this index."""
        stair = Stair.of(policy.quotas[quota])
        return cls(key, str(policy.quotas[quota]), stair.size(1) - 1, stair.span_ns(1), margin_ns)

    def sentence(self) -> str:
        """The key, and what took how long."""
        took_ns = self.window_ns + self.margin_ns
        return f"{readable_key(self.key)} {self.allowed + 1} in {took_ns / 1e9:.6f} s"

    def to_json(self) -> dict[str, Any]:
        """Plain data; the key in base64 (exact) and as readable text (escaped, cut)."""
        return asdict(self) | key_to_json(self.key)


def closest_of(calls: Iterable[ClosestCall]) -> tuple[ClosestCall, ...]:
    """The closest of many, the closest first; of equal ones those that come first."""
    return tuple(nsmallest(MOST_CALLS, calls, key=lambda call: call.margin_ns))


def rank(
    keys: Sequence[KeyLog], policy: Policy
) -> tuple[tuple[ClosestCall, ...], list[Callable[[], KeyLog]]]:
    """The closest calls, and the keys that pressed hardest."""
    stairs = [Stair.of(quota) for quota in policy.quotas]
    closest = nsmallest(MOST_CALLS, _ranks(keys, stairs, _got_ns))
    densest = nsmallest(MOST_PRESSED, _ranks(keys, stairs, _asked_ns))
    busiest = nsmallest(
        MOST_PRESSED, ((-len(key.attempts()), number) for number, key in enumerate(keys))
    )
    calls = (
        ClosestCall.of(keys[number].key, policy, quota, margin_ns)
        for margin_ns, number, quota in closest
    )
    pressed = first_of_each(
        *([number for _, number, *_ in order] for order in (densest, closest, busiest))
    )
    return tuple(calls), [partial(keys.__getitem__, number) for number in pressed]


def first_of_each(*orders: Iterable[H]) -> list[H]:
    """The first of each order, then the second, and so on: `MOST_PRESSED` different ones."""
    in_turn = chain.from_iterable(zip_longest(*([(one,) for one in order] for order in orders)))
    seen = dict.fromkeys(one for (one,) in filter(None, in_turn))
    return list(seen)[:MOST_PRESSED]


def _ranks(
    keys: Sequence[KeyLog], stairs: Sequence[Stair], took_ns: Callable[[KeyLog, Stair], int | None]
) -> Iterable[Rank]:
    for number, key in enumerate(keys):
        spans = [took_ns(key, stair) for stair in stairs]
        margins = [
            (span - stair.span_ns(1), number, quota)
            for quota, (span, stair) in enumerate(zip(spans, stairs, strict=True))
            if span is not None
        ]
        if margins:
            yield min(margins)


def _got_ns(key: KeyLog, stair: Stair) -> int | None:
    """The least time in which more were admitted than may be in one window."""
    nests = tightest_nests(key.admitted, stair, 1)
    return nests[0].span_ns if nests else None


def _asked_ns(key: KeyLog, stair: Stair) -> int | None:
    """The least time from one request sent to as many later one that had ended."""
    attempts = key.attempts()
    starts = sorted(sent_ns for sent_ns, _ in attempts)
    ends = sorted(end_ns for _, end_ns in attempts)
    spans = zip(starts, ends[stair.size(1) - 1 :], strict=False)
    return min((end_ns - sent_ns for sent_ns, end_ns in spans), default=None)
