"""The command prints what the pages on verdicts and evidence show of it."""

import re
import shlex
from pathlib import Path

import pytest

from rateproof import cli

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "prove").glob("*.md"))


def shown(page):
    """The commands of a page, each with what stands below it."""
    blocks = re.findall(r"```console\n\$ rateproof (.*?)\n(.*?)```", page.read_text(), re.DOTALL)
    return [(shlex.split(command), output) for command, output in blocks]


def pattern(output):
    """A regular expression for what a page shows: a line of [...] stands for some lines."""
    return r"(?:.*\n)+".join(map(re.escape, output.split("[...]\n")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_print_what_it_shows(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    cli.main(
        [
            "check",
            "tests/histories/token-bucket.jsonl",
            "--evidence",
            str(tmp_path / "evidence.json"),
        ]
    )
    for command, output in shown(page):
        capsys.readouterr()
        cli.main([str(tmp_path / word) if word == "evidence.json" else word for word in command])
        printed = capsys.readouterr().out
        assert re.fullmatch(pattern(output), printed), printed


def test_there_are_commands_to_hold_the_pages_to():
    assert sum(len(shown(page)) for page in PAGES) >= 4
