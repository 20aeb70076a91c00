"""What tests of real servers share: stores of their own, and processes that lack a package."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rateproof.enforce.stores.location import remove

_HIDING = """
import sys

class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hiding())
"""


@pytest.fixture
def store() -> Iterator[str]:
    """A store that no other test uses, removed afterwards."""
    name = f"test-{uuid.uuid4().hex}"
    yield f"shm://{name}"
    remove(name)


@pytest.fixture
def hide(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """The environment variables of a Python process that cannot import some packages."""

    def environment(*names: str) -> dict[str, str]:
        (tmp_path / "sitecustomize.py").write_text(_HIDING.format(names=set(names)))
        others = os.environ.get("PYTHONPATH", "")
        return {"PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path), others]))}

    return environment
