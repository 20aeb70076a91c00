"""Sensitivity of a log without a violation: the smallest excess that would have been proved.

The question is put to the log itself. Its requests, each decided in the middle
of its interval, are sent once more through a limiter that is too generous: one
that admits `excess` more, or whose window is too short. Those it admits are
kept with the intervals they really had, and the search that judges every log
says whether they could be explained, under the same tolerance. The phase
of windows on the epoch is unknown: what is said of them shows at each of eight phases,
and may not between these. Of a key that may have been used before the log, it shows
with nothing, half and all of each quota used up as the first request was sent, and with
all of it used up evenly until then.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from rateproof.clock import Interval, Tolerance
from rateproof.policy import MAX_LIMIT, Policy, Quota
from rateproof.policy.fixed_window import FIXED_WINDOW
from rateproof.policy.sliding_log import SLIDING_LOG
from rateproof.prove.evidence.wording import brief, ordinal, plain_quota, spaced
from rateproof.prove.keys import KeyLog
from rateproof.prove.over_admission.families import FAMILIES, Model, search
from rateproof.prove.over_admission.feasible import feasible
from rateproof.prove.over_admission.gaps import Earliest, Infeasible, Stair
from rateproof.prove.over_admission.windows import most_nested

_MOST_REQUESTS: Final = 1_000
"""Of one key, around where it asked most densely; more where a limit is not exceeded by fewer."""

_MOST_LIMIT: Final = 20_000
"""Keys whose excess is looked for."""

_BUDGET: Final = 20_000
_STEPS_OF_A_WINDOW: Final = 2_048


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The smallest excess over one quota that the log could have shown, had there been one.

    Args:
        quota: the quota's text.
        limit: its limit.
        window_ns: its window.
        excess: the least number by which the limit could have been exceeded, in
            every window, and been found out; None where none would have been.
        short_ns: the least time by which the window could have been too short
            and been found out, to 1/2048 of it; None where not even half would have.
        full: whether a key that could have shown an excess was certainly seen full.
    """

    quota: str
    limit: int
    window_ns: int
    excess: int | None = None
    short_ns: int | None = None
    full: bool = False

    def sentence(self) -> str:
        """Return what could have been told, in one line."""
        quota = plain_quota(self.quota)
        if self.excess is None:
            return f"{quota}: no excess would have been seen"
        number = self.limit + self.excess
        is_plain = quota[0].isdigit()  # of a sliding log the limit is what any window may hold
        within = f"{ordinal(number)} within {spaced(self.window_ns)}"
        told = within if is_plain else f"a limit of {number:,}"
        if self.short_ns is not None:
            share = f"{100 * self.short_ns / self.window_ns:.2g}"
            told += f", or a window {brief(self.short_ns)} ({share} %) too short,"
        return f"{quota}: {told} would have been seen"


def sensitivity(
    keys: Iterable[KeyLog],
    policy: Policy,
    tolerance: Tolerance,
    *,
    windows: bool = True,
    fresh: bool = True,
) -> tuple[Sensitivity, ...]:
    """The smallest excess that any of these keys could have shown, quota by quota.

    It is at least as large as what the whole log could have shown, since
    other keys are not asked, and of each 1,000 requests at most, or twice a limit.

    Args:
        keys: the requests of those that pressed hardest.
        policy: what was promised of each.
        tolerance: what clocks may disagree on.
        windows: whether to look for windows that are too short as well.
        fresh: whether they were not used before their first request.
    """
    model = Model.of(policy, tolerance)
    keys = list(keys)
    asked = [_densest(key.admitted + key.rejected, policy) for key in keys]
    since = [None if fresh else key.first_sent_ns for key in keys]
    found = []
    for index, quota in enumerate(policy.quotas):
        trials = [
            _Generous(requests, policy, index, model, tolerance, since_ns)
            for requests, since_ns in zip(asked, since, strict=True)
        ]
        excess = short = None
        full, stair = False, Stair.of(quota)
        for key, trial in zip(keys, trials, strict=True):
            beyond = len(trial.requests) - stair.width
            beyond = min(beyond, MAX_LIMIT - max(quota.limit, quota.burst))
            excess = _least(trial.shows_excess, beyond, excess)
            most = min(quota.limit, stair.size(1) - 1)
            if excess is not None and not full and len(key.admitted) >= most:
                full = most_nested(key.admitted, stair.span_ns(1)) >= most
                full = full and beyond > 0 and trial.shows_excess(beyond)
        if windows and excess is not None:
            for trial in trials:
                short = _least(trial.shows_short, _STEPS_OF_A_WINDOW // 2, short)
        found.append(
            Sensitivity(
                str(quota),
                quota.limit,
                quota.window_ns,
                excess,
                None if short is None else _part(quota, short),
                full,
            )
        )
    return tuple(found)


def unseen(policy: Policy) -> tuple[Sensitivity, ...]:
    """The sensitivity of a log that presses on nothing, quota by quota."""
    return tuple(Sensitivity(str(one), one.limit, one.window_ns) for one in policy.quotas)


def better(one: Sensitivity, other: Sensitivity) -> Sensitivity:
    """The least excess that one of two runs could have shown."""
    return replace(
        one,
        full=one.full or other.full,
        excess=min((x for x in (one.excess, other.excess) if x is not None), default=None),
        short_ns=min((x for x in (one.short_ns, other.short_ns) if x is not None), default=None),
    )


def _densest(requests: list[Interval], policy: Policy) -> list[Interval]:
    """In the order of their middles, those around where most were sent in the least time."""
    requests = sorted(requests, key=lambda request: (sum(request), *request))
    needed = max(Stair.of(quota).size(1) for quota in policy.quotas)
    most = max(_MOST_REQUESTS, 2 * min(needed, _MOST_LIMIT))
    if len(requests) <= most:
        return requests
    size = min(*(quota.limit for quota in policy.quotas), len(requests) - 1)
    spans = zip(requests, requests[size:], strict=False)
    at = min(enumerate(b[0] - a[0] for a, b in spans), key=lambda span: (span[1], span[0]))[0]
    first = max(0, min(at - most // 2, len(requests) - most))
    return requests[first : first + most]


@dataclass(frozen=True, slots=True)
class _Generous:
    """The requests of one key before limiters that keep all quotas but one."""

    requests: Sequence[Interval]
    policy: Policy
    index: int
    model: Model
    tolerance: Tolerance
    used_until_ns: int | None  # it may have been used before; None: it was not

    def shows_excess(self, excess: int) -> bool:
        """Tell whether one shows that admits so many more; of a bucket, also its burst alone."""
        quota = self.policy.quotas[self.index]
        if not quota.record.has_burst:
            return self._shows_slow(replace(quota, limit=quota.limit + excess, burst=0))
        larger = replace(quota, burst=quota.burst + excess)
        bursts = Stair.of(larger) != Stair.of(quota)  # those of a queue play no part
        if bursts and not self._shows_slow(larger):
            return False
        return self._shows_slow(replace(larger, limit=quota.limit + excess))

    def shows_short(self, parts: int) -> bool:
        """Tell whether one shows whose window is too short by so many of its 2048 parts."""
        quota = self.policy.quotas[self.index]
        return self._show(
            self._with(replace(quota, window_ns=quota.window_ns - _part(quota, parts)))
        )

    def _shows_slow(self, kept: Quota) -> bool:
        """Tell whether one shows, and by the slowest clock that is tolerated, too."""
        quotas = self._with(kept)
        slow = [replace(one, window_ns=self.tolerance.at_most_ns(one.window_ns)) for one in quotas]
        return self._show(quotas) and (slow == quotas or self._show(slow))

    def _with(self, kept: Quota) -> list[Quota]:
        return [kept if at == self.index else own for at, own in enumerate(self.policy.quotas)]

    def _show(self, quotas: Sequence[Quota]) -> bool:
        if self.used_until_ns is not None and self._is_held_back(quotas[self.index]):
            return False
        phases = PHASES if self.model.families else PHASES[:1]
        shares = _SHARES[-1:] if self.used_until_ns is None else _SHARES
        return all(
            too_many(
                admissions(self.requests, quotas, phase, self.used_until_ns or 0, share), self.model
            )
            for phase in phases
            for share in shares
        )

    def _is_held_back(self, kept: Quota) -> bool:
        """Tell whether a slower quota may hide an excess in more ways than the pasts that are tried."""
        return any(
            other.limit * kept.window_ns < kept.limit * other.window_ns
            for at, other in enumerate(self.policy.quotas)
            if at != self.index and other.record not in _PLAIN
        )


def too_many(admitted: Sequence[Interval], model: Model) -> bool:
    """Tell whether these admissions of one key are certainly more than a policy promises."""
    if isinstance(feasible(admitted, model.stairs, _BUDGET), Infeasible):
        return True
    return any(
        isinstance(search(admitted, family, _BUDGET), Infeasible)
        for family in model.families
        if family.monotone
    )


def _part(quota: Quota, parts: int) -> int:
    return quota.window_ns * parts // _STEPS_OF_A_WINDOW


def _least(shows: Callable[[int], bool], most: int, known: int | None) -> int | None:
    """The least figure up to `most` that shows, or what is known already if that is less.

    Taken for granted: what shows at one figure shows at all larger ones. Where that is not
    so, what is returned shows all the same.
    """
    most = most if known is None else min(most, known - 1)
    if most < 1:
        return known
    if shows(1):
        return 1
    if not shows(most):
        return known
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high


PHASES = tuple(range(8))
"""Eighths of a window by which windows on the epoch may begin earlier than the clock."""


_PLAIN: Final = (SLIDING_LOG, FIXED_WINDOW)
"""A slower quota of these kinds hides an excess after the pasts below, if after any."""

_PACED: Final = 3
_SHARES = (2, _PACED, 1, 0)
"""Halves of each quota that others may have used up; all of it is the likeliest to hide an excess.

`_PACED`: all of it, evenly over the last window, so that it comes back as slowly.
"""


def admissions(
    requests: Sequence[Interval],
    quotas: Sequence[Quota],
    phase: int,
    until_ns: int = 0,
    share: int = 0,
    *,
    decided: Callable[[Interval], int] = lambda request: sum(request) // 2,
) -> list[Interval]:
    """Those of the requests that limiters of all quotas admit, each decided at some instant.

    Args:
        requests: in the order of these instants.
        quotas: of which all are kept.
        phase: eighths of a window by which windows on the epoch begin earlier.
        until_ns: when others last used the quotas up, and a window earlier.
        share: to how many halves they did, or `_PACED`.
        decided: the instant of a request, by default its middle.
    """
    limiters = []
    for quota in quotas:
        most = max(quota.limit, quota.burst)
        others = most if share == _PACED else share * most // 2
        limiter = _limiter(quota, phase, len(requests) + 2 * others)
        if share == _PACED:
            before = [until_ns - quota.window_ns * turn // others for turn in range(others)][::-1]
        else:
            before = [until_ns - quota.window_ns] * others + [until_ns] * others
        for instant_ns in before:
            if limiter.has_room(instant_ns):
                limiter.admit(instant_ns)
        limiters.append(limiter)
    admitted = []
    for request in requests:
        instant_ns = decided(request)
        if all(limiter.has_room(instant_ns) for limiter in limiters):
            for limiter in limiters:
                limiter.admit(instant_ns)
            admitted.append(request)
    return admitted


class _Limiter(Protocol):
    def has_room(self, instant_ns: int) -> bool:
        """Tell whether one more may be admitted; instants never go back."""

    def admit(self, instant_ns: int) -> None:
        """Count one that was."""


def _limiter(quota: Quota, phase: int, requests: int) -> _Limiter:
    if quota.algorithm not in FAMILIES:
        return _Gaps(quota, requests)
    shift_ns = quota.window_ns * phase // len(PHASES)
    limiter: _Limiter = FAMILIES[quota.algorithm].limiter(quota, shift_ns)
    return limiter


class _Gaps:
    """A sliding log, bucket or queue: its gap says everything."""

    def __init__(self, quota: Quota, requests: int) -> None:
        self._bounds = Earliest(Stair.of(quota), requests)
        self._admitted = 0

    def has_room(self, instant_ns: int) -> bool:
        return self._bounds.earliest(self._admitted, instant_ns) == instant_ns

    def admit(self, instant_ns: int) -> None:
        self._bounds.record(self._admitted, instant_ns)
        self._admitted += 1
