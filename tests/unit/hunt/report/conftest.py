"""Logs and iterations to report on."""

from types import SimpleNamespace
from typing import NamedTuple

import pytest

from rateproof.events import Event, EventLog
from rateproof.hunt.report.subject import Subject
from rateproof.policy import Policy
from rateproof.prove import judge
from rateproof.simulate.summary import Summary

SECOND = 1_000_000_000
POLICY = Policy.parse("5 per 5s")


@pytest.fixture
def log_of():
    """A log of one key's requests at some seconds; the last of them are rejected, or lost."""

    def make(*at_s, key=b"a", rejected=(), lost=(), error="timeout", log=None):
        log = EventLog({"fresh_keys": True, "valid": True}) if log is None else log
        steps = [
            *((s, 200) for s in at_s),
            *((s, 429) for s in rejected),
            *((s, None) for s in lost),
        ]
        for second, status in sorted(steps, key=lambda step: step[0]):
            sent_ns = round(second * SECOND)
            log.append(
                Event(
                    key=key,
                    sequence=len(log) + 1,
                    sent_ns=sent_ns,
                    received_ns=None if status is None else sent_ns + 1_000_000,
                    done_ns=sent_ns + 1_000_000,
                    status=status,
                    outcome={200: "admitted", 429: "rejected", None: "unknown"}[status],
                    error=error if status is None else None,
                )
            )
        return log

    return make


@pytest.fixture
def subject():
    return Subject(verb="test", target="http://127.0.0.1:1/", policy="5 per 5s", key="ip", seed=7)


class Drawn(NamedTuple):
    """Requests of an iteration, as far as reports tell them."""

    iteration: int
    attacks: tuple = ()
    brief: str = "steady"

    def __str__(self):
        return "steady"


@pytest.fixture
def iteration_of():
    """The verdict on a log, as far as reports look at it."""

    def make(log, number=1, *, stopped=False, crashes=(), nemesis=()):
        counts = {"server died": len(crashes)} if crashes else {}
        return SimpleNamespace(
            draw=Drawn(number),
            log=log,
            summary=Summary.of(log),
            crashes=crashes,
            crash_counts=counts,
            nemesis=nemesis,
            verdict=judge(log, POLICY),
            elapsed_s=1.0,
            stopped=stopped,
            to_json=dict,
        )

    return make
