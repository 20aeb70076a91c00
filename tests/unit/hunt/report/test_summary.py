"""What is told of an iteration fits the line: 90 characters in the file, a terminal's in a terminal."""

from pathlib import Path

import pytest

from rateproof.hunt.report.summary import describe


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
