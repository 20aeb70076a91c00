"""Infer the policy that a black box enforces.

Read in this order:

    probing        what was asked for, from the first request to what is printed
    investigation  one key filled, then round after round on fresh ones; budget: what they may take
    limit_search   the first key; several: many counters behind one address; queue_rate: delays
    rounds         schedules sent at once; course: all that was sent and seen
    families/      the limiters that it knows, an automaton each over what was seen
    inference      what is still possible: boxes of parameters, refuted and halved
    refutation     rounds on what is left; plan: the schedules that tell most about it
    confirming     rounds of predictions; predicting and standing_keys: their keys
    confirmation   the proof of a name; variation: what would look the same
    last_look      families that are looked at only where nothing else explains everything;
                   followed: keys that are asked as their answers come
    identity       what is in the limiter's key
    finding        what came out; page and plain_data: how it is told
"""

from rateproof.probe.finding import Finding
from rateproof.probe.page import describe
from rateproof.probe.plain_data import to_json
from rateproof.probe.probing import ProbeSettings, probe, run_probe

__all__ = ["Finding", "ProbeSettings", "describe", "probe", "run_probe", "to_json"]
