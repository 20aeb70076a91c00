"""By what a limiter tells clients apart: how often it takes to be sure of it."""

from collections import Counter
from itertools import chain, cycle

import pytest

from rateproof.keyspec import KeySpec
from rateproof.probe.identity import IN_KEY, NOT_IN_KEY, UNTOLD, UNTRIED, dimensions
from rateproof.probe.seen import Seen
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.target import Target

KEY = "query:clientId"
FULL, OTHER, AGAIN = (False, True, False), (False, False), (False, True, True)
"""A client is saturated, the varied request follows, then the client again: who is admitted."""


class Sender:
    """Answers as it is told, then denies everything; of a target that has no second address."""

    def __init__(self, *tries):
        self.scenario = Scenario(
            target=Target.parse("http://192.0.2.1/"),
            groups=(Group(Schedule(((0, 1),))),),
            key=KeySpec.parse(KEY).writable,
        )
        self.requests = 0
        self.statuses = Counter()
        self.missing = ""
        self.answers = chain(chain.from_iterable(tries), cycle([False]))

    def fresh(self, scenario):
        return scenario

    def ask(self, scenario, *, most=1):
        self.requests += most
        self.statuses[404 if self.missing and self.missing in scenario.target.path else 200] += 1
        admitted = next(self.answers)
        return [Seen(0, 1, admitted, not admitted)]


@pytest.mark.parametrize(
    ("limit", "tries", "verdict"),
    [
        (5, [OTHER], NOT_IN_KEY),
        (5, [FULL, FULL], IN_KEY),
        (5, [AGAIN, FULL, FULL], IN_KEY),
        (5, [FULL, OTHER], NOT_IN_KEY),
        (5, [FULL, AGAIN, OTHER], NOT_IN_KEY),
        (5, [FULL, AGAIN, AGAIN], UNTOLD),
        (5, [AGAIN] * 3, UNTOLD),
        (1, [FULL], IN_KEY),
    ],
)
def test_what_is_in_the_key_is_admitted_twice_while_the_client_is_denied(limit, tries, verdict):
    """Something may come back to a full client just before the varied request, but not twice."""
    first, *_ = dimensions(Sender(*tries), limit, 1_000)
    assert (first.name, first.verdict) == (KEY, verdict)


def test_what_the_requests_do_not_suffice_for_is_not_tried():
    tried = {each.name: each.verdict for each in dimensions(Sender(), 5, 3 * 9 + 8)}
    assert tried[KEY] == tried["connection"] == NOT_IN_KEY
    assert set(tried.values()) == {NOT_IN_KEY, UNTRIED}
    assert "address" not in tried, "of another machine than this"


def test_a_path_that_is_not_there_says_nothing_about_the_key():
    """It is answered, so it was not denied; no limiter said so."""
    told = {}
    for missing in ("", "/rateproof-probe"):
        sender = Sender(*[OTHER] * 2, *[FULL] * 2)
        sender.missing = missing
        told[missing] = {each.name: each.verdict for each in dimensions(sender, 5, 1_000)}["path"]
    assert told == {"": IN_KEY, "/rateproof-probe": UNTOLD}
