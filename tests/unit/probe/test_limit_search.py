"""The first keys of a probe, on a virtual clock."""

from rateproof.probe.budget import Budget, Spending
from rateproof.probe.course import Course
from rateproof.probe.limit_search import LimitSearch

S = 1_000_000_000


def test_a_key_of_which_every_answer_is_lost_tells_nothing_of_counters(simulated):
    """As where an error comes back to all that is sent at once."""
    sender = simulated.Sender(simulated.make("sliding-log", 5, S), 1)
    sender.hitter = lambda **_: lambda *_: []
    course = Course(limit=5, alone=5, held_ns=S)
    LimitSearch(sender, course, Spending(sender, Budget()), [S]).scatter()
    assert course.several is None
