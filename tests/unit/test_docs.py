"""The Python examples in the README and in docs/ run as they stand."""

import os
import re
from pathlib import Path

import pytest

from rateproof.enforce.stores import remove

ROOT = Path(__file__).parents[2]
EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)
SETTINGS = re.compile(r"```toml\n(\[limits\..*?)```", re.DOTALL)
PAGES = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if EXAMPLE.search(path.read_text())
]


def test_a_page_whose_examples_make_a_store_says_how_to_remove_it():
    for page in PAGES:
        text = page.read_text()
        for name in re.findall(r"shm://(docs-[\w-]+)", "".join(EXAMPLE.findall(text))):
            assert re.search(rf"`rateproof store rm ({name}|NAME)`", text), (page, name)


@pytest.mark.alone  # windows of 5 s, by the real clock
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch):
    """In stores of their own: a reader's may hold what he tried a minute ago."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    if settings := SETTINGS.search(page.read_text()):
        (tmp_path / "rateproof.toml").write_text(settings[1])
        monkeypatch.chdir(tmp_path)
    text = re.sub(r"shm://([A-Za-z0-9._-]+)", rf"shm://\1-{os.getpid()}", page.read_text())
    try:
        for block in EXAMPLE.findall(text):
            exec(compile(block, page.name, "exec"), {"__name__": "__main__"})
    finally:
        for name in re.findall(r"shm://([A-Za-z0-9._-]+)", text):
            remove(name)
