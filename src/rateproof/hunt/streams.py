"""Randomness that a seed reproduces: a stream of its own for each number and purpose."""

import math
from random import Random

__all__ = ["log_uniform", "stream"]


def stream(seed: int, number: int, purpose: str) -> Random:
    """A generator that depends on these three and nothing else."""
    return Random(f"{seed}/{number}/{purpose}")  # noqa: S311  reproducible, not secret


def log_uniform(rng: Random, low: float, high: float) -> float:
    """From low to high, each order of magnitude as likely as the next."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))
