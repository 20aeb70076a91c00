"""Inference of the policy that a black box enforces."""

from rateproof.probe.finding import Finding, describe, to_json
from rateproof.probe.probing import ProbeSettings, probe, run_probe

__all__ = ["Finding", "ProbeSettings", "describe", "probe", "run_probe", "to_json"]
