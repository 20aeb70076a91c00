"""The README's Python examples run as they stand."""

import re
from pathlib import Path

from rateproof.enforce.stores import remove

ROOT = Path(__file__).parents[2]


def test_the_examples_in_the_readme_run():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
    remove("my-api")
