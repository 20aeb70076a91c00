"""Which traffic breaks the limit? Draw scenarios, send them, judge what was seen."""

from rateproof.hunt.exploration.draw import SHAPES, Draw, draw
from rateproof.hunt.session import TestSettings, run_test

__all__ = ["SHAPES", "Draw", "TestSettings", "draw", "run_test"]
