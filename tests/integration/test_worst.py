"""The worst of real servers that are wrong in one way each: found in 40 s, and nothing else."""

import threading
import time
from pathlib import Path

import pytest

from rateproof.hunt import settings as hunt_settings
from rateproof.hunt.rig import Rig
from rateproof.hunt.worst.growth import CONSTANT
from rateproof.hunt.worst.search import find_worst
from rateproof.policy import Policy
from rateproof.simulate.transports import named
from rateproof.units import SECOND_NS

SERVER = Path(__file__).parent / "growing_server.py"

pytestmark = [pytest.mark.slow, pytest.mark.alone]


@pytest.fixture
def worst_of(spawn, free_port, wait_for_port):
    def start(way):
        wait_for_port(free_port, spawn(SERVER, free_port, way))
        url, policy = f"http://127.0.0.1:{free_port}", Policy.parse("5 per 1s")
        settings = hunt_settings.TestSettings.told(url=url, policy=policy)
        rig = Rig(settings, named("native"), threading.Event())
        return lambda: find_worst(rig, policy.quotas[0], [], time.monotonic_ns() + 40 * SECOND_NS)

    return start


def test_nothing_is_found_of_an_exact_limiter(worst_of):
    assert worst_of("exact")() is None


@pytest.mark.parametrize(
    ("way", "most", "growth"),
    [
        ("clock", 10, ""),
        ("workers", 20, CONSTANT),
        ("connections", 160, "proportional to connections, as far as tried (32)"),
        ("forgets", 25, "5 more for each 20 other clients, as far as tried (80)"),
    ],
)
def test_the_worst_of_each_is_found(worst_of, way, most, growth):
    """Of windows on the clock, whose edges fall anywhere, nothing need be said.

    On a busy machine too little comes through within a second: then it is looked for again.
    """
    told = (most, growth), (most, CONSTANT if way == "clock" else growth)
    find = worst_of(way)
    worst = [find()]
    while (worst[-1].certain, worst[-1].growth) not in told and len(worst) < 4:
        worst.append(find())
    assert (worst[-1].certain, worst[-1].growth) in told, worst
    assert max(each.certain for each in worst) == most
