"""Claims about what behaviours take: every parameter has bounds, a default and a meaning."""

from dataclasses import fields
from typing import Any

import pytest

from rateproof.errors import InvalidArgument
from rateproof.simulate.behaviours import BEHAVIOURS, behaviour_named
from rateproof.simulate.programs.arrivals import INTERVALS
from rateproof.simulate.programs.parameters import parameters_of


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_every_parameter_has_bounds_a_default_within_them_and_a_meaning(name: str) -> None:
    parameters = parameters_of(BEHAVIOURS[name])
    kind: Any = BEHAVIOURS[name]
    assert [each.name for each in parameters] == [each.name for each in fields(kind)]
    for each in parameters:
        each.bounds.check(each.name, each.default)
        assert each.doc.endswith((".", ";")), each
        assert each.name.endswith("_ns") == (each.bounds.kind == "duration")


def test_every_distribution_says_what_it_takes_and_what_it_must_be_given() -> None:
    for kind in INTERVALS.values():
        assert all(each.doc and each.default is None for each in parameters_of(kind))


def test_an_unknown_behaviour_is_refused_with_the_names() -> None:
    with pytest.raises(InvalidArgument, match="unknown behaviour"):
        behaviour_named("thnik")
