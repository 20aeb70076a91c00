"""Claims about what behaviours take: every parameter has bounds, a default and a meaning."""

from dataclasses import MISSING, fields
from typing import Any

import pytest

from rateproof.errors import InvalidArgument
from rateproof.simulate.behaviours import BEHAVIOURS, behaviour_named
from rateproof.simulate.programs.arrivals import INTERVALS
from rateproof.simulate.programs.parameters import kind_of, meanings


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_every_parameter_has_bounds_a_default_within_them_and_a_meaning(name: str) -> None:
    behaviour: Any = BEHAVIOURS[name]
    means = meanings(behaviour)
    assert list(means) == [each.name for each in fields(behaviour)]
    for each in fields(behaviour):
        kind = kind_of(each)
        if kind is not None:
            kind.hold(each.name, each.default)
        assert means[each.name].endswith((".", ";")), each
        assert each.name.endswith("_ns") == (kind is not None and kind.unit == "_ns")


def test_every_distribution_says_what_it_takes_and_what_it_must_be_given() -> None:
    for kind in INTERVALS.values():
        told: Any = kind
        assert all(meanings(kind).values())
        assert list(meanings(kind)) == [each.name for each in fields(told)]
        assert all(each.default is MISSING for each in fields(told))


def test_an_unknown_behaviour_is_refused_with_the_names() -> None:
    with pytest.raises(InvalidArgument, match="unknown behaviour"):
        behaviour_named("thnik")
