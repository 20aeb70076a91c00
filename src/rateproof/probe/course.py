"""The course of a probe: burst, wait for recovery, then round after round of schedules.

It does no I/O of its own: whoever sends tells it the time, too.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rateproof.probe.families import FAMILIES
from rateproof.probe.inference import Hypotheses, Recovery
from rateproof.probe.plan import contenders, plan
from rateproof.probe.seen import History, Seen, Steps, decided
from rateproof.probe.sender import HttpSender
from rateproof.probe.several import Several, several
from rateproof.units import SECOND_NS

__all__ = ["Budget", "Course", "Round", "run_course"]

_FIRST_DELAY_NS = 10_000_000
_LEAD_NS = 150_000_000
_ROUND_REQUESTS = 48
_LEAST_ROUND_NS = 3 * SECOND_NS // 2
_STILL = 3
_DELAY_SLACK_NS = 60_000_000
_STARTS = 3
_AT_ONCE = 6  # polls right after the denial: of several counters one may have room
_SOON_NS = 100_000_000
_HINT_EDGE = 25  # a window of w is looked for from w - w/25 to w + w/25
_DELAYING = tuple(family for family in FAMILIES if family.refills)


@dataclass(frozen=True, slots=True)
class Budget:
    """The requests and the time that a course may spend.

    Args:
        requests: in all.
        time_ns: until the last answer, about; no longer window is looked for.
    """

    requests: int = 250
    time_ns: int = 60 * SECOND_NS

    def narrowing(self, limit: int) -> int:
        """Requests until the policy is known: 15, and 5 for each of the limit, are kept for later.

        But no more than a third.
        """
        return self.requests - min(15 + 5 * limit, self.requests // 3)


@dataclass(frozen=True, slots=True)
class Round:
    """A schedule and what came of it.

    Args:
        steps: what was sent.
        admitted: how many of each step were admitted.
    """

    steps: Steps
    admitted: tuple[int, ...]


@dataclass(slots=True)
class Course:
    """The course of a probe: what was sent, seen and found.

    Args:
        limit: the most that a fresh key admits at once; 0 if no limit was seen.
        burst: what the first key admitted before its first denial, or in all.
        forgotten: how many keys nothing explains: a burst met a boundary, or the server
            was held up between reading its clock and deciding, and all was begun anew.
        hypotheses: what is still possible; None if nothing came back in time.
        rounds: every schedule, in order.
        keys: what was seen of each key.
        shared: fresh identities share one count, so they are no fresh keys.
        held_ns: how long the first key denied at least.
        several: the counters any of which a request may meet, if there are.
    """

    limit: int = 0
    burst: int = 0
    forgotten: int = 0
    hypotheses: Hypotheses | None = None
    rounds: list[Round] = dataclasses.field(default_factory=list)
    keys: list[History] = dataclasses.field(default_factory=list)
    shared: bool = False
    held_ns: int = 0
    several: Several | None = None

    def forget(self) -> None:
        """Begin anew."""
        self.forgotten += len(self.keys)
        self.limit, self.hypotheses, self.shared = 0, None, False
        self.keys, self.rounds = [], []

    def take(self, schedules: Sequence[Steps], histories: Sequence[list[Seen]]) -> None:
        """Note what came of a round, and what it says of the limit and of the keys."""
        self.keys += histories
        rounds: list[Round] = []
        for steps, history in zip(schedules, histories, strict=True):
            answers = iter(history)
            admitted = tuple(
                sum(seen.admitted for _, seen in zip(range(count), answers, strict=False))
                for _, count in steps
            )
            rounds.append(Round(steps, admitted))
        self.rounds += rounds
        self.shared |= any(tried.admitted[0] == 0 for tried in rounds)
        if not self.shared:
            firsts = [(tried.admitted[0], tried.steps[0][1]) for tried in rounds]
            self.limit = max(1, min([self.limit, *(got for got, of in firsts if got < of)]))


def run_course(
    sender: HttpSender,
    budget: Budget,
    hints_ns: Iterable[int] = (),
    before: Sequence[Seen] = (),
) -> Course:
    """Find out what limiter it is, as far as the budget goes.

    Args:
        sender: what carries the schedules.
        budget: how much may be spent.
        hints_ns: windows that the server's headers speak of: looked at early, believed never.
        before: requests that were sent before, on a key of their own.
    """
    course = Course(keys=[before] if before else [])
    _Run(sender, budget, course, _delays(budget.time_ns, hints_ns)).run()
    return course


class _Run:
    """A course under way."""

    def __init__(
        self, sender: HttpSender, budget: Budget, course: Course, delays_ns: Sequence[int]
    ) -> None:
        self._sender = sender
        self._budget = budget
        self._course = course
        self._delays_ns = delays_ns
        self._end_ns = sender.now_ns() + budget.time_ns

    def run(self) -> None:
        """Search, narrow, and begin anew where nothing explains what was seen."""
        sender, course = self._sender, self._course
        for start in range(_STARTS):
            if start:
                course.forget()
            recovery = self._search()
            if recovery is None:
                break
            apart = not (sender.delaying or course.shared)
            if apart and (sender.reconnecting or _soon(recovery)):
                self._scatter(recovery)
                if course.several or course.hypotheses:
                    break
            left = course.hypotheses = self._hypotheses(recovery)
            left = self._narrow(left, recovery)
            if left.boxes or sender.requests >= self._budget.narrowing(course.limit):
                break

    def _search(self) -> Recovery | None:
        """The first two steps: how many at once, and when the next."""
        sender, course = self._sender, self._course
        at_once = [1] * _AT_ONCE if sender.reconnecting else []
        for _ in range(_STARTS):
            most = self._budget.requests - sender.requests
            history = sender.search(most, [*at_once, *self._delays_ns])
            course.keys.append(history)
            if not (history and not history[0].admitted and history[-1].admitted):
                break
            course.shared = True  # others had used it up: now they have not
        denied = [number for number, seen in enumerate(history) if not seen.admitted]
        course.burst = denied[0] if denied else len(history)
        if not denied or not course.burst:
            return None
        limit = course.limit = course.burst
        course.rounds.append(Round(((0, limit + 1),), (limit,)))
        filled, held, last = history[limit - 1], history[denied[-1]], history[-1]
        course.held_ns = max(0, held.sent_ns - filled.received_ns)
        if sender.delaying:
            # The last of them waited for all tokens but one, and a little for everything else.
            tokens, waited_ns = max(1, limit - 1), sender.waited_ns
            low_ns = (waited_ns - min(_DELAY_SLACK_NS, waited_ns // 4)) // tokens
            high_ns = (waited_ns + _DELAY_SLACK_NS // 4) // tokens
            at_ns = filled.sent_ns
            return Recovery(limit, at_ns, at_ns, at_ns + low_ns, at_ns + high_ns)
        if not last.admitted:
            return None
        return Recovery(limit, history[0].sent_ns, filled.sent_ns, held.sent_ns, last.received_ns)

    def _scatter(self, recovery: Recovery) -> None:
        """Find out whether the requests of one key meet several counters."""
        sender, course = self._sender, self._course
        searched, soon = course.keys[-1], _soon(recovery)
        most = self._budget.requests - sender.requests
        same = soon and most < 3 * course.limit  # too few to fill another
        course.several, seen = several(
            sender.hitter(fresh=not same),
            searched if soon else searched[: course.limit + 1],
            most,
            self._end_ns,
            self._delays_ns,
            same=same,
        )
        if same:
            course.keys[-1] = seen
            if sender.reconnecting and not course.several:  # too few to refute one counter, too
                course.hypotheses = Hypotheses(recovery, self._budget.time_ns, ())
        elif all(each.admitted for each in seen[: course.limit]):  # else it was no fresh key
            course.keys.append(seen)

    def _narrow(self, left: Hypotheses, recovery: Recovery) -> Hypotheses:
        """Send what tells most, until nothing can tell any more or the budget is spent."""
        sender, course = self._sender, self._course
        most_ns = max(_LEAST_ROUND_NS, 3 * (recovery.admitted_ns - recovery.filled_ns))
        lead_ns = _LEAD_NS
        known: list[object] = []
        while left.boxes and known[-_STILL:] != [_known(left)] * _STILL:
            spare = self._budget.narrowing(course.limit) - sender.requests
            now_ns = sender.now_ns()
            start_ns = now_ns + lead_ns
            if course.shared:  # what came before must be forgotten
                start_ns += min(most_ns, max(kind.high_ns for kind in left.kinds()))
            spare_ns = self._end_ns - start_ns
            schedules = plan(
                contenders(left),
                course.limit,
                start_ns,
                most_requests=min(spare, max(_ROUND_REQUESTS, 3 * course.limit)),
                most_ns=min(most_ns, spare_ns),
                most_schedules=1 if course.shared else None,
            )
            lead_ns = max(lead_ns, 2 * (sender.now_ns() - now_ns))  # to plan takes time, too
            if schedules:
                known.append(_known(left))
                histories = sender.send(schedules, start_ns)
                course.take(schedules, histories)
                if left.limit != course.limit or course.shared:
                    course.hypotheses = left = self._hypotheses(recovery)
                else:
                    left.learn(histories)
            elif most_ns >= spare_ns or spare <= course.limit:
                break
            else:
                most_ns *= 3
        return left

    def _hypotheses(self, recovery: Recovery) -> Hypotheses:
        """Find the limiters that explain everything so far, from the start."""
        sender, course = self._sender, self._course
        keys: list[History] = course.keys
        limits = [course.limit]
        if course.shared:
            keys = [decided([seen for history in course.keys for seen in history])]
            limits.append(course.limit + 1)  # a request before the burst may have counted
        for limit in limits:
            found = Hypotheses(
                recovery._replace(limit=limit),
                self._budget.time_ns,
                _DELAYING if sender.delaying else FAMILIES,
                scattered=sender.reconnecting and not course.shared,
            )
            found.learn(keys)
            if found.boxes:
                course.limit = limit
                break
        return found


def _soon(recovery: Recovery) -> bool:
    """Tell if it admitted again before it had denied for as long as it took to fill."""
    filling_ns = recovery.filled_ns - recovery.begun_ns
    return recovery.denied_ns - recovery.filled_ns < filling_ns + _SOON_NS


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
