"""One verdict a quota: which of a policy's quotas were tested, and what testing takes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from rateproof.policy import Policy
from rateproof.prove.evidence.wording import plain_quota, spaced
from rateproof.prove.over_admission.gaps import Stair
from rateproof.prove.power.pressure import Pressure
from rateproof.prove.power.sensitivity import Sensitivity
from rateproof.prove.terms import CONSISTENT, INCONCLUSIVE, UNTESTED, VIOLATED


@dataclass(frozen=True, slots=True)
class Pressing:
    """The requests and the time that it takes to ask for more than a quota allows.

    Args:
        needs: requests of one key.
        needs_ns: the least time by which the other quotas delay the last of them; 0 where a
            burst is enough, None where they never let so many through: who keeps them
            keeps this one.
        implied_by: the quotas, by index, that never let so many through.
    """

    needs: int
    needs_ns: int | None
    implied_by: tuple[int, ...] = ()


def pressing(policy: Policy) -> tuple[Pressing, ...]:
    """The cost of pressing each quota, in policy order."""
    stairs = [Stair.of(quota) for quota in policy.quotas]
    found = []
    for index, stair in enumerate(stairs):
        needs = stair.size(1)
        delays = {at: other.gap(needs) for at, other in enumerate(stairs) if at != index}
        implied_by = tuple(at for at, gap in delays.items() if gap >= stair.span_ns(1))
        needs_ns = None if implied_by else max(delays.values(), default=0)
        found.append(Pressing(needs, needs_ns, implied_by))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class QuotaVerdict:
    """The verdict on the promise that one quota makes: never too many.

    Args:
        quota: its text.
        outcome: `violated`, `inconclusive`, `consistent`; or `untested`: had every request
            been admitted that the other quotas let through, nothing would have shown it.
        allowed: admissions that may lie in less than `window_ns`.
        window_ns: see `Pressure`.
        most: most admissions of one key that certainly lie in it.
        possible: most admissions of one key that may lie in it.
        excess: the least excess that would have been seen; see `Sensitivity`.
        needs: see `Pressing`.
        needs_ns: see `Pressing`.
    """

    quota: str
    outcome: str
    allowed: int
    window_ns: int
    most: int
    possible: int
    excess: int | None
    needs: int
    needs_ns: int | None

    def sentence(self) -> str:
        """The finding, in one line."""
        if self.outcome != UNTESTED:
            return f"{plain_quota(self.quota)}: {self.outcome}"
        takes = f"testing it takes {self.needs} requests of one client"
        if self.needs_ns:
            takes += f", which the other quotas delay by {spaced(self.needs_ns)}"
        return f"NOT TESTED: {plain_quota(self.quota)} ({takes})"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def tested(policy: Policy, shown: Sequence[Sensitivity]) -> list[bool]:
    """Tell of each quota whether it was tested, or another that implies it.

    A quota that never was seen full is not, unless one admission more than it allows would
    have been seen, or a tenth more.
    """
    seen = []
    for one in shown:
        small = one.excess is not None and one.excess <= max(1, one.limit // 10)
        seen.append(small or one.full)
    implied = (needs.implied_by for needs in pressing(policy))
    return [
        own or any(_shows(policy, shown, by, index) for by in others)
        for index, (own, others) in enumerate(zip(seen, implied, strict=True))
    ]


def _shows(policy: Policy, shown: Sequence[Sensitivity], by: int, index: int) -> bool:
    """Tell whether the least limit in place of `by` that would not have been seen implies `index`."""
    one, quota = shown[by], policy.quotas[by]
    if one.excess is None:
        return False
    burst = quota.burst + one.excess - 1 if quota.record.has_burst else 0
    loose = Stair.of(replace(quota, limit=quota.limit + one.excess - 1, burst=burst))
    stair = Stair.of(policy.quotas[index])
    return loose.gap(stair.size(1)) >= stair.span_ns(1)


def coverage(
    policy: Policy,
    pressure: Sequence[Pressure],
    shown: Sequence[Sensitivity],
    outcomes: Sequence[str],
) -> tuple[QuotaVerdict, ...]:
    """One verdict a quota; `outcomes` is what each is if it was tested."""
    needed, told = pressing(policy), tested(policy, shown)
    return tuple(
        QuotaVerdict(
            quota=of.quota,
            outcome=outcome if tested or outcome == VIOLATED else UNTESTED,
            allowed=of.allowed,
            window_ns=of.window_ns,
            most=of.provable if outcome == VIOLATED else min(of.provable, of.allowed),
            possible=of.possible,
            excess=one.excess,
            needs=needs.needs,
            needs_ns=needs.needs_ns,
        )
        for of, one, outcome, tested, needs in zip(
            pressure, shown, outcomes, told, needed, strict=True
        )
    )


_WEIGHT: Final = (UNTESTED, CONSISTENT, INCONCLUSIVE, VIOLATED)
"""Of several runs the last of these decides: one that does not press says nothing."""


def merged(one: QuotaVerdict, other: QuotaVerdict) -> QuotaVerdict:
    """One verdict over two runs."""
    return replace(
        one,
        outcome=max(one.outcome, other.outcome, key=_WEIGHT.index),
        most=max(one.most, other.most),
        possible=max(one.possible, other.possible),
        excess=min((x for x in (one.excess, other.excess) if x is not None), default=None),
    )
