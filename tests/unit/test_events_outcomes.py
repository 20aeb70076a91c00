"""Outcomes that follow from statuses anew: in every row, and nothing else changes."""

import random

import pytest

from rateproof.errors import InvalidArgument
from rateproof.events import (
    REJECTED_STATUSES,
    Event,
    EventLog,
    derived,
    listed,
    noted_statuses,
    outcome_of,
    rejected_statuses,
)

STATUSES = (None, 0, 100, 200, 302, 403, 408, 429, 500, 503, 509, 999)
OUTCOMES = ("admitted", "rejected", "unknown")


def log_of(rng, rows, **metadata):
    log = EventLog(metadata)
    for number in range(rows):
        event = Event(
            key=b"%d" % rng.randrange(3),
            sent_ns=number,
            received_ns=rng.choice((None, number + 5)),
            status=rng.choice(STATUSES),
            outcome=rng.choice(OUTCOMES),
            retry_after_s=rng.choice((None, 1.5)),
        )
        log.append(event)
    return log


@pytest.mark.parametrize("seed", range(30))
def test_every_outcome_follows_from_the_status_and_nothing_else_changes(seed):
    rng = random.Random(seed)
    log = log_of(rng, rng.choice((0, 1, 50)), seed=7)
    before = list(log)
    rejected = frozenset(rng.sample((200, 403, 408, 429, 503, 509), 3))
    told = derived(log, rejected)
    assert len(told) == len(log)
    for was, is_now in zip(before, told, strict=True):
        assert is_now.outcome == outcome_of(was.status, rejected)
        for name in was.__slots__:
            assert name == "outcome" or getattr(is_now, name) == getattr(was, name)
    assert list(log) == before
    assert log.metadata == {"seed": 7}
    assert told.metadata == {"seed": 7, "scenario": {"rejected_statuses": sorted(rejected)}}


def test_what_else_a_scenario_has_stays():
    scenario = {"key": "header:X-Key", "rejected_statuses": [429]}
    log = EventLog({"scenario": scenario})
    told = derived(log, {503, 403})
    assert told.metadata["scenario"] == {"key": "header:X-Key", "rejected_statuses": [403, 503]}
    assert log.metadata["scenario"] == scenario


@pytest.mark.parametrize(
    ("metadata", "noted"),
    [
        ({}, None),
        ({"scenario": None}, None),
        ({"scenario": "saturate"}, None),
        ({"scenario": {}}, None),
        ({"scenario": {"rejected_statuses": "403"}}, None),
        ({"scenario": {"rejected_statuses": [[403], {}]}}, None),
        ({"scenario": {"rejected_statuses": []}}, frozenset()),
        ({"scenario": {"rejected_statuses": [503, 403]}}, frozenset({403, 503})),
    ],
)
def test_the_statuses_are_those_of_the_scenario(metadata, noted):
    log = EventLog(metadata)
    assert noted_statuses(log.metadata) == noted
    assert rejected_statuses(log) == (REJECTED_STATUSES if noted is None else noted)


def test_statuses_are_listed_as_the_command_line_takes_them():
    assert listed({503, 429}) == "429,503"
    assert listed({403}) == "403"


def test_a_column_of_another_length_is_refused():
    log = log_of(random.Random(0), 3)
    with pytest.raises(InvalidArgument, match="bytes has 0 rows, not 3"):
        log.with_column("bytes", b"")
