"""How much a property test draws: little in a quick run, SAMPLES times as much in a long one."""

import os

TIMES = int(os.environ.get("SAMPLES", "1"))


def samples(count: int) -> int:
    """Examples to draw where a quick run draws `count`."""
    return count * TIMES
