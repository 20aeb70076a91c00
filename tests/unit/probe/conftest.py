"""Limiters that decide at given instants, and a sender to them with a virtual clock and jitter.

The benchmark has them, written apart from the automata of the probe, which they are to check.
"""

from types import SimpleNamespace

import pytest
from proving import simulated as of
from proving import unlisted
from proving.simulated_sender import SimulatedSender


@pytest.fixture(scope="session")
def simulated() -> SimpleNamespace:
    """The of.LIMITERS, by the name of their family, and what sends to them."""

    def make(name, limit, window_ns, phase_ns=0):
        return of.LIMITERS[name](limit, window_ns, phase_ns)

    return SimpleNamespace(
        make=make,
        blocks=of.blocks,
        rounded_up=unlisted.rounded_up,
        together=of.together,
        several=of.several_counters,
        sliding_log=of.sliding_log,
        Sender=SimulatedSender,
    )
