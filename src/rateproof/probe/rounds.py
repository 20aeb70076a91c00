"""Rounds: schedules that are sent at once, each on a fresh key, and what they say of the limiter."""

from collections.abc import Sequence

from rateproof.probe.budget import Spending
from rateproof.probe.course import Course
from rateproof.probe.families import LAST
from rateproof.probe.family import LimiterFamily
from rateproof.probe.inference import Hypotheses, Kind, Recovery
from rateproof.probe.seen import History, Seen, Steps, volleys
from rateproof.probe.sending import Sender
from rateproof.probe.standing_keys import LATE, always
from rateproof.units import SECOND_NS

LEAD_NS = 150_000_000
LEAST_ROUND_NS = 3 * SECOND_NS // 2
NEARLY = 1.25
"""Between the bounds of a window for which keys are sent that every name has to stand."""
_GUESSED, _GUESSED_EACH = 100, 24  # requests of a round for a guess, and for each of the limit
_WHOLE = 2  # windows after which a count that all share is whole


class Rounds:
    """The rounds of a probe.

    Attributes:
        recovery: the same, with what a key was seen to save.
        standing: the limiter for which each of the keys was sent that every name has to stand.
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

    def send(self, schedules: Sequence[Steps], start_ns: int, window_ns: int) -> list[list[Seen]]:
        """Send all at once; where keys share one count, one after the other, and idle before each."""
        sender, course = self.sender, self.course
        if not course.shared:
            histories = sender.send(schedules, start_ns)
            course.take(schedules, histories)
            return histories
        histories = []
        for number, steps in enumerate(schedules):
            start_ns = max(start_ns, sender.now_ns() + LEAD_NS) + _WHOLE * window_ns
            if start_ns + steps[-1][0] > self.spending.end_ns:
                break
            histories += sender.send([steps], start_ns)
            course.take([steps], histories[number:])
        return histories

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

    def _joint(self) -> History:
        """All keys as one: they share a count."""
        return volleys([seen for history in self.course.keys for seen in history])


def serves(sent: Kind, kind: Kind) -> bool:
    """Tell if keys that were sent for one limiter say as much of another."""
    return (
        sent.limit == kind.limit
        and 87 * kind.middle_ns < 100 * sent.whole_ns < 125 * kind.middle_ns
    )


def known_of(left: Hypotheses) -> list[tuple[str, int, int, int]]:
    """A summary for comparison: rounds that change nothing are not worth going on."""
    return [(kind.family.name, *kind[1:4]) for kind in left.kinds()]
