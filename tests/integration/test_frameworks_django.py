"""Our tester on a Django project that three processes of gunicorn serve."""

import os
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
GUNICORN = (
    f"{sys.executable} -m gunicorn --log-level error --chdir {EXAMPLES} --workers 3"
    " --bind {host}:{port} django_app:application"
)


@pytest.fixture
def test_project(spawn, free_port, tmp_path):
    """Test the example with its admissions kept in a store; the exit code, and the answer."""

    def tested(store, iterations):
        process = spawn(
            *("-m", "rateproof", "test", f"http://127.0.0.1:{free_port}/search"),
            *("--start", GUNICORN, "--key", "header:X-Api-Key", "--out", tmp_path),
            *("--iterations", iterations, "--fail-fast", "--worst-time", 0, "--no-shrink"),
            "--allow-untested",
            env=os.environ | {"STORE": store},
        )
        said, _ = process.communicate(timeout=200)
        return process.returncode, said

    return tested


def test_workers_that_share_a_store_keep_the_promise_together(test_project, store):
    code, said = test_project(store, 1)
    assert (code, "\nCONSISTENT (as far as tried): " in said) == (0, True), said


@pytest.mark.slow
def test_workers_that_count_by_themselves_break_it(test_project):
    code, said = test_project("memory://", 3)
    assert (code, "\nVIOLATED: " in said) == (1, True), said
