"""The least excess that an access log could have shown, in its own stamps."""

from typing import Final

from rateproof.clock import Tolerance
from rateproof.events import EventLog
from rateproof.policy import Policy
from rateproof.prove.evidence.wording import plain_quota, spaced
from rateproof.prove.over_admission.gaps import Stair

_STEPS: Final = {1_000_000_000: "whole-second stamps", 1_000_000: "whole-millisecond stamps"}


def stamped(log: EventLog, policy: Policy, tolerance: Tolerance) -> list[str]:
    """Return a sentence a quota, for an access log: how close together too many had to be stamped.

    Stamps within T lie T - g apart at most, if g is their step. A request was decided within
    g + r of its stamp, where r is what it may have lasted and what the clock may lag. So all of
    them were certainly decided within T + r.
    """
    told = log.metadata.get("access_log")
    if told is None:
        return []
    step_ns, width_ns = told["step_ns"], told["width_ns"]
    stamps = _STEPS.get(step_ns, f"stamps in steps of {spaced(step_ns)}")
    if told["stamp"] == "start or end":
        stamps += " that may be of a request's start or end"
    lasting = "no longer than half of the requests here"
    if not told["timed"]:
        lasting = f"over {spaced(told['longest_ns'])}"
    sentences = []
    for quota in policy.quotas:
        stair = Stair.of(quota, tolerance)
        within_ns = (stair.span_ns(1) + step_ns - width_ns) // step_ns * step_ns
        which = f"{plain_quota(str(quota))}: with {stamps}, and if "
        which += f"they last {lasting}" if told["timed"] else f"no request lasts {lasting}"
        if within_ns > 0:
            within = f"{stair.size(1):,} stamped within {spaced(within_ns)}"
            sentences.append(f"{which}, {within} would have been proven")
        else:
            sentences.append(f"{which}, no excess in one window could have been proven")
    return sentences
