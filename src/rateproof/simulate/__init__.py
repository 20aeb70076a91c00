"""Simulate: what would real clients do, and what exactly did they see?

A `Scenario` says who the clients are, how each behaves and for how long; a
transport runs it and returns the `EventLog`; a `Summary` holds its figures.
"""

from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.summary import Summary
from rateproof.simulate.target import Target

__all__ = ["Group", "Scenario", "Summary", "Target"]
