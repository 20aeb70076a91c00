"""Which traffic breaks the limit? Draw scenarios, send them, judge what was seen."""

from rateproof.hunt.exploration.draw import SHAPES, Draw, draw
from rateproof.hunt.session import run_test
from rateproof.hunt.settings import TestSettings

__all__ = ["SHAPES", "Draw", "TestSettings", "draw", "run_test"]
