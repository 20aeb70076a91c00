"""What counts as evidence for a name, and what does not."""

import pytest

from rateproof.probe.confirmation import (
    EDGES,
    EXCLUDING,
    PREDICTIONS,
    Confirmation,
    always,
    count_predictions,
)
from rateproof.probe.families import FAMILIES
from rateproof.probe.family import explains
from rateproof.probe.inference import Kind
from rateproof.probe.seen import Box, Seen, condensed

MS, S = 1_000_000, 1_000_000_000
BEGIN_NS = 10**15
OF = {family.name: family for family in FAMILIES}
LOG, FIRST_HIT = OF["sliding-log"], OF["first-hit-window"]
KIND = Kind(LOG, 5, S, S, [Box(5, S, S)])


def _seen(*rows):
    """(ms, admitted, denied), decided within 5 ms."""
    return [
        Seen(BEGIN_NS + ms * MS, BEGIN_NS + (ms + 5) * MS, admitted, denied)
        for ms, admitted, denied in rows
    ]


def test_admissions_of_fewer_than_the_limit_are_no_predictions():
    proof = Confirmation((LOG, 5))
    count_predictions(proof, KIND, [_seen((0, 1, 0), (300, 3, 0), (600, 1, 0))])
    assert (proof.true, proof.keys) == (0, 0)


def test_a_denial_and_what_comes_back_are_predictions():
    proof = Confirmation((LOG, 5))
    count_predictions(proof, KIND, [_seen((0, 5, 0), (900, 0, 1), (1100, 5, 0))])
    assert (proof.true, proof.keys) == (2, 1)


def test_no_name_before_the_keys_that_every_name_has_to_stand():
    proof = Confirmation((LOG, 5), true=PREDICTIONS, excluded={FIRST_HIT: EXCLUDING})
    assert not proof.done
    proof.stood = True
    assert proof.done


def test_a_rival_that_too_few_keys_exclude_forbids_the_name():
    proof = Confirmation((LOG, 5), PREDICTIONS, excluded={FIRST_HIT: EXCLUDING - 1}, stood=True)
    assert not proof.done


@pytest.mark.parametrize(
    "name",
    ["sliding-log", "first-hit-window", "windows that follow each other from the first request"],
)
def test_a_volley_that_outlasts_the_window_does_not_hide_later_denials(name):
    volley = Seen(BEGIN_NS, BEGIN_NS + 20 * MS, 84, 4)
    later = Seen(BEGIN_NS + 40 * MS, BEGIN_NS + 60 * MS, 7, 87)
    short = Box(84, 4 * MS, 5 * MS)
    assert not explains(OF[name], short, [[volley, later]])
    assert explains(OF[name], short, [[volley]])


@pytest.mark.parametrize("name", ["blocks of 1/4", "fixed-window"])
def test_a_clock_is_named_when_its_edges_were_foretold(name):
    """A log is like blocks of some phase, as long as nobody looks closely when a key comes back."""
    proof = Confirmation((OF[name], 5), PREDICTIONS, stood=True)
    assert not proof.done
    proof.edges = EDGES
    assert proof.done


def test_an_edge_is_a_denial_and_an_admission_close_to_each_other():
    window = Box(5, S, S, BEGIN_NS + 700 * MS, BEGIN_NS + 700 * MS)
    kind = Kind(OF["fixed-window"], 5, S, S, [window])
    proof = Confirmation((kind.family, 5))
    count_predictions(proof, kind, [_seen((0, 5, 0), (400, 0, 1), (900, 1, 0))])
    assert proof.edges == 0
    count_predictions(proof, kind, [_seen((0, 5, 0), (680, 0, 1), (710, 1, 0))])
    assert proof.edges == 1


def test_answers_that_are_alike_are_joined_and_no_others():
    history = _seen(*((10 * n, 1, 0) for n in range(40)), *((400 + 10 * n, 0, 1) for n in range(8)))
    joined = condensed(history, 8)
    assert sum(seen.admitted for seen in joined) == 40
    assert sum(seen.denied for seen in joined) == 8
    assert not any(seen.admitted and seen.denied for seen in joined)
    assert len(joined) <= 12
    assert joined[0].sent_ns == history[0].sent_ns
    assert joined[-1].received_ns == history[-1].received_ns


def test_among_the_keys_are_20_denials_in_a_row_three_fillings_and_one_request_alone():
    busy, late = always(KIND)
    assert [count for _, count in busy] == [5, 10, 10, 5, 5]
    assert late[0] == (0, 1)
    assert late[1][0] > S
