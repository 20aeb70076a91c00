"""Leads: what came close is tried again closer, until it cannot be."""

import pytest

from rateproof.events import Event, EventLog
from rateproof.hunt.exploration.attacks import attack
from rateproof.hunt.exploration.leads import Leads
from rateproof.hunt.rig import keys_of
from rateproof.policy import Policy

SECOND = 1_000_000_000
POLICY = Policy.parse("5 per 5s")


def run(attacks, times):
    """A log in which the n-th client of the attacks was admitted at the n-th list of instants."""
    log = EventLog({"scenario": {"namespace": "n"}})
    keys = keys_of(log, sum(len(each.starts) for each in attacks))
    for key, instants in zip(keys, times, strict=True):
        for at in instants:
            ns = round(at * SECOND)
            log.append(Event(key=key, sent_ns=ns, received_ns=ns, status=200, outcome="admitted"))
    return log


def edged(family="opening", edge=0.1, keys=1):
    return attack(family, POLICY, 0, round(edge * SECOND), starts=(0,) * keys)


def learnt(*runs):
    leads = Leads()
    for attacks, times in runs:
        leads.learn(attacks, run(attacks, times), POLICY)
    return leads


CLOSE, CLOSER = [0, 1, 2, 3, 4, 5.1], [0, 1, 2, 3, 4, 5.02]


def test_the_family_that_came_closest_is_the_best():
    opening, drip = edged(keys=2), edged("drip")
    best = learnt(([opening, drip], [CLOSE, [0], CLOSER])).best()
    assert best.attack == drip
    assert best.margin_ns == 20_000_000
    assert best.closer_ns == 10_000_000


def test_of_several_keys_the_closest_counts():
    assert learnt(([edged(keys=2)], [CLOSE, CLOSER])).best().margin_ns == 20_000_000


def test_what_never_admitted_enough_is_no_lead():
    assert learnt(([edged()], [[0, 1, 2, 3, 4]])).best() is None


def test_what_has_no_edge_to_be_halved_is_no_lead():
    assert learnt(([edged("idle"), edged()], [CLOSER, CLOSE])).best().attack == edged()


def test_what_is_violated_is_no_lead_any_more():
    leads = learnt(([edged()], [CLOSE]), ([edged(edge=0.05)], [[0, 1, 2, 3, 4, 4.5]]))
    assert leads.best() is None


def test_only_a_smaller_distance_replaces_a_lead():
    leads = learnt(([edged()], [CLOSER]), ([edged(edge=0.2)], [CLOSE]))
    assert leads.best().attack == edged()
    leads = learnt(([edged()], [CLOSE]), ([edged(edge=0.05)], [CLOSER]))
    assert leads.best().attack == edged(edge=0.05)


@pytest.mark.parametrize("times", [[0], CLOSE])
def test_a_lead_ends_at_a_millisecond_or_where_it_leads_nowhere(times):
    edge = 0.05 if times == [0] else 0.001
    assert learnt(([edged()], [CLOSE]), ([edged(edge=edge)], [times])).best() is None


def test_halving_ends():
    leads, edge_ns = Leads(), SECOND
    for _ in range(20):
        tried = attack("opening", POLICY, 0, edge_ns)
        times = [[0, 1, 2, 3, 4, 5 + edge_ns / SECOND]]
        leads.learn([tried], run([tried], times), POLICY)
        best = leads.best()
        if best is None:
            break
        assert best.closer_ns < edge_ns
        edge_ns = best.closer_ns
    assert best is None
