"""Rounds that are cut short, and keys that go on in the next one."""

from itertools import pairwise

import pytest
from proving.simulated import LIMITERS
from proving.simulated_sender import SimulatedSender

from rateproof.probe.budget import Budget, Spending
from rateproof.probe.course import Course, Round
from rateproof.probe.families import FAMILIES
from rateproof.probe.inference import Kind, Recovery
from rateproof.probe.rounds import Going, Rounds
from rateproof.probe.seen import Box, Onward, Seen, seen_before, volleys
from rateproof.probe.standing_keys import measuring, onward, returns
from rateproof.simulate.behaviours.schedule import Schedule

MS, S = 1_000_000, 1_000_000_000
BEGIN_NS, WIDTH_NS = 10**15, 4 * MS
OF = {family.name: family for family in FAMILIES}
LONG = ((0, 5), (9 * S, 6), (25 * S, 6))


def _rounds(name="sliding-log", limit=5, window_ns=10 * S):
    sender = SimulatedSender(LIMITERS[name](limit, window_ns, BEGIN_NS), 1, begin_ns=BEGIN_NS)
    course = Course(limit=limit)
    recovery = Recovery(limit, BEGIN_NS, BEGIN_NS, BEGIN_NS + 9 * S, BEGIN_NS + 11 * S)
    return Rounds(sender, course, Spending(sender, Budget()), FAMILIES, recovery)


def _kind(name, limit=5, window_ns=10 * S):
    box = Box(limit, window_ns - window_ns // 1000, window_ns + window_ns // 1000)
    if OF[name].other == "phase":
        box = box._replace(other_low_ns=BEGIN_NS - MS, other_high_ns=BEGIN_NS + MS)
    return Kind(OF[name], limit, box.low_ns, box.high_ns, [box])


def test_what_comes_later_than_a_round_goes_on_in_the_next_on_the_same_key():
    rounds = _rounds()
    rounds.send([LONG, ((0, 2),)], BEGIN_NS, 0, 12 * S)
    assert rounds.sender.now_ns() < BEGIN_NS + 12 * S
    (going,) = rounds.going
    start_ns = BEGIN_NS + 13 * S
    steps = going.onward(start_ns)
    assert (*steps,) == ((12 * S, 6),)  # 25 s after the first round began
    (key, other) = rounds.send([steps, ((0, 5),)], start_ns, 0)
    assert [seen.admitted for seen in key] == [5, 0, 5]
    assert [seen.admitted for seen in other] == [5]
    assert rounds.going == []
    assert rounds.course.rounds[0].steps == LONG
    assert rounds.course.rounds[0].admitted == (5, 0, 5)
    assert [len(history) for history in rounds.course.keys] == [3, 1, 1]
    assert rounds.sender.requests == 5 + 6 + 6 + 2 + 5


def test_steps_that_are_close_to_the_end_of_a_round_belong_to_it():
    """Between two rounds there is time to plan the second."""
    rounds = _rounds()
    steps = ((0, 5), (12 * S, 1), (12 * S + S // 2, 1), (20 * S, 1))
    rounds.send([steps], BEGIN_NS, 0, 12 * S - S // 2)
    assert [each.later for each in rounds.going] == [((BEGIN_NS + 20 * S, 1),)]


def test_only_keys_that_every_name_has_to_stand_go_on_once_a_candidate_is_refuted():
    rounds = _rounds()
    rounds.stand([(0, LONG)], _kind("sliding-log"))
    rounds.send([LONG, LONG[:1] + LONG[2:]], BEGIN_NS, 0, 12 * S)
    assert [each.stands for each in rounds.going] == [True, False]
    rounds.drop()
    assert [each.stands for each in rounds.going] == [True]
    start_ns = BEGIN_NS + 13 * S
    rounds.send([rounds.going[0].onward(start_ns)], start_ns, 0, 1)  # and it is not its turn yet
    assert [each.stands for each in rounds.going] == [True]


def test_what_is_late_is_asked_at_once_and_together():
    going = Going([], ((BEGIN_NS, 1), (BEGIN_NS + S, 2), (BEGIN_NS + 5 * S, 3)), stands=True)
    steps = going.onward(BEGIN_NS + 2 * S)
    assert (*steps,) == ((0, 3), (3 * S, 3))
    Schedule(steps)  # raises where instants are equal


def test_steps_on_a_key_are_equal_to_no_others():
    """Two keys of a clock are asked at the same instants, and so is a fresh one."""
    one, other = Onward(LONG, [Seen(0, 1, 5, 1)]), Onward(LONG, [Seen(0, 1, 5, 1)])
    assert one != LONG
    assert one != other
    assert len({one, other, LONG}) == 3
    assert seen_before(LONG) == ()


@pytest.mark.parametrize("name", ["sliding-log", "first-hit-window", "fixed-window"])
def test_a_key_that_is_full_is_asked_just_before_and_after_it_is_back(name):
    kind, rounds = _kind(name), _rounds(name)
    (key,) = rounds.send([((3 * S, 5), (6 * S, 5))], BEGIN_NS, 0)
    start_ns = BEGIN_NS + 8 * S
    back_ns = (3 if name != "fixed-window" else 0) * S + 2 * S  # in so long
    asked = [*onward(kind, key, start_ns, WIDTH_NS)]
    assert asked
    for steps in asked:
        assert seen_before(steps) is key
        assert 0 < steps[0][0] < back_ns < steps[-1][0] < back_ns + S
        assert all(one < two for (one, _), (two, _) in pairwise(steps))
    assert not [*onward(kind, key, start_ns + 6 * S, WIDTH_NS)]  # it is back by then
    assert not [*onward(kind, key[:1], BEGIN_NS + 20 * S, WIDTH_NS)]


def test_a_key_of_which_answers_are_missing_is_asked_no_more():
    rounds = _rounds()
    rounds.send([((0, 5), (5 * S, 1)), ((0, 6),)], BEGIN_NS, 0)
    assert len(rounds.known(_kind("sliding-log"))) == 2
    rounds.course.planned[0].pop()
    assert rounds.known(_kind("sliding-log")) == [rounds.course.planned[1]]


def test_keys_that_are_full_are_measured_before_others_are_filled():
    boxes = [Box(5, each * S // 10, each * S // 10 + MS) for each in range(95, 106)]
    kind = Kind(OF["sliding-log"], 5, boxes[0].low_ns, boxes[-1].high_ns, boxes)
    rounds = _rounds()
    rounds.send([((0, 6),)], BEGIN_NS, 0)
    start_ns = BEGIN_NS + 4 * S
    (fresh,) = measuring(kind, start_ns, WIDTH_NS)
    (steps,) = measuring(kind, start_ns, WIDTH_NS, known=rounds.known(kind))
    assert sum(count for _, count in fresh) == sum(count for _, count in steps) + 5
    low_ns, high_ns = returns(kind, rounds.known(kind)[0], start_ns)
    assert low_ns < steps[0][0] < 6 * S < steps[-1][0] < high_ns
    (again,) = measuring(kind, BEGIN_NS + 30 * S, WIDTH_NS, known=rounds.known(kind))
    assert again[0] == (0, 5)  # it is back by then


def test_a_key_that_is_back_already_is_not_asked_when_it_comes_back():
    """Of a clock in whole seconds an edge is known so closely that the first instants would do."""
    family = OF["first-hit-window, its clock in whole seconds"]
    kind = Kind(family, 5, 60 * S, 60 * S, [Box(5, 60 * S, 60 * S, 0, MS)])
    key = [Seen(BEGIN_NS, BEGIN_NS + 5 * MS, 5, 1)]
    assert [*onward(kind, key, BEGIN_NS + 5 * S, WIDTH_NS)]
    assert not [*onward(kind, key, BEGIN_NS + 70 * S, WIDTH_NS)]


@pytest.mark.parametrize(("idle_ns", "rests"), [(29 * S, True), (32 * S, False)])
def test_the_first_key_is_reused_once_it_was_idle_for_three_windows(idle_ns, rests):
    """Of the window that is to be named: it may be longer than that of a guess for which it was sent."""
    rounds, kind = _rounds(), _kind("sliding-log")
    hit, course = rounds.sender.hitter(fresh=True), rounds.course
    assert rounds.resting(kind) is None
    key = [*volleys(hit(6, BEGIN_NS, 6)), *hit(1, BEGIN_NS + 9 * S, 1)]
    course.keys.append(key)
    course.rounds.append(Round(((0, 6),), (5,)))
    rounds.sender.keep(hit)
    course.keep(key, 0)
    assert course.rounds[0].admitted == (5, 0)
    assert [count for _, count in course.rounds[0].steps] == [6, 1]
    assert rounds.resting(kind) is key
    (known,) = rounds.send([Onward(((0, 7),), key)], BEGIN_NS + 9 * S + idle_ns, 0)
    assert known is key
    assert [(seen.admitted, seen.denied) for seen in key] == [(5, 1), (0, 1), (5, 2)]
    assert (rounds.resting(kind) is key) is rests
