"""The course of a probe: what was sent, seen and found."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from rateproof.probe.budget import AT_MOST, Budget, needed
from rateproof.probe.confirmation import Confirmation
from rateproof.probe.inference import Hypotheses
from rateproof.probe.seen import GRANULARITY_NS, History, Seen, Steps
from rateproof.probe.several import Several
from rateproof.units import SECOND_NS

SURPRISES = 2
"""Wrong predictions after which nothing is named."""
_FOLLOWED = 12  # windows in which keys are followed once more
_SPENT = 0.85  # of a budget: more of it would help
_VAGUE = 3  # times the least window, beyond which nothing is known of it


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
        first: the same of the one that was filled at once, if schedules go on with it.
        planned: the same of it, and of those to which schedules were sent.
        begun: of each of them its place in `rounds`, and the instant of its 0.
        shared: fresh identities share one count, so they are no fresh keys.
        held_ns: how long the first key denied at least.
        back_ns: after how long it was admitted again at most; 0 if it was not.
        several: the counters any of which a request may meet, if there are.
        interval_ns: how long an answer takes.
        again_ns: how long the first key denied when it was filled for the second time, about.
        alone: what a fresh key was admitted on one connection before it denied; 0 if it did not.
        connections: on which another one was filled at once, until it denied.
    """

    limit: int = 0
    burst: int = 0
    hypotheses: Hypotheses | None = None
    proof: Confirmation | None = None
    surprises: int = 0
    rounds: list[Round] = dataclasses.field(default_factory=list)
    keys: list[History] = dataclasses.field(default_factory=list)
    first: list[Seen] | None = None
    planned: list[list[Seen]] = dataclasses.field(default_factory=list)
    begun: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    shared: bool = False
    held_ns: int = 0
    back_ns: int = 0
    several: Several | None = None
    interval_ns: int = 2 * GRANULARITY_NS
    again_ns: int = 0
    alone: int = 0
    connections: int = 0

    @property
    def one_counter(self) -> bool:
        """True if no fresh key was ever admitted more at once on many connections than one on a single one."""
        at_once = [key[0].admitted for key in self.keys if key]
        return self.connections > 1 and max(at_once, default=0) <= self.alone

    @property
    def width_ns(self) -> int:
        """The time that all but the slowest volleys took, in ns: an instant of one will be known so closely.

        Of schedules, once some were sent: a key that is asked one by one takes longer.
        """
        return self._slow_ns(10, 2**63)

    @property
    def single_ns(self) -> int:
        """The same of requests that were sent alone."""
        return self._slow_ns(20, 1)

    def _slow_ns(self, part: int, most: int) -> int:
        """The time that all but the slowest of so many parts took, of volleys of so many requests at most; else that of an answer."""
        keys = [key for key in self.planned if key is not self.first] or self.keys
        widths = sorted(
            seen.received_ns - seen.sent_ns
            for key in keys
            for seen in key
            if seen.admitted + seen.denied <= most
        )
        return widths[len(widths) * (part - 1) // part] if widths else self.interval_ns

    def follow(self, key: History) -> None:
        """Note what came of a key that was asked as its answers came."""
        self.keys.append(key)
        self.rounds.append(_asked(key))

    def keep(self, key: list[Seen], row: int) -> None:
        """Note that schedules go on with the first key; `row`: its place in `rounds`."""
        self.rounds[row] = _asked(key)
        self.first = key
        self.planned.append(key)
        self.begun.append((row, key[0].sent_ns))

    def take(
        self,
        schedules: Sequence[Steps],
        histories: Sequence[list[Seen]],
        start_ns: int,
        keys: Sequence[int | None] = (),
    ) -> list[list[Seen]]:
        """Note what came of a round, and what it says of the limit and of the keys; all that is known of each now.

        Args:
            schedules: what was sent.
            histories: what came of it.
            start_ns: when its 0 was.
            keys: of each the place in `planned` of the key that went on; None, and none at all: a fresh one.
        """
        known: list[list[Seen]] = []
        for number, (steps, history) in enumerate(zip(schedules, histories, strict=True)):
            admitted = tuple(seen.admitted for seen in history)
            key = keys[number] if keys else None
            if key is None:
                self.begun.append((len(self.rounds), start_ns))
                self.rounds.append(Round(steps, admitted))
                self.keys.append(history)
                self.planned.append(history)
                known.append(history)
                self.shared |= bool(history) and not history[0].admitted
            else:
                row, begun_ns = self.begun[key]
                later = ((start_ns - begun_ns + at_ns, count) for at_ns, count in steps)
                before = self.rounds[row]
                self.rounds[row] = Round((*before.steps, *later), before.admitted + admitted)
                self.planned[key] += history
                known.append(self.planned[key])
        if not self.shared:
            denying = [key[0].admitted for key in known if key and key[0].denied]
            self.limit = max(1, min([self.limit, *denying]))
        return known


def _asked(key: History) -> Round:
    """The schedule of a key that was asked as its answers came."""
    steps = [(seen.sent_ns - key[0].sent_ns, seen.admitted + seen.denied) for seen in key]
    return Round(tuple(steps), tuple(seen.admitted for seen in key))


def wanted(course: Course, budget: Budget, spent: Budget) -> Budget:
    """The budget that would tell more: the requests that naming may take at most, the time for the longest window still possible, where it is known at all, and twice what was used up."""
    kinds = course.hypotheses.kinds() if course.hypotheses else []
    whole_ns = (
        min(kind.whole_ns, _VAGUE * kind.least_ns) + max(kind.block_ns, default=0) for kind in kinds
    )
    most = needed(course.limit, max([course.held_ns, *whole_ns]))
    requests = max(AT_MOST * most.requests, budget.requests)
    time_ns = max(most.time_ns, budget.time_ns)
    for kind in kinds[:1]:
        if kind.family.other == "own phase":  # a key is followed for windows once more
            time_ns = max(time_ns, spent.time_ns + _FOLLOWED * kind.whole_ns)
    if not kinds or spent.time_ns > _SPENT * budget.time_ns:
        time_ns = max(time_ns, 2 * budget.time_ns)
    if spent.requests > _SPENT * budget.requests:
        requests = max(requests, 2 * budget.requests)
    if budget.max_rate is not None:
        time_ns = max(time_ns, most.time_ns + int(requests / budget.max_rate * SECOND_NS))
    return Budget(requests, time_ns, budget.max_rate)
