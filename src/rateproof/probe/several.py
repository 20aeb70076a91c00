"""Several counters that know nothing of each other, any of which a request of a key may meet.

So it is where every worker counts for itself and the server closes each connection, or a
proxy deals the requests out. Denials and admissions of one key alternate then, as of a
limiter whose window is tiny; but once all counters are full every request is denied, for
longer than that lasted. No limiter with one counter does both: what came back to it so
soon would come back again. One that lets requests through at random seems to, now and
then: so a run of denials counts only where chance hardly explains it, and a number only
where it is the same twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise, takewhile
from math import inf, log

from rateproof.probe.roundness import Figure, window_in
from rateproof.probe.seen import Seen

RUN = 32
"""Denials in a row after which all counters are taken for full: of 8 counters one is missed in 100."""
_CHANCE = 0.001
_RENEWALS = 2  # a clock's windows give one, at a boundary
_TRIES = 3
_POLLS = 12
_ROUGH = 40  # a round window is told that is as far as two parts of it from the bounds

Hit = Callable[[int, int, int], Sequence[Seen]]
"""Send so many requests at an instant (ns; at once if past) on so many connections, all with one key."""
Key = tuple[Hit, list[Seen]]
"""A key by the function that sends with it, and the answers seen so far."""


@dataclass(frozen=True, slots=True)
class Several:
    """Several counters, as far as they are known.

    Args:
        each: what some fresh key was admitted before its first denial: no limit is higher.
        together: how many one key was admitted until all counters were full, at most.
        again: how many at least, when that was done once more; None if it was not.
        low_ns: for how long they were full at least.
        high_ns: for how long at most; None where nothing was admitted any more.
        sticky: a connection stays with one of them.
    """

    each: int
    together: int
    again: int | None = None
    low_ns: int = 0
    high_ns: int | None = None
    sticky: bool = False

    @property
    def counters(self) -> int:
        """So many there are at least. All alike, they share evenly what they admit together."""
        each = min(self.each, self.together)
        if self.again == self.together:
            each = max(n for n in range(1, each + 1) if self.together % n == 0)
        return -(-self.together // each)

    @property
    def window(self) -> Figure | None:
        """The roundest window; None where not all that was admitted came back at its end."""
        if self.high_ns is None or not 0 < self.low_ns < self.high_ns:
            return None
        back = self.again is not None and 4 * self.again >= 3 * self.together
        return window_in(self.low_ns, self.high_ns, self.low_ns // _ROUGH) if back else None


def several(
    hit: Hit,
    before: Sequence[Seen],
    most: int,
    end_ns: int,
    delays_ns: Sequence[int],
) -> Several | None:
    """Fill a key until all counters are full, wait until one admits, and do so once more.

    Args:
        hit: what sends with that key.
        before: what was seen just before of another key, on one connection: the first was
            admitted, some were denied.
        most: requests at most.
        end_ns: when to stop waiting.
        delays_ns: from one poll to the next.

    Returns:
        What is known of them; None where one counter, or chance, may explain it.
    """
    limit = _each(before)
    # A bucket with a fast refill never gets full: half is left to find out its rate.
    runs = [before, *_filled(hit, limit + RUN, most // 2, 1)]
    history = [*chain(*runs[1:])]
    each = min(limit, _each(history))
    renewals = [_renewals(filled, each) for filled in runs]
    if sum(renewals) < _RENEWALS:
        return None
    latest = max(n for n in range(len(runs)) if sum(renewals[n:]) >= _RENEWALS)
    since_ns = runs[latest][0].sent_ns
    for _ in range(_TRIES):
        total, begun_ns, last_ns = _count(history)
        instants = list(accumulate(delays_ns, initial=last_ns))[1:]
        polls = _polled(hit, instants[: most - len(history)], end_ns, 1)
        low_ns, high_ns = _held(polls, 1, begun_ns, last_ns)
        if low_ns > last_ns - since_ns:
            break
        history += polls  # one had room left, or what is admitted comes back as fast as that
        history += chain(*_filled(hit, RUN, most - len(history), 1))
    else:
        return None
    if high_ns is None:
        return None
    # Once the last of them may be back, too. The poll that was admitted counts already.
    at_ns, left = polls[-1].received_ns + last_ns - begun_ns, most - len(history) - len(polls)
    second = [*chain(*_filled(hit, total, left, RUN, at_ns=at_ns))]
    again, begun_ns, last_ns = _count(second)
    room = any(seen.admitted for seen in second[-RUN:])
    if room or again + 1 != total or _by_chance([*history, *polls[:-1]], second):
        return None
    step_ns = max(1, (high_ns - low_ns) // _POLLS)
    instants = [begun_ns + low_ns + n * step_ns for n in range(most - len(history) - len(second))]
    polls = _polled(hit, instants, end_ns, 2)
    again_low_ns, again_high_ns = _held(polls, 2, begun_ns, last_ns)
    low_ns, high_ns = max(low_ns, again_low_ns), min(high_ns, again_high_ns or high_ns)
    return Several(each, total, total, low_ns, high_ns)


def denials_beyond_chance(admitted: int, requests: int) -> float:
    """Count the denials in a row that a rule has once in a thousand which at random admits as often as that."""
    return log(_CHANCE) / log(1 - admitted / (requests + 1)) if admitted > 0 else inf


def _by_chance(*filled: Sequence[Seen]) -> bool:
    """Tell if what was admitted once one was denied is so little that chance explains the denials at the end."""
    more, requests, denials = 0, 0, 0
    for history in filled:
        after = [seen.admitted > 0 for seen in history[_each(history) :]]
        full = max((n for n, admitted in enumerate(after, 1) if admitted), default=0)
        more, requests, denials = more + sum(after), requests + full, denials + len(after) - full
    return denials < denials_beyond_chance(more, requests)


def _each(history: Sequence[Seen]) -> int:
    """Count the admissions before the first denial, or all."""
    return next((n for n, seen in enumerate(history) if not seen.admitted), len(history))


def _renewals(run: Sequence[Seen], each: int) -> int:
    """Count how often one counter of at most `each` would have to begin anew, on one connection."""
    returns = sum(after.admitted > before.admitted for before, after in pairwise(run))
    return max(returns, (sum(seen.admitted for seen in run) - 1) // each) if each else 0


def _filled(
    hit: Hit, requests: int, most: int, connections: int, *, at_ns: int = 0
) -> list[Sequence[Seen]]:
    """Send so many requests, and further runs until all counters are full."""
    runs: list[Sequence[Seen]] = []
    while requests <= most:
        runs.append(hit(requests, at_ns, connections))
        if not any(seen.admitted for seen in runs[-1][-RUN:]):
            break
        most -= requests
        requests = RUN
    return runs


def _count(history: Sequence[Seen]) -> tuple[int, int, int]:
    """The admissions, and between which instants they were."""
    admitted = [seen for seen in history if seen.admitted]
    begun_ns = min((seen.sent_ns for seen in admitted), default=0)
    return len(admitted), begun_ns, max((seen.received_ns for seen in admitted), default=0)


def _polled(hit: Hit, instants: Sequence[int], end_ns: int, admissions: int) -> list[Seen]:
    """One request at each instant, until so many were admitted."""
    polls: list[Seen] = []
    for at_ns in instants:
        if at_ns > end_ns or sum(seen.admitted for seen in polls) == admissions:
            break
        polls += hit(1, at_ns, 1)
    return polls


def _held(
    polls: Sequence[Seen], admissions: int, begun_ns: int, last_ns: int
) -> tuple[int, int | None]:
    """Bounds of a window that was filled between two instants, from polls until so many admissions."""
    denied = list(takewhile(lambda seen: not seen.admitted, polls))
    low_ns = max(0, denied[-1].sent_ns - last_ns) if denied else 0
    if sum(seen.admitted for seen in polls) < admissions:
        return low_ns, None
    return low_ns, polls[-1].received_ns - begun_ns
