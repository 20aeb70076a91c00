"""Scenario files that a test writes, and their schema."""

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from rateproof.errors import InvalidArgument
from rateproof.simulate import scenario_file
from rateproof.simulate.scenario import Scenario
from rateproof.simulate.scenario_file import ScenarioFile, load

SCHEMA = json.loads(
    Path(scenario_file.__file__).parent.with_name("scenario.schema.json").read_text()
)
ONE = "[[clients]]\n"


class Files:
    """Writes scenario files into a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "scenario.toml"

    def load(self, text: str) -> ScenarioFile:
        self.path.write_text(textwrap.dedent(text), encoding="utf-8")
        return load(self.path)

    def scenario(self, text: str, **overrides: Any) -> Scenario:
        return self.load(text).scenario(**overrides)

    def errors(self, text: str) -> list[str]:
        with pytest.raises(InvalidArgument) as caught:
            self.load(text)
        first, *errors = caught.value.message.splitlines()
        assert str(self.path) in first
        return [error.strip() for error in errors]
