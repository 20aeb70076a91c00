"""The recipes for a login are run as the page has them."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/hunt/real-apis.md"
APP = Path(__file__).with_name("login_app.py")


@pytest.fixture
def port(free_port: int, wait_for_port: Callable[..., None]) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, APP, str(free_port)], stderr=subprocess.DEVNULL)
    wait_for_port(free_port, process)
    yield free_port
    process.kill()
    process.wait()


def recipes() -> list[str]:
    section = PAGE.read_text().partition("## A login first")[2]
    return re.findall(r"^```\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_a_login_is_followed_by_a_test_as_it_is_written(
    port: int, tmp_path: Path, number: int
) -> None:
    recipe = recipes()[number].replace("127.0.0.1:8765", f"127.0.0.1:{port}")
    done = subprocess.run(
        ["sh", "-ec", recipe],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert not re.search(r"\b401\b", said), said
    assert "CONSISTENT: " in said


def test_the_page_has_two_recipes() -> None:
    assert [each.count("curl") for each in recipes()] == [1, 1]
