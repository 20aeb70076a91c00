"""Promises of a limiter: quotas, their text form, and the algorithms that keep them.

Read in this order:

    record        what is known of an algorithm, as plain data
    sliding_log   ... and of each one its record, a file each: the only place with its name
    notation      `Quota` and `Policy`, their text, and the envelope gap(m)
"""

from rateproof.policy.notation import ALGORITHMS, Policy, PolicyLike, Quota, policy_of
from rateproof.policy.record import MAX_LIMIT, Algorithm

__all__ = [
    "ALGORITHMS",
    "MAX_LIMIT",
    "Algorithm",
    "Policy",
    "PolicyLike",
    "Quota",
    "policy_of",
]
