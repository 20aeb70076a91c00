"""Admissions of one client: the certain number, and the possible one."""

from dataclasses import dataclass

from rateproof.clock import MILLION, Tolerance
from rateproof.events import EventLog
from rateproof.policy import Quota
from rateproof.prove.keys import observe
from rateproof.prove.over_admission.windows import most_nested, most_touching


@dataclass(frozen=True, slots=True)
class Admissions:
    """The admissions of one client in any window.

    Args:
        certain: so many lie in one window, whatever instants and clocks are chosen.
        possible: more lie in none.
        offered: requests of the client.
        denied: how many of them were rejected.
        lost: of how many the outcome is unknown.
    """

    certain: int
    possible: int
    offered: int
    denied: int
    lost: int


def count(log: EventLog, quota: Quota, tolerance: Tolerance) -> Admissions:
    """Count what one client was let through; `log` has its requests alone."""
    keys = observe(log)
    if not keys:
        return Admissions(0, 0, 0, 0, 0)
    (key,) = keys
    short_ns = quota.window_ns * (MILLION - tolerance.ppm) // MILLION - tolerance.granularity_ns
    unknown = [(sent, end or sent) for sent, end in key.unknown]
    return Admissions(
        most_nested(key.admitted, max(1, short_ns)),
        most_touching([*key.admitted, *unknown], tolerance.at_most_ns(quota.window_ns)),
        len(log),
        len(key.rejected),
        len(key.unknown),
    )
