"""Distances of a sample from its closed form, and verdicts of logs at random."""

import math
from collections.abc import Callable, Sequence

import pytest

from rateproof.events import judged, pieces, splitter
from rateproof.prove.trial import Trial

KolmogorovSmirnov = Callable[[Sequence[float], Callable[[float], float]], float]


@pytest.fixture(scope="session")
def kolmogorov_smirnov() -> KolmogorovSmirnov:
    """sqrt(n) * sup |F_n - F|, F_n taken on both sides of each of its steps.

    Above 1.628 with a probability of 1 % (Kolmogorov 1933, Smirnov 1948).
    """

    def distance(sample: Sequence[float], cdf: Callable[[float], float]) -> float:
        n = len(sample)
        most = 0.0
        for index, value in enumerate(sorted(sample)):
            expected = cdf(value)
            most = max(most, (index + 1) / n - expected, expected - index / n)
        return math.sqrt(n) * most

    return distance


@pytest.fixture
def without_power(monkeypatch: pytest.MonkeyPatch) -> None:
    """To ask what a log could have shown takes as long as to judge it, and calls nobody violated."""
    monkeypatch.setattr(Trial, "sensitivity", lambda *_, **__: ())


@pytest.fixture
def every_log_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only long logs are judged in pieces, and times and numbers at random are impossible."""
    monkeypatch.setattr(judged, "LONG", 0)
    monkeypatch.setattr(splitter, "refuse_impossible", lambda *_, **__: None)
    monkeypatch.setattr(splitter, "refuse_repeated_apart", lambda *_: None)
    monkeypatch.setattr(pieces, "refuse_equal_rows", lambda *_: None)
