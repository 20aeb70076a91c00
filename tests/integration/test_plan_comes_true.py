"""A plan's words come true behind a real nginx, which `.ci/run` has installed."""

import pytest
from planning.nginx import POLICIES, run


@pytest.mark.slow
@pytest.mark.parametrize("policy", [POLICIES[0], POLICIES[1]])
def test_the_rejections_of_a_server_lie_within_the_bounds_of_its_plan(policy):
    """Two of the runs of `benchmarks/plan.py`."""
    found = run(policy, seed=7)
    assert found.true, str(found)
    assert found.least > 0, str(found)
