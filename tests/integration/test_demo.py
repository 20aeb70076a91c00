"""The demo comes out as it promises."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_demo_finds_ours_consistent_and_the_leaky_one_violated(spawn):
    process = spawn("scripts/demo.py")
    output, errors = process.communicate(timeout=280)
    assert process.returncode == 0, output + errors
    assert output.index("\nCONSISTENT: ") < output.index("\nVIOLATED: ")
    assert "the policy allows 5" in output + errors
    assert " core" in output.splitlines()[0]
    *_, ours, theirs = output.splitlines()
    pages = [ROOT / line.split()[1] for line in (ours, theirs)]
    assert pages[0] != pages[1]
    assert "CONSISTENT: " in pages[0].read_text()
    assert "VIOLATED: " in pages[1].read_text()
