"""The Python examples in the README and in docs/ run as they stand."""

import re
from pathlib import Path

import pytest

from rateproof.enforce.stores import remove

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(compile(block, page.name, "exec"), {"__name__": "__main__"})
    for name in re.findall(r"shm://([A-Za-z0-9._-]+)", page.read_text()):
        remove(name)
