"""Scenario files: a scenario as TOML, every mistake named with its line.

The format is described once, in `rateproof.options`; reading and the JSON Schema both
come from there.
"""

from rateproof.simulate.scenario_file.file import ScenarioFile, load
from rateproof.simulate.scenario_file.groups import GroupPlan

__all__ = ["GroupPlan", "ScenarioFile", "load"]
