"""The commands in the README and in docs/ are ones that we accept."""

import re
import shlex
from pathlib import Path

import pytest

from rateproof.options.arguments import parse

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = {None: "", "server.py": "serve", "client.py": "simulate", "tester.py": "test"}


def commands():
    """Every command line of ours, and the page it is on."""
    for page in PAGES:
        blocks = re.findall(r"^```\w*\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
        for line in "".join(blocks).replace("\\\n", " ").splitlines():
            match = re.match(r"(?:\$ )?(?:rateproof|python (\w+\.py)) (?=[a-z-])(.*)", line)
            if match and match[1] in PROGRAMS:
                yield f"{PROGRAMS[match[1]]} {match[2]}", page


def words(line):
    """Words before a comment, a pipe or the end of a job in the background."""
    for word in shlex.split(line, comments=True):
        if word in ("|", "&", "&&", ";") or word.startswith((">", "2>")):
            return
        yield word


LINES = dict(commands())


@pytest.mark.parametrize("line", LINES)
def test_each_command_of_a_page_is_accepted(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("keys.txt", "headers.txt"):
        Path(name).write_text("A: b")
    assert parse([*words(line)]).command


def test_the_log_that_a_command_writes_is_judged_by_another():
    for line, page in LINES.items():
        for log in re.findall(r"^ ?simulate .*--log (\S+)", line):
            assert any(re.match(rf" *check {log}\b", other) for other in LINES), (page, log)


def test_many_pages_have_commands():
    assert len({*LINES.values()}) >= 10


def test_the_page_on_other_languages_shows_its_examples():
    page = (ROOT / "docs/hunt/any-language.md").read_text()
    (shown,) = re.findall(r"^```js\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert shown in (ROOT / "examples/express/app.js").read_text()
