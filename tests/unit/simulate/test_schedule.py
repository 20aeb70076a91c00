"""Claims about timetables: their text, and who of a client's connections sends what."""

import contextlib

import pytest

from rateproof.errors import InvalidArgument
from rateproof.events import ADMITTED
from rateproof.policy import Policy
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.programs.program import Reply
from rateproof.simulate.programs.rng import Rng

SECOND = 1_000_000_000
TEXT = "1 at 0 s, 4 at 4.9 s, 2 at 5.1 s"


def instants(schedule: Schedule, connection: int = 0, connections: int = 1) -> list[int]:
    """Times at which a connection sends, with answers that come at once."""
    plan = schedule.program().plan(Rng("1"), connection, connections)
    found: list[int] = []
    with contextlib.suppress(StopIteration):
        found.append(next(plan).intended_ns)
        while True:
            found.append(plan.send(Reply(found[-1], ADMITTED)).intended_ns)
    return found


def test_the_text_is_read_back_however_it_was_written() -> None:
    assert str(Schedule.parse(TEXT)) == TEXT
    assert Schedule.parse("1 AT 0,4 at 4900ms ,2 at  5.1 seconds") == Schedule.parse(TEXT)
    assert Schedule.parse(TEXT).steps == ((0, 1), (4_900_000_000, 4), (5_100_000_000, 2))
    assert str(Schedule(((1, 3),))) == "3 at 0.000000001 s"


def test_one_connection_sends_everything_in_order() -> None:
    assert instants(Schedule(((5, 2), (9, 1)))) == [5, 5, 9]


@pytest.mark.parametrize("connections", [1, 2, 3, 7, 8, 50])
def test_connections_share_each_step_evenly_and_lose_nothing(connections: int) -> None:
    schedule = Schedule(((0, 7), (SECOND, 1), (2 * SECOND, 24)))
    each = [instants(schedule, number, connections) for number in range(connections)]
    for at_ns, requests in schedule.steps:
        shares = [lane.count(at_ns) for lane in each]
        assert sum(shares) == requests
        assert max(shares) - min(shares) <= 1
        assert shares == sorted(shares, reverse=True)


def test_it_attacks_the_edge_of_a_window_that_its_first_request_opens() -> None:
    assert str(Schedule.against(Policy.parse("5 per 5s").quotas[0])) == TEXT
    assert str(Schedule.against(Policy.parse("1 per 1s").quotas[0])) == "1 at 0 s, 2 at 1.02 s"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "'' in ''"),
        ("1 at 0s,", "''"),
        ("five at 0s", "five at 0s"),
        ("1 at soon", "soon"),
        ("1 at 5", "'5'"),
        ("-1 at 0s", "-1 at 0s"),
        ("0 at 0s", "requests of a step: 0"),
        ("1000001 at 0s", "1000001"),
        ("1 at 1s, 1 at 1000ms", "1 s after one at 1 s"),
        ("1 at 2s, 1 at 1s", "1 s after one at 2 s"),
        ("1 at 80 years", "80 years"),
    ],
)
def test_what_is_no_schedule_is_named(text: str, named: str) -> None:
    with pytest.raises(InvalidArgument, match=named):
        Schedule.parse(text)


@pytest.mark.parametrize("steps", [(), ((-1, 1),), ((0, 1.5),), ((0,),), (5,), ((0, True),)])
def test_steps_out_of_bounds_are_refused(steps: object) -> None:
    with pytest.raises(InvalidArgument):
        Schedule(steps)
