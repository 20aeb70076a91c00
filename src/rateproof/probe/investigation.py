"""An investigation: a key filled, then rounds that refute, then rounds that confirm.

It does no I/O of its own: whoever sends tells it the time, too.
"""

from collections.abc import Iterable, Sequence

from rateproof.probe.budget import Budget, Spending
from rateproof.probe.confirming import Confirming
from rateproof.probe.course import SURPRISES, Course
from rateproof.probe.families import FAMILIES, LAST
from rateproof.probe.family import LimiterFamily
from rateproof.probe.last_look import LastLook
from rateproof.probe.limit_search import LimitSearch, delays
from rateproof.probe.queue_rate import find_rate
from rateproof.probe.refutation import Refutation
from rateproof.probe.rounds import Rounds
from rateproof.probe.seen import Seen
from rateproof.probe.sending import Sender


def run_course(
    sender: Sender,
    budget: Budget,
    hints_ns: Iterable[int] = (),
    before: Sequence[Seen] = (),
    families: Sequence[LimiterFamily] = (*FAMILIES, *LAST),
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
    spending = Spending(sender, budget)
    search = LimitSearch(sender, course, spending, delays(budget.time_ns, hints_ns))
    recovery = search.find()
    if sender.delaying:
        find_rate(sender, course, spending)
    if course.several or recovery is None or sender.delaying:
        return course
    if not course.shared and (sender.reconnecting or search.soon(recovery)):
        search.scatter()
        if course.several:
            return course
    rounds = Rounds(sender, course, spending, families, recovery)
    refutation, confirming = Refutation(rounds, search.idle), Confirming(rounds)
    course.hypotheses = rounds.hypotheses()
    while course.hypotheses.boxes and course.surprises < SURPRISES:
        refutation.run(course.hypotheses)
        left = course.hypotheses
        # What a key saves is known only after an idle time for which there may be no time.
        if not left.boxes or refutation.saves_more(left) or confirming.run(left):
            break
    if course.surprises >= SURPRISES or not course.hypotheses.boxes:
        course.proof = None
    if not course.hypotheses.boxes and not course.shared:
        search.scatter()  # a key may have filled all counters, and another one some of them
        if not course.several:  # what surprised was foretold of families that explain no more
            course.hypotheses = LastLook(rounds).run(course.hypotheses)
    return course
