"""A failing test of a user says at most 20 lines, and where all of it is."""

from pathlib import Path

import pytest

from rateproof.hunt.recipe import Recipe
from rateproof.hunt.report.totals import Totals
from rateproof.hunt.shrinking.reproduction import Reproduction, Tries
from rateproof.prove import OVER_ADMISSION
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.testing.assertion import Heard

LOG = Path("test_log_1.jsonl")


@pytest.fixture
def failure(subject, log_of, iteration_of, tmp_path):
    """Give the words where so many were admitted at once, and so many schedules were found."""

    def make(admitted, found):
        heard, totals = Heard(tmp_path), Totals()
        heard.begin(subject, totals)
        iteration = iteration_of(log_of(*(n / 100 for n in range(admitted))))
        heard.add(iteration, LOG)
        totals.add(iteration)
        schedule = Recipe(Schedule.parse("6 at 0s"))
        totals.reproductions += found * [
            Reproduction(OVER_ADMISSION, schedule, Tries(3, 3), complete=True, command=["x"])
        ]
        return heard.failure(allow_inconclusive=False).splitlines()

    return make


def test_what_fits_is_said_whole(failure, tmp_path):
    lines = failure(6, 1)
    assert lines[0].startswith("'5 per 5s' at http://127.0.0.1:1/: VIOLATED: 6 let through in 5 s")
    assert any(line.startswith("schedule") for line in lines)
    assert lines[-2:] == [f"log       {LOG}", "seed      7"]
    assert not any(str(tmp_path) in line for line in lines)


@pytest.mark.parametrize(("admitted", "found"), [(6, 3), (6, 9), (300, 0), (300, 9)])
def test_of_what_does_not_fit_20_lines_and_the_place_of_the_rest_stay(
    failure, tmp_path, admitted, found
):
    lines = failure(admitted, found)
    assert len(lines) <= 20
    if found > 2:
        assert len(lines) == 20
        assert lines[-3] == f"more      {tmp_path / 'test_summary.txt'}"
        assert any("window" in line or "#" in line for line in lines)
        assert any(line.startswith("schedule") for line in lines)
    assert lines[-1] == "seed      7"
