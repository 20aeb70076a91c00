"""The demo comes out as it promises."""

import pytest


@pytest.mark.slow
def test_the_demo_finds_ours_consistent_and_the_leaky_one_violated(spawn):
    process = spawn("scripts/demo.py")
    output, errors = process.communicate(timeout=110)
    assert process.returncode == 0, output + errors
    assert output.index("verdict   consistent") < output.index("verdict   violated")
    assert "the policy allows 5" in output + errors
    assert " core" in output.splitlines()[0]
