"""Infer the policy that a black box enforces.

Read in this order:

    probing       what was asked for, from the first request to what is printed
    course        one key filled, then round after round on fresh ones
    families/     the limiters that it knows, an automaton each over what was seen
    inference     what is still possible: boxes of parameters, refuted and halved
    plan          the schedules that tell most about it
    several       many counters behind one address; identity: what is in the limiter's key
    finding       what is told in the end
"""

from rateproof.probe.finding import Finding, describe, to_json
from rateproof.probe.probing import ProbeSettings, probe, run_probe

__all__ = ["Finding", "ProbeSettings", "describe", "probe", "run_probe", "to_json"]
