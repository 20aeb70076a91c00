"""What is told of an iteration fits the line: 90 characters in the file, a terminal's in a terminal."""

from pathlib import Path

import pytest

from rateproof.errors import CannotWrite
from rateproof.hunt.report.text import NAME, SummaryFile, describe


@pytest.mark.parametrize(("width", "fits"), [(None, 90), (80, 80), (40, 40), (200, 200)])
def test_sentences_are_wrapped_at_words_and_drawings_are_narrow_enough(
    log_of, iteration_of, width, fits
):
    log = log_of(*(number / 100 for number in range(6)))
    iteration = iteration_of(log)
    text = describe(iteration, Path("log"), width)
    verdict = text.partition("verdict ")[2].splitlines()
    drawn = [line for line in verdict if line.lstrip().startswith("#")]
    assert max(map(len, verdict)) <= fits
    assert len(drawn) == 6
    assert all(line.endswith(("|", "]")) for line in drawn)
    said = iteration.verdict.describe(width=28).split()
    assert {word for word in text.partition("verdict ")[2].split() if word.isalpha()} <= {
        *said,
        "log",
    }


def test_names_are_one_line_without_commands_to_the_terminal(log_of, iteration_of, tmp_path):
    folder = tmp_path / "a\x1b[31m\nb\udcff"
    iteration = iteration_of(log_of(0.0))
    assert describe(iteration, folder / "log").endswith(r"a\x1b[31m\nb\xff/log")
    (folder / NAME).mkdir(parents=True)
    with pytest.raises(CannotWrite) as caught:
        SummaryFile(folder)
    assert rf"a\x1b[31m\nb\xff/{NAME}: not a regular file" in str(caught.value)
