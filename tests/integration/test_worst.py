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
    def find(way):
        wait_for_port(free_port, spawn(SERVER, free_port, way))
        url, policy = f"http://127.0.0.1:{free_port}", Policy.parse("5 per 1s")
        settings = hunt_settings.TestSettings.told(url=url, policy=policy)
        rig = Rig(settings, named("native"), threading.Event())
        return find_worst(rig, policy.quotas[0], [], time.monotonic_ns() + 40 * SECOND_NS)

    return find


def test_nothing_is_found_of_an_exact_limiter(worst_of):
    assert worst_of("exact") is None


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
    """Of windows on the clock, whose edges fall anywhere, nothing need be said."""
    worst = worst_of(way)
    assert worst.certain == most
    assert worst.growth in {growth, CONSTANT if way == "clock" else growth}
