"""Hunts against limiters of known truth: ten of each, no false alarm and no false green.

Time is computed, so that neither load nor luck of the machine decides.
"""

import threading

import pytest

from rateproof.hunt import settings as hunt_settings
from rateproof.hunt.hunt import Hunt
from rateproof.hunt.report.totals import Totals
from rateproof.hunt.rig import Rig
from rateproof.policy import Policy
from rateproof.simulate.target import Target
from tests.unit.hunt import simulated
from tests.unit.hunt.simulated import transport

pytestmark = pytest.mark.slow

RUNS, ITERATIONS = 10, 8


@pytest.fixture(autouse=True)
def server_that_is_there(monkeypatch):
    monkeypatch.setattr(Target, "accepts", lambda _: True)


def hunted(limiter, seed, policy):
    """The totals of a hunt that ends with its first violation."""
    settings = hunt_settings.TestSettings.told(
        url="http://127.0.0.1:1", policy=Policy.parse(policy), seed=seed, claim="over-admission"
    )
    hunt = Hunt(Rig(settings, transport(limiter, jitter=400_000), threading.Event()))
    totals = Totals(settings.claims)
    for number in range(1, ITERATIONS + 1):
        totals.add(hunt.iterate(number))
        if totals.verdict == "violated":
            break
    return totals


@pytest.mark.parametrize(
    "name",
    [
        "OnClock",
        "FirstHit",
        "Bucket",
        "SavedPermit",
        "ShortWindow",
        "WholeSeconds",
        "Workers",
        "PerConnection",
        "LetsGo",
        "Unlimited",
        "Forgets",
        "Knows1500",
        "Knows6000",
    ],
)
def test_what_is_wrong_is_found_by_each_of_ten_hunts(name):
    limiter = getattr(simulated, name)
    found = [hunted(limiter(), seed, "5 per 5s").verdict for seed in range(RUNS)]
    assert found == ["violated"] * RUNS


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("Limiter", "5 per 5s"),
        ("Bucket", "token-bucket 5 per 5s"),
        ("OnClock", "fixed-window 5 per 5s"),
        ("FirstHit", "first-hit-window 5 per 5s"),
    ],
)
def test_what_keeps_its_promise_is_consistent_in_each_of_ten_hunts(name, policy):
    limiter = getattr(simulated, name)
    found = [hunted(limiter(), seed, policy).verdict for seed in range(RUNS)]
    assert found == ["consistent"] * RUNS
