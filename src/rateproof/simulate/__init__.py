"""Simulate: what would real clients do, and what exactly did they see?

A `Scenario` says who the clients are, how each behaves and for how long; a
transport runs it and returns the `EventLog`; a `Summary` holds its figures.
"""

from rateproof.simulate.behaviour import Behaviour
from rateproof.simulate.behaviours import BEHAVIOURS, make_behaviour
from rateproof.simulate.scenario import MAX_CLIENTS, Group, Scenario, fresh_seed
from rateproof.simulate.summary import Summary
from rateproof.simulate.target import Target

__all__ = [
    "BEHAVIOURS",
    "MAX_CLIENTS",
    "Behaviour",
    "Group",
    "Scenario",
    "Summary",
    "Target",
    "fresh_seed",
    "make_behaviour",
]
