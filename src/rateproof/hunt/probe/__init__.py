"""Inference of the policy that a black box enforces."""

from rateproof.hunt.probe.finding import Finding
from rateproof.hunt.probe.report import describe, to_json
from rateproof.hunt.probe.run import ProbeSettings, probe, run_probe

__all__ = ["Finding", "ProbeSettings", "describe", "probe", "run_probe", "to_json"]
