"""Rounds: schedules that are sent at once, each on a key of its own, and what they say of the limiter."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from rateproof.probe.budget import Spending
from rateproof.probe.course import Course
from rateproof.probe.families import LAST
from rateproof.probe.family import LimiterFamily
from rateproof.probe.inference import Hypotheses, Kind, Recovery
from rateproof.probe.seen import History, Onward, Seen, Steps, seen_before, volleys
from rateproof.probe.sending import Sender
from rateproof.probe.standing_keys import LATE, always
from rateproof.units import SECOND_NS

LEAD_NS = 150_000_000
LEAST_ROUND_NS = 3 * SECOND_NS // 2
NEARLY = 1.25
"""Between the bounds of a window for which keys are sent that every name has to stand."""
_GUESSED, _GUESSED_EACH = 100, 24  # requests of a round for a guess, and for each of the limit
_LONG_NS, _CUT = 8 * SECOND_NS, 1.2  # a window, and rounds in windows, for which time is dear
_PLANNING_NS = SECOND_NS  # between two rounds, or less
IDLE = 3  # windows of one key between denials and the next request
_WHOLE = 2  # windows after which a count that all share is whole


class Going(NamedTuple):
    """A key that is to be asked more.

    Args:
        key: all that was seen of it.
        later: instants, in ns, and requests.
        stands: every name has to stand it.
    """

    key: History
    later: Steps
    stands: bool

    def onward(self, start_ns: int) -> Onward:
        """The steps of a round that it is asked; those that are late, at once."""
        asked = Counter[int]()
        for at_ns, count in self.later:
            asked[max(0, at_ns - start_ns)] += count
        return Onward(tuple(asked.items()), self.key)


class Rounds:
    """The rounds of a probe.

    Attributes:
        recovery: the same, with what a key was seen to save.
        standing: the limiter for which each of the keys was sent that every name has to stand.
        going: keys of the last round that are to be asked more.
    """

    def __init__(
        self,
        sender: Sender,
        course: Course,
        spending: Spending,
        families: Sequence[LimiterFamily],
        recovery: Recovery,
    ) -> None:
        self.sender = sender
        self.course = course
        self.spending = spending
        self.recovery = recovery
        self.standing: dict[int, Kind] = {}
        self.going: list[Going] = []
        self._stands: set[Steps] = set()
        self._families = [family for family in families if family not in LAST]
        self._last = [family for family in families if family in LAST]

    def spare(self, share: float) -> int:
        """The requests that are left of a share of what naming the limit takes."""
        return self.spending.spare(share, max(self.course.limit, self.recovery.saved))

    def plenty(self, limit: int) -> bool:
        """Tell if predictions of a limiter may be wrong, and there are requests for those of another."""
        return self.spare(1) > _GUESSED + _GUESSED_EACH * limit

    def more(self) -> bool:
        """Go beyond what naming takes; False if the budget has no more."""
        return self.spending.more(self.course.limit)

    def stand(self, numbered: Iterable[tuple[int, Steps]], kind: Kind) -> None:
        """Note the keys of the next round that every name has to stand, by their places: whatever comes of others, they go on."""
        for number, steps in numbered:
            self.standing[number] = kind
            self._stands.add(steps)

    def drop(self) -> None:
        """Ask no keys more but those that every name has to stand."""
        self.going = [each for each in self.going if each.stands]

    def send(
        self, schedules: Sequence[Steps], start_ns: int, window_ns: int, most_ns: int = 0
    ) -> list[list[Seen]]:
        """Send all at once; where keys share one count, one after the other, and idle before each.

        Args:
            schedules: what to send.
            start_ns: when their 0 is.
            window_ns: how long keys that share a count are idle, twice.
            most_ns: what is later is left to the next round, if there is time between; 0: nothing is.

        Returns:
            All that is known of each key now, what it was asked in earlier rounds too.
        """
        sender, course = self.sender, self.course
        if not course.shared:
            until_ns = _until(schedules, most_ns)
            parts = [tuple(each for each in steps if each[0] <= until_ns) for steps in schedules]
            asked = [steps for steps, part in zip(schedules, parts, strict=True) if part]
            parts = [part for part in parts if part]
            places = {id(key): place for place, key in enumerate(course.planned)}
            keys = [places.get(id(seen_before(steps))) for steps in asked]
            known = course.take(parts, sender.send(parts, start_ns, keys), start_ns, keys)
            key_of = dict(zip(asked, known, strict=True))
            stand = {id(each.key) for each in self.going if each.stands}
            self.going = [
                Going(key, later, id(key) in stand or steps in self._stands)
                for steps in schedules
                if (key := key_of.get(steps, seen_before(steps)))
                if (later := tuple((start_ns + at_ns, n) for at_ns, n in steps if at_ns > until_ns))
            ]
            return known
        histories, self.going = [], []
        for steps in schedules:
            start_ns = max(start_ns, sender.now_ns() + LEAD_NS) + _WHOLE * window_ns
            if start_ns + steps[-1][0] > self.spending.end_ns:
                break
            histories += course.take([steps], sender.send([steps], start_ns), start_ns)
        return histories

    @staticmethod
    def cut_short(window_ns: int) -> int:
        """The length of a round: later requests go on beside the next one where windows are long; 0: none do."""
        return int(_CUT * window_ns) if window_ns > _LONG_NS else 0

    def learn(
        self, left: Hypotheses, histories: Sequence[History], *, careful: int = 0
    ) -> Hypotheses:
        """Refute by what was seen; from the start where the limit turned out to be another."""
        course = self.course
        saved = [seen.admitted for key in histories for seen in key[1:] if seen.denied]
        if course.limit == 1 and max(saved, default=0) > self.recovery.saved:
            self.recovery = self.recovery._replace(saved=max(saved))
        elif left.limit == course.limit:
            keys = [self._joint()] if course.shared else histories
            left.learn(keys, careful=careful, anew=course.shared)
            if left.boxes or not course.shared:
                return left
        course.hypotheses = self.hypotheses()
        return course.hypotheses

    def hypotheses(self) -> Hypotheses:
        """Find the limiters that explain everything so far, from the start."""
        course = self.course
        limits = [
            course.limit,
            course.limit + course.shared,
        ]  # one before the burst may have counted
        for limit in dict.fromkeys(limits):
            found = self._explaining(self.recovery._replace(limit=limit), self._families)
            if found.boxes:
                course.limit = limit
                break
        return found

    def last(self) -> Hypotheses:
        """The limiters that explain so much that they are looked at only where nothing else explains everything."""
        return self._explaining(self.recovery, self._last)

    def _explaining(self, recovery: Recovery, families: Sequence[LimiterFamily]) -> Hypotheses:
        """The limiters of some families that explain everything so far, from the start."""
        found = Hypotheses(
            recovery,
            self.spending.budget.time_ns,
            families,
            interval_ns=self.course.interval_ns,
        )
        found.learn([self._joint()] if self.course.shared else self.course.keys)
        return found

    def to_stand(self, kind: Kind) -> list[tuple[int, Steps]]:
        """The keys that a name has to stand still, with their places in the list of all of them."""
        return [
            (number, steps)
            for number, steps in enumerate(always(kind))
            if (sent := self.standing.get(number)) is None
            or not serves(sent, kind)
            or (number == LATE and sent.family.forgets != kind.family.forgets)
        ]

    def stood(self, kind: Kind) -> bool:
        """Tell if keys that every name has to stand were sent for such a limit and window, as far as it is known."""
        return not self.to_stand(kind)

    def resting(self, kind: Kind) -> History | None:
        """The first key, until it was asked, idle for three windows, for more than it can save; None then, and if keys share one count."""
        key = self.course.first
        if key is None or self.course.shared:
            return None
        reused = any(
            after.sent_ns - before.received_ns >= IDLE * kind.whole_ns
            and after.admitted + after.denied > kind.limit
            for before, after in pairwise(key)
        )
        return None if reused else key

    def known(self, kind: Kind) -> list[History]:
        """The keys of earlier rounds that may be asked more: all answers are known, nothing is to come, and none is to stay idle."""
        course, busy = self.course, {id(self.resting(kind)), *(id(each.key) for each in self.going)}
        return [
            key
            for key, (row, _) in zip(course.planned, course.begun, strict=True)
            if not course.shared
            and id(key) not in busy
            # Of others nobody knows if they are full.
            and sum(seen.admitted + seen.denied for seen in key)
            == sum(count for _, count in course.rounds[row].steps)
        ]

    def _joint(self) -> History:
        """All keys as one: they share a count."""
        return volleys([seen for history in self.course.keys for seen in history])


def _until(schedules: Sequence[Steps], most_ns: int) -> int:
    """The last instant of a round that is cut short, where there is time before the next for planning."""
    instants = sorted({at_ns for steps in schedules for at_ns, _ in steps})
    until_ns = most_ns or instants[-1]
    for at_ns in instants:
        if until_ns < at_ns < until_ns + _PLANNING_NS:
            until_ns = at_ns
    return until_ns


def serves(sent: Kind, kind: Kind) -> bool:
    """Tell if keys that were sent for one limiter say as much of another."""
    return (
        sent.limit == kind.limit
        and 87 * kind.middle_ns < 100 * sent.whole_ns < 125 * kind.middle_ns
    )


def known_of(left: Hypotheses) -> list[tuple[str, int, int, int]]:
    """A summary for comparison: rounds that change nothing are not worth going on."""
    return [(kind.family.name, *kind[1:4]) for kind in left.kinds()]
