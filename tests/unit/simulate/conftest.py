"""Scenario files for the tests of the simulator."""

from pathlib import Path

import pytest

from tests.scenario_files import Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)
