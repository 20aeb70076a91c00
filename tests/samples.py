"""Samples: a quick run tries a part of what a long one tries in full."""

import os
from collections.abc import Iterable
from typing import Any

import pytest

TIMES = int(os.environ.get("SAMPLES", "1"))


def samples(count: int) -> int:
    """Examples to draw where a quick run draws `count`; SAMPLES says how many times as many."""
    return count * TIMES


def quick_first(cases: Iterable[Any], quick: int = 1) -> list[Any]:
    """Cases of one claim for `parametrize`: the first few are quick, the others slow tests."""
    given = [case if isinstance(case, tuple) else (case,) for case in cases]
    marks = [() if number < quick else pytest.mark.slow for number in range(len(given))]
    return [pytest.param(*case, marks=each) for case, each in zip(given, marks, strict=True)]
