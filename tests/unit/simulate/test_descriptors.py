"""Claims about the machine's limits: raised where allowed, named where not."""

import resource

import pytest

from rateproof.errors import InvalidArgument
from rateproof.simulate.transports.descriptors import ensure_descriptors


@pytest.fixture
def set_limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Pretend limits: the last of the list; raising appends to it."""
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, pair: limits.append(pair))
    return limits


def test_a_limit_that_is_enough_is_left_alone(set_limits: list[tuple[int, int]]) -> None:
    set_limits.append((100_000, 100_000))
    ensure_descriptors(10_000)
    assert set_limits == [(100_000, 100_000)]


def test_a_soft_limit_is_raised_as_far_as_needed(set_limits: list[tuple[int, int]]) -> None:
    set_limits.append((256, 100_000))
    ensure_descriptors(500)
    soft, hard = set_limits[-1]
    assert 500 < soft < 1_500
    assert hard == 100_000


def test_a_hard_limit_that_is_too_small_is_an_error_that_says_what_is_needed(
    set_limits: list[tuple[int, int]],
) -> None:
    set_limits.append((256, 1_024))
    with pytest.raises(InvalidArgument, match=r"5000 connections need \d+ open files") as caught:
        ensure_descriptors(5_000)
    assert "the limit is 1024" in str(caught.value)
    assert "ulimit -n" in str(caught.value)
    assert set_limits == [(256, 1_024)]


def test_an_unlimited_machine_needs_nothing(set_limits: list[tuple[int, int]]) -> None:
    set_limits.append((resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    ensure_descriptors(10_000)
    assert len(set_limits) == 1
