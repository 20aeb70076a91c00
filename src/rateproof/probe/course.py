"""The course of a probe: a burst, its recovery, rounds that refute, rounds that confirm.

It does no I/O of its own: whoever sends tells it the time, too.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isqrt
from statistics import median
from typing import Protocol

from rateproof.probe.confirmation import (
    BUSY,
    FINELY,
    PREDICTIONS,
    Confirmation,
    alone,
    always,
    closely,
    count_excluded,
    count_predictions,
    measuring,
    schedules_for,
    window_of,
)
from rateproof.probe.families import FAMILIES
from rateproof.probe.family import LimiterFamily
from rateproof.probe.inference import Hypotheses, Kind, Recovery
from rateproof.probe.plan import Room, beyond, contenders, plan
from rateproof.probe.seen import GRANULARITY_NS, Box, History, Seen, Steps, condensed, volleys
from rateproof.probe.several import Hit, Several, several
from rateproof.units import SECOND_NS

__all__ = ["Budget", "Course", "Round", "Sender", "needed", "run_course", "wanted"]

_FIRST_DELAY_NS = 10_000_000
_LEAD_NS = 150_000_000
_LEAST_ROUND_NS = 3 * SECOND_NS // 2
_STILL = 2
_FEW_LEFT = 3  # families: predictions of one tell it from the others
_PLENTY, _ROUND = (
    12,
    4,
)  # requests for each of the limit: left where two keys are sent for one, and of a round
_DELAY_SLACK_NS = 60_000_000
_STARTS = 3
_ONE_BY_ONE = 128  # on one connection, before whole volleys are sent
_PARTS = 8  # of what one connection was admitted, one by one: finer tells no more
_AT_ONCE = 6  # polls right after the denial: of several counters one may have room
_SOON_NS = 100_000_000
_SCATTERED, _SCATTERING = (
    20,
    160,
)  # requests a permit, and more: to find out if counters are several
_ALL_FULL = 32  # denials at once: no counter has room left
_HINT_EDGE = 25  # a window of w is looked for from w - w/25 to w + w/25
_SURPRISES = 2
_AGAIN = 2
_SOON_AGAIN_NS = 3 * SECOND_NS  # so soon, it may have been the end of a much longer window
_SECOND_TIME = 3  # at most a third of the time that is left
_WHOLE, _PATIENCE = 2, 8  # windows after which a count that all share is whole; parts of the time
_SAVING, _LONGER = 2, 3  # recoveries that a key idles at first; times as long, each time
_NEARLY = (
    1.25  # between the bounds of a window for which keys are sent that every name has to stand
)
_CHEAP = 10  # a limit for which they cost little: sent at once where time is dear
_SLOW_NS = 10 * SECOND_NS  # a window for which another round takes too long
_THOROUGH = 3  # looks at what is left beside a candidate
_AT_MOST, _STEP = 2, 0.5  # times what naming takes, where it takes more
_KEPT, _IDLE = 3, 3  # windows: for predictions, and of one key between denials and the next request
_LEAST_QUEUE, _QUEUED, _WIDEST = 2, 16, 256
_CONFIRMING, _MEASURING = 10, 4  # rounds
_REFUTED, _CLOSER, _CONFIRMED = 0.6, 0.85, 1
"""Of the requests that naming takes: so many until the rest is left to predictions, and to the key."""


class Sender(Protocol):
    """Carries requests to a server, or to a limiter that is simulated."""

    delaying: bool
    reconnecting: bool

    @property
    def requests(self) -> int:
        """The number of requests sent in all."""
        ...

    def now_ns(self) -> int:
        """The clock of everything that is seen."""
        ...

    def search(self, most: int, delays_ns: Sequence[int]) -> list[Seen]:
        """Fill a fresh key on one connection until it denies, then poll until it admits."""
        ...

    def send(self, schedules: Sequence[Steps], start_ns: int) -> list[list[Seen]]:
        """Send each schedule on a fresh key, all at the same time."""
        ...

    def hitter(self, *, fresh: bool) -> Hit:
        """Return what sends to one key, each time on new connections."""
        ...

    def waits(self, requests: int) -> tuple[list[int], int]:
        """Send at once on a fresh key: how long what is admitted waits, and the denials."""
        ...


@dataclass(frozen=True, slots=True)
class Budget:
    """The requests and the time that a course may spend.

    Args:
        requests: in all.
        time_ns: until the last answer, about; no longer window is looked for.
    """

    requests: int = 2_100
    time_ns: int = 100 * SECOND_NS


def needed(limit: int, window_ns: int = 0) -> Budget:
    """The budget that naming a limit and a window takes."""
    return Budget(250 + 18 * limit, 8 * window_ns + 20 * SECOND_NS)


def wanted(course: "Course") -> Budget:
    """The budget that naming the longest window still possible takes."""
    kinds = course.hypotheses.kinds() if course.hypotheses else []
    return needed(course.limit, max([course.held_ns, *map(window_of, kinds)]))


@dataclass(frozen=True, slots=True)
class Round:
    """A schedule and what came of it.

    Args:
        steps: what was sent.
        admitted: how many of each volley were admitted.
    """

    steps: Steps
    admitted: tuple[int, ...]


@dataclass(slots=True)
class Course:
    """The course of a probe: what was sent, seen and found.

    Args:
        limit: the most that a fresh key admits at once; 0 if no limit was seen.
        burst: what the first key admitted before its first denial, or in all.
        hypotheses: what is still possible; None if nothing came back in time.
        proof: how far the first of them is confirmed; None if nothing is left of them.
        surprises: how often a prediction was wrong.
        rounds: every schedule, in order.
        keys: what was seen of each key.
        shared: fresh identities share one count, so they are no fresh keys.
        held_ns: how long the first key denied at least.
        back_ns: after how long it was admitted again at most; 0 if it was not.
        several: the counters any of which a request may meet, if there are.
        interval_ns: how long an answer takes.
        again_ns: how long the first key denied when it was filled for the second time, about.
    """

    limit: int = 0
    burst: int = 0
    hypotheses: Hypotheses | None = None
    proof: Confirmation | None = None
    surprises: int = 0
    rounds: list[Round] = dataclasses.field(default_factory=list)
    keys: list[History] = dataclasses.field(default_factory=list)
    shared: bool = False
    held_ns: int = 0
    back_ns: int = 0
    several: Several | None = None
    interval_ns: int = 2 * GRANULARITY_NS
    again_ns: int = 0

    @property
    def width_ns(self) -> int:
        """The time that all but the slowest volleys took, in ns: an instant of one will be known so closely."""
        widths = sorted(seen.received_ns - seen.sent_ns for key in self.keys for seen in key)
        return widths[len(widths) * 9 // 10] if widths else self.interval_ns

    def take(self, schedules: Sequence[Steps], histories: Sequence[list[Seen]]) -> None:
        """Note what came of a round, and what it says of the limit and of the keys."""
        self.keys += histories
        rounds = [
            Round(steps, tuple(seen.admitted for seen in history))
            for steps, history in zip(schedules, histories, strict=True)
        ]
        self.rounds += rounds
        self.shared |= any(history and not history[0].admitted for history in histories)
        if not self.shared:
            denying = [
                history[0].admitted for history in histories if history and history[0].denied
            ]
            self.limit = max(1, min([self.limit, *denying]))


def run_course(
    sender: Sender,
    budget: Budget,
    hints_ns: Iterable[int] = (),
    before: Sequence[Seen] = (),
    families: Sequence[LimiterFamily] = FAMILIES,
) -> Course:
    """Find out what limiter it is, as far as the budget goes.

    Args:
        sender: what carries the schedules.
        budget: how much may be spent.
        hints_ns: windows that the server's headers speak of: looked at early, believed never.
        before: requests that were sent before, on a key of their own.
        families: those that are known.
    """
    course = Course(keys=[before] if before else [])
    _Run(sender, budget, course, _delays(budget.time_ns, hints_ns), families).run()
    return course


class _Run:
    """A course under way."""

    def __init__(
        self,
        sender: Sender,
        budget: Budget,
        course: Course,
        delays_ns: Sequence[int],
        families: Sequence[LimiterFamily],
    ) -> None:
        self._sender = sender
        self._budget = budget
        self._course = course
        self._delays_ns = delays_ns
        self._families = families
        self._end_ns = sender.now_ns() + budget.time_ns
        self._recovery = Recovery(0, 0, 0, 0, 0)
        self._standing: Kind | None = None
        self._first: tuple[Hit, list[Seen]] | None = None
        self._times: float = 1
        self._scattered = 0
        self._idled_ns = 0

    def run(self) -> None:
        """Search, refute, confirm; once more where a prediction was wrong."""
        sender, course = self._sender, self._course
        recovery = self._search()
        if course.several or recovery is None or sender.delaying:
            return
        if not course.shared and (sender.reconnecting or self._soon(recovery)):
            self._scatter()
            if course.several:
                return
        self._recovery = recovery
        course.hypotheses = self._hypotheses()
        while course.hypotheses.boxes and course.surprises < _SURPRISES:
            self._refute(course.hypotheses)
            if not course.hypotheses.boxes or self._confirmed(course.hypotheses):
                break
        if course.surprises == _SURPRISES:
            course.proof = None

    def _spare(self, share: float) -> int:
        """The requests that are left of a share of what naming the limit takes."""
        course = self._course
        limit = max(course.limit, self._recovery.saved)
        most = min(self._budget.requests, self._times * needed(limit).requests)
        return int(share * most) - self._sender.requests + self._scattered

    def _more(self) -> bool:
        """Go beyond what naming takes, where there is no name and the budget has more; False if it has not."""
        known = self._times * needed(self._course.limit).requests
        if self._times == _AT_MOST or known >= self._budget.requests:
            return False
        self._times = min(_AT_MOST, self._times + _STEP)
        return True

    def _search(self) -> Recovery | None:
        """Find how many are admitted at once, on one connection and on many, and when the next is."""
        sender, course = self._sender, self._course
        alone = self._alone(_ONE_BY_ONE)
        if sender.delaying:
            self._queue()
            return None
        size = max(8, course.burst + max(3, course.burst // 4))
        hit, seen = self._burst(size)
        if seen and not any(each.admitted for each in seen):
            course.shared = True
            seen = self._later(hit, size) if course.burst else []
        if not any(each.denied for each in seen):
            each = sum(seen.admitted for seen in alone)
            if alone and alone[-1].denied and each < course.burst:
                held_ns = max(0, alone[-1].sent_ns - alone[0].received_ns)
                course.several = Several(each, course.burst, low_ns=held_ns, sticky=True)
            return None
        course.limit = course.burst = sum(each.admitted for each in seen)
        filled, key, denied_ns = seen[0], list(seen), seen[0].sent_ns
        denied = sum(each.denied for each in seen)
        polls = self._polls(hit)
        key += polls
        denied_ns = max([denied_ns, *(each.sent_ns for each in polls if each.denied)])
        course.held_ns = max(0, denied_ns - filled.received_ns)
        back = key[-1] if key[-1].admitted else None
        course.back_ns = back.received_ns - filled.sent_ns if back else 0
        took = [each.received_ns - each.sent_ns for each in (*alone, *key[1:])]
        course.interval_ns = round(median(took))
        if back and back.received_ns - filled.sent_ns < _SOON_AGAIN_NS:
            key += self._again(hit)
        course.keys[-1] = key
        self._first = hit, key
        more = course.limit > sum(each.admitted for each in alone)
        if alone and more and not course.shared and alone[-1].denied:
            self._stuck(alone, filled, back)
        if not back:
            return None
        return Recovery(
            course.limit,
            filled.sent_ns,
            filled.received_ns,
            denied_ns,
            back.received_ns,
            denied=denied,
        )

    def _polls(self, hit: Hit) -> list[Seen]:
        """Ask one by one, ever more slowly, until one is admitted."""
        polls: list[Seen] = []
        for delay_ns in self._delays_ns:
            at_ns = self._sender.now_ns() + delay_ns
            poll = hit(1, at_ns, 1) if at_ns <= self._end_ns and self._left else []
            polls += poll
            if not poll or poll[0].admitted:
                break
        return polls

    def _again(self, hit: Hit) -> list[Seen]:
        """Fill the key that just came back, and wait again: now a clock shows how long its window is."""
        limit, at_ns = self._course.limit, self._sender.now_ns()
        end_ns = at_ns + (self._end_ns - at_ns) // _SECOND_TIME
        if self._left < _SECOND_TIME * limit:
            return []
        key = volleys(hit(limit, at_ns, limit))
        if not any(each.denied for each in key):
            return key
        for delay_ns in self._delays_ns:
            at_ns += 5 * delay_ns // 4  # between those of the first time
            poll = hit(1, at_ns, 1) if at_ns < end_ns and self._left else []
            key += poll
            if not poll or poll[0].admitted:
                break
        self._course.again_ns = key[-1].received_ns - key[0].sent_ns
        return key

    def _later(self, hit: Hit, size: int) -> list[Seen]:
        """Fill a count that everybody shares once more, when all of it is back: others had used it up."""
        sender, course = self._sender, self._course
        course.limit, used = course.burst, course.keys[-2]
        polls = self._polls(hit)
        course.keys[-1] = [*course.keys[-1], *polls]
        if not polls or not polls[-1].admitted or self._left < size:
            return []
        now_ns = sender.now_ns()
        idle_ns = max(_WHOLE, course.burst) * (polls[-1].received_ns - used[0].sent_ns)
        at_ns = now_ns + min(idle_ns, (self._end_ns - now_ns) // _PATIENCE)
        course.keys.append(volleys(hit(size, at_ns, size)))
        return list(course.keys[-1])

    @property
    def _left(self) -> int:
        return self._budget.requests - self._sender.requests

    def _alone(self, most: int) -> list[Seen]:
        """A fresh key on one connection, until its first denial."""
        sender, course = self._sender, self._course
        history = sender.search(min(most, self._left), ())
        course.keys.append(condensed(volleys(history), _PARTS))
        course.burst = sum(seen.admitted for seen in history)
        course.shared |= bool(history) and not history[0].admitted
        return history

    def _burst(self, size: int) -> tuple[Hit, list[Seen]]:
        """Fresh keys, each with more requests at once than the one before, until one denies."""
        course = self._course
        while True:
            hit, size = self._sender.hitter(fresh=True), min(size, self._left)
            seen = volleys(hit(size, 0, size)) if size > 0 else []
            if not seen:
                return hit, seen
            course.keys.append(seen)
            if any(each.denied for each in seen):
                course.rounds.append(Round(((0, size),), tuple(each.admitted for each in seen)))
                return hit, seen
            course.burst = max(course.burst, sum(each.admitted for each in seen))
            size *= 2

    def _stuck(self, alone: Sequence[Seen], filled: Seen, back: Seen | None) -> None:
        """Find out if many connections get more than one, time and again: there are several counters."""
        course = self._course
        least, most = course.limit, 0
        for tries in range(_AGAIN + 1):
            if tries:
                size = 4 * course.limit
                if self._left < 2 * size:
                    return
                alone = self._alone(course.limit + 2)
                _, seen = self._burst(size)
                least = min(least, sum(each.admitted for each in seen))
                course.limit = min(
                    course.limit, max(1, least)
                )  # more, and some came back meanwhile
            if not alone or not alone[-1].denied:
                return
            most = max(most, sum(each.admitted for each in alone))
            if least <= most:
                return
        high_ns = back.received_ns - filled.sent_ns if back else None
        course.several = Several(most, least, None, course.held_ns, high_ns, sticky=True)

    def _queue(self) -> None:
        """The rate of a queue, from how long the last of a burst waits; then more bursts, foretold."""
        sender, course = self._sender, self._course
        width, waited, denied = _QUEUED, list[int](), 0
        while not denied and width <= min(_WIDEST, self._left):
            waited, denied = sender.waits(width)
            width *= 4
        course.limit = course.burst = len(waited)
        if not denied or course.limit < _LEAST_QUEUE:
            return
        # The last of them waited for all tokens but one, and a little for everything else.
        tokens, last_ns = course.limit - 1, waited[-1]
        low_ns = (last_ns - min(_DELAY_SLACK_NS, last_ns // 4)) // tokens
        high_ns = (last_ns + _DELAY_SLACK_NS // 4) // tokens
        family = next(each for each in FAMILIES if each.refills and each.plain)
        found = Hypotheses(Recovery(course.limit, 0, 0, low_ns, high_ns), high_ns, ())
        found.boxes[family] = [Box(course.limit, low_ns, high_ns)]
        course.hypotheses, proof = found, Confirmation((family, course.limit))
        while (proof.true < PREDICTIONS or proof.keys < 2) and self._left >= course.limit + 2:
            waited, denied = sender.waits(course.limit + 2)
            right = len(waited) == course.limit and all(
                number * low_ns - _DELAY_SLACK_NS <= wait_ns <= number * high_ns + _DELAY_SLACK_NS
                for number, wait_ns in enumerate(waited)
            )
            if not right:
                course.surprises = _SURPRISES
                return
            proof.true += course.limit
            proof.keys += 1
        # A delay that grows with the backlog on two keys is what a queue has to stand.
        proof.stood = proof.closely = proof.keys >= 2
        course.proof = proof

    def _soon(self, recovery: Recovery) -> bool:
        """Tell if the key that was filled at once came back at once, and may not have filled every counter."""
        return self._course.held_ns < _SOON_NS and recovery.denied < _ALL_FULL

    def _scatter(self) -> None:
        """Find out whether the requests of one key meet several counters."""
        sender, course = self._sender, self._course
        before = sender.requests
        most = min(self._left // 2, _SCATTERED * course.limit + _SCATTERING)
        searched = sender.search(most // 2, [*[1] * _AT_ONCE, *self._delays_ns])
        if any(seen.denied for seen in searched) and searched[0].admitted:
            most -= sender.requests - before
            hit = sender.hitter(fresh=True)
            course.several, _ = several(hit, searched, most, self._end_ns, self._delays_ns)
        self._scattered = sender.requests - before

    def _refute(self, left: Hypotheses) -> None:
        """Send what those that are left disagree on most, until nothing tells them apart."""
        sender, course, recovery = self._sender, self._course, self._recovery
        took_ns = max(recovery.admitted_ns - recovery.filled_ns, course.again_ns)
        slowest_ns = max(_LEAST_ROUND_NS, 4 * took_ns)
        lead_ns, known, longer = _LEAD_NS, list[object](), 1
        while left.boxes and (len(known) < _STILL or known[-_STILL:] != [_known(left)] * _STILL):
            few = len(left.boxes) <= _FEW_LEFT and left.kinds()[0].close
            one = len(left.kinds()) == 1 and not course.shared
            if known and (few or one or (self._stood(left.kinds()[0]) and took_ns > _SLOW_NS)):
                break
            now_ns = sender.now_ns()
            start_ns = now_ns + lead_ns
            spare_ns = self._end_ns - start_ns
            windows = sorted(
                window_of(kind) // 2 * (kind.low_ns + kind.high_ns) // kind.high_ns
                for kind in left.kinds()
            )
            window_ns = windows[len(windows) // 4]  # those of clocks, the longest, are known last
            most_ns = max(_LEAST_ROUND_NS, longer * 9 * window_ns // 4)
            kept_ns = min(_KEPT * window_ns, self._budget.time_ns // 2)
            schedules = plan(
                contenders(left),
                course.limit,
                Room(
                    start_ns,
                    course.width_ns,
                    min(self._spare(_REFUTED), 64 + _ROUND * course.limit),
                    min(most_ns, slowest_ns, spare_ns - kept_ns),
                ),
                most_schedules=1 if course.shared else None,
                times=1 + (self._spare(_REFUTED) > _PLENTY * course.limit),
            )
            lead_ns = max(lead_ns, 2 * (sender.now_ns() - now_ns))  # to plan takes time, too
            schedules += self._saving(left, spare_ns)
            if not schedules and longer == 1:
                longer = 2
                continue
            if not schedules:
                break
            schedules += self._standing_of(left.kinds(), schedules, spare_ns)
            known.append(_known(left))
            left = self._learn(
                left,
                self._send(schedules, start_ns, recovery.admitted_ns - recovery.filled_ns),
            )

    def _saving(self, left: Hypotheses, most_ns: int) -> list[Steps]:
        """A key that is left alone until it saves no more: of a limit of 1, does it save what it does not use?"""
        course, recovery = self._course, self._recovery
        if course.limit > 1 or course.shared:
            return []
        idle_ns = _SAVING * (recovery.admitted_ns - recovery.filled_ns)
        requests = beyond(1)
        if self._idled_ns:
            kinds = [kind for kind in left.kinds() if kind.family.at_first is not None]
            if not kinds or recovery.saved + 1 < self._idled_ns // kinds[0].high_ns:
                return []
            idle_ns = _LONGER * self._idled_ns
            requests = max(requests, idle_ns // kinds[0].low_ns + 2)
        if idle_ns > most_ns or requests > self._spare(_CLOSER):
            return []
        self._idled_ns = idle_ns
        return [((0, 1), (idle_ns, requests))]

    def _standing_of(
        self, kinds: Sequence[Kind], before: Sequence[Steps], most_ns: int
    ) -> list[Steps]:
        """The keys that every name has to stand, where they fit: they take the longest."""
        kind = kinds[0]
        alike = [
            each
            for each in kinds
            if window_of(each) * kind.low_ns <= window_of(kind) * each.high_ns
            and window_of(kind) * each.low_ns <= window_of(each) * kind.high_ns
        ]
        enough = len(kinds) if kind.limit > _CHEAP else len(kinds) / 2
        if self._course.shared or len(alike) < enough:
            return []
        if kind.high_ns > _NEARLY * kind.low_ns and (
            self._recovery.admitted_ns - self._recovery.filled_ns < _SLOW_NS or kind.limit > _CHEAP
        ):
            return []
        kind = kind._replace(high_ns=isqrt(kind.low_ns * kind.high_ns))
        schedules = always(kind)
        requests = sum(count for steps in (*before, *schedules) for _, count in steps)
        long = any(steps[-1][0] > most_ns for steps in schedules)
        if self._stood(kind) or long or requests > self._spare(_CLOSER):
            return []
        self._standing = kind
        return schedules

    def _send(self, schedules: Sequence[Steps], start_ns: int, window_ns: int) -> list[list[Seen]]:
        """Send all at once; where keys share one count, one after the other, and idle before each."""
        sender, course = self._sender, self._course
        if not course.shared:
            histories = sender.send(schedules, start_ns)
            course.take(schedules, histories)
            return histories
        histories = []
        for number, steps in enumerate(schedules):
            start_ns = max(start_ns, sender.now_ns() + _LEAD_NS) + _WHOLE * window_ns
            if start_ns + steps[-1][0] > self._end_ns:
                break
            histories += sender.send([steps], start_ns)
            course.take([steps], histories[number:])
        return histories

    def _learn(
        self, left: Hypotheses, histories: Sequence[History], *, careful: int = 0
    ) -> Hypotheses:
        """Refute by what was seen; from the start where the limit turned out to be another."""
        course = self._course
        saved = [seen.admitted for key in histories for seen in key[1:] if seen.denied]
        if course.limit == 1 and max(saved, default=0) > self._recovery.saved:
            self._recovery = self._recovery._replace(saved=max(saved))
        elif left.limit == course.limit:
            keys = [self._joint()] if course.shared else histories
            left.learn(keys, careful=careful, anew=course.shared)
            if left.boxes or not course.shared:
                return left
        course.hypotheses = self._hypotheses()
        return course.hypotheses

    def _confirmed(self, left: Hypotheses) -> bool:
        """Predict, until it may be named or the budget is spent; False if it is refuted instead."""
        sender, course = self._sender, self._course
        first = left.kinds()[0]
        proof = course.proof = Confirmation((first.family, first.limit))
        kind = _sifted(left, proof, 1)
        rounds, lead_ns = 0, _LEAD_NS
        while kind is not None and rounds < _CONFIRMING:
            rounds += 1
            count_excluded(proof, left, kind, course.keys)
            now_ns = sender.now_ns()
            start_ns = now_ns + lead_ns
            only = alone(proof, left)
            schedules = self._next(proof, left, kind, start_ns)
            late_ns = sender.now_ns() - start_ns
            if late_ns > 0:  # to plan took longer: the same phase of a clock, later
                start_ns += -(-late_ns // window_of(kind)) * window_of(kind)
            lead_ns = max(lead_ns, 2 * (sender.now_ns() - now_ns))
            histories = self._send(schedules, start_ns, window_of(kind)) if schedules else []
            again = self._reused(kind) if only else []
            if not histories and not again:
                named = proof.done and kind.close
                if not named and ((alone(proof, left) and not only) or self._more()):
                    continue  # what else is possible answers the same, or there are requests left
                break
            left = self._learn(left, [*histories, *again], careful=1)
            kind = _sifted(left, proof, 2)
            if kind is None:
                course.surprises += only  # one of many was a guess, and no prediction of a name
                self._more()
                break
            count_predictions(proof, kind, histories)
            count_excluded(proof, left, kind, course.keys)
            proof.stood = self._stood(kind) and (self._first is None or course.shared)
            if proof.done and kind.close and (kind.tight or self._late(kind) or self._times > 1):
                break
        proof.true *= kind is not None
        return kind is not None

    def _next(
        self, proof: Confirmation, left: Hypotheses, kind: Kind, start_ns: int
    ) -> list[Steps]:
        """The schedules of the next round, and some that tell more of the window."""
        roughly = _roughly(kind)
        first = [] if self._stood(kind) or not roughly else always(kind)
        longest_ns = max((steps[-1][0] for steps in first), default=0)
        most_ns = max(5 * window_of(kind) // 2 + _LEAST_ROUND_NS, longest_ns)
        most_ns = min(self._end_ns - start_ns, most_ns)
        most_requests = self._spare(_CONFIRMED) - self._reserved
        width_ns, edges = self._course.width_ns, proof.missing_edges
        measured, closest = list[Steps](), list[Steps]()
        if alone(proof, left) and (edges or not proof.closely):
            measured = measuring(kind, start_ns, width_ns) if proof.measured < _MEASURING else []
            if measured:
                edges = 0
                proof.measured += 1
            elif not proof.closely:
                closest = closely(kind, start_ns, width_ns)
                edges -= bool(closest)
        if first and len(closest) > 1:  # filled anew once the edge is told
            row = closest.pop()
            later = (step for step in first[0][1 - BUSY :] if step[0] > row[-1][0])
            first[0] = (*row, *later)
            closest.append(first.pop(0))
        schedules = schedules_for(
            proof,
            left,
            kind,
            Room(start_ns, width_ns, most_requests, most_ns),
            [*measured, *closest, *first],
            edges_wanted=edges,
            missing=PREDICTIONS - proof.true - 2 * len(closest) if roughly else 0,
        )
        sent = {*schedules}
        proof.closely |= bool(closest) and sent >= {*closest}
        if first and sent >= {*first, *closest}:
            self._standing = kind
        return schedules + self._closer(left, kind, start_ns, schedules)

    @property
    def _reserved(self) -> int:
        """The requests that are kept for the first key."""
        return beyond(self._course.limit) if self._first and not self._course.shared else 0

    def _reused(self, kind: Kind) -> list[History]:
        """Ask the first key again, idle for three cycles after denials, for more than it can save."""
        course, now_ns, requests = self._course, self._sender.now_ns(), beyond(kind.limit)
        if self._first is None or course.shared or self._spare(_CONFIRMED) < requests:
            return []
        hit, key = self._first
        at_ns = max(now_ns, key[-1].received_ns + _IDLE * window_of(kind))
        if at_ns > min(self._end_ns, now_ns + window_of(kind)):
            return []
        key += volleys(hit(requests, at_ns, requests))
        self._first = None
        return [key]

    def _late(self, kind: Kind) -> bool:
        """Tell if one more round that says no more than the window would take too long, or too much."""
        window_ns = window_of(kind)
        most_ns = needed(kind.limit, window_ns).time_ns
        begun_ns = self._end_ns - self._budget.time_ns
        return self._sender.now_ns() + 2 * window_ns > begun_ns + most_ns

    def _stood(self, kind: Kind) -> bool:
        """Tell if keys that every name has to stand were sent for such a limit and window."""
        sent = self._standing
        return (
            sent is not None
            and (sent.limit, sent.family.forgets) == (kind.limit, kind.family.forgets)
            and 87 * window_of(kind) < 100 * window_of(sent) < 125 * window_of(kind)
        )

    def _closer(
        self, left: Hypotheses, kind: Kind, start_ns: int, before: Sequence[Steps]
    ) -> list[Steps]:
        """Schedules that tell more about the window, where it is not known closely."""
        spent = sum(count for steps in before for _, count in steps)
        if kind.tight or (before and self._course.shared):
            return []
        if not kind.family.refills:
            keys = [] if before else measuring(kind, start_ns, self._course.width_ns, FINELY)
            requests = sum(count for steps in keys for _, count in steps)
            return keys if requests <= self._spare(_CONFIRMED) - self._reserved else []
        return plan(
            [each for each in contenders(left) if each.family is kind.family],
            kind.limit,
            Room(
                start_ns,
                self._course.width_ns,
                self._spare(_CLOSER) - self._reserved - spent,
                min(self._end_ns - start_ns, 2 * window_of(kind)),
            ),
            most_schedules=3,
        )

    def _joint(self) -> History:
        """All keys as one: they share a count."""
        return volleys([seen for history in self._course.keys for seen in history])

    def _hypotheses(self) -> Hypotheses:
        """Find the limiters that explain everything so far, from the start."""
        course = self._course
        keys: list[History] = course.keys
        limits = [course.limit]
        if course.shared:
            keys = [self._joint()]
            limits.append(course.limit + 1)  # a request before the burst may have counted
        for limit in limits:
            found = Hypotheses(
                self._recovery._replace(limit=limit),
                self._budget.time_ns,
                self._families,
                interval_ns=course.interval_ns,
            )
            found.learn(keys)
            if found.boxes:
                course.limit = limit
                break
        return found


def _roughly(kind: Kind) -> bool:
    """Tell if a window is known well enough for the keys that every name has to stand."""
    return kind.high_ns <= _NEARLY * kind.low_ns


def _sifted(left: Hypotheses, proof: Confirmation, careful: int) -> Kind | None:
    """The candidate, once what is possible beside it was looked at more and more closely; None if it is refuted."""
    before = None
    for closer in range(careful, careful + _THOROUGH):
        if alone(proof, left) or before == _known(left):
            break
        before = _known(left)
        left.learn((), careful=closer)
    found = (kind for kind in left.kinds() if (kind.family, kind.limit) == proof.candidate)
    return next(found, None)


def _known(left: Hypotheses) -> list[tuple[str, int, int, int]]:
    """A summary for comparison: rounds that change nothing are not worth going on."""
    return [(kind.family.name, *kind[1:4]) for kind in left.kinds()]


def _delays(horizon_ns: int, hints_ns: Iterable[int]) -> list[int]:
    """Pauses between polls: their instants grow by half, and lie around each hint."""
    instants, at_ns = set[int](), _FIRST_DELAY_NS
    while at_ns < horizon_ns:
        instants.add(at_ns)
        at_ns += at_ns // 2
    for hint_ns in hints_ns:
        edge_ns = hint_ns // _HINT_EDGE
        instants |= {max(1, hint_ns - edge_ns), hint_ns + edge_ns}
    ordered = sorted(instant for instant in instants if instant <= horizon_ns)
    return [after - before for before, after in zip([0, *ordered], ordered, strict=False)]
