"""Forgetting: ever more other clients come between two bursts of one, as far as the server answers."""

import pytest

from rateproof.events import Event, EventLog
from rateproof.hunt.exploration.attacks import attack
from rateproof.hunt.exploration.draw import draw
from rateproof.hunt.exploration.forgetting import FIRST_OTHERS, Forgetting
from rateproof.hunt.report.totals import Totals
from rateproof.hunt.rig import keys_of
from rateproof.policy import Policy

MS = 1_000_000
POLICY = Policy.parse("5 per 5s")
SECOND_BURST = 4_500 * MS


def learnt(others, *, intended=FIRST_OTHERS, later="rejected", late=0, lost=0):
    """A run in which so many others were answered between the bursts of two clients."""
    attacks = [
        attack("race", POLICY, 0, 1, starts=(0, 7)),
        attack("forget", POLICY, 0, 500 * MS, starts=(0, 0), others=intended),
    ]
    log = EventLog({"scenario": {"namespace": "n"}})

    def sent(key, at, outcome="admitted"):
        received = None if outcome == "unknown" else at + MS
        status = {"admitted": 200, "rejected": 429, "unknown": None}[outcome]
        log.append(Event(key=key, sent_ns=at, received_ns=received, status=status, outcome=outcome))

    for key in keys_of(log, 4)[2:]:
        for _ in range(5):
            sent(key, 0)
            sent(key, SECOND_BURST, later)
    for number in range(others + late + lost):
        at = 600 * MS if number < others + lost else SECOND_BURST
        lost_one = others <= number < others + lost
        sent(b"other %d" % number, at, "unknown" if lost_one else "admitted")
    forgetting = Forgetting()
    forgetting.learn(attacks, log)
    return forgetting


def test_what_came_between_the_bursts_and_was_answered_counts():
    assert learnt(300, late=50, lost=70).reached == 300


@pytest.mark.parametrize("later", ["admitted", "unknown"])
def test_a_client_who_was_not_denied_afterwards_shows_nothing(later):
    assert learnt(300, later=later).reached == 0


def test_twice_as_many_come_next_as_long_as_the_server_keeps_up():
    assert learnt(FIRST_OTHERS).next == 2 * FIRST_OTHERS
    assert learnt(FIRST_OTHERS // 2).next is None
    assert learnt(200, intended=256).next == 2 * FIRST_OTHERS, "it is no measure of the server"


@pytest.mark.parametrize("seed", range(5))
def test_every_fourth_iteration_after_the_book_doubles_the_others(seed):
    few, _, first = (draw(seed, number, POLICY).attacks[-1] for number in (1, 2, 3))
    assert few.family == first.family == "forget"
    assert few.recipe.other_clients == 256
    assert first.recipe.other_clients == FIRST_OTHERS
    for number in (4, 8, 12):
        (more,) = draw(seed, number, POLICY, others=8_192).attacks
        assert (more.family, more.recipe.other_clients) == ("forget", 8_192)
        assert draw(seed, number, POLICY).attacks[0].family == "race"


def test_the_totals_say_how_far_it_was_tried():
    totals = Totals()
    assert "others " not in totals.describe(), "a log that was judged"
    totals.other_clients = 2_048
    assert "others    tried with up to 2,048 other clients" in totals.describe()
    totals.other_clients = 0
    assert "others    not tried" in totals.describe()
