"""Did the limit hold? Pure: a log and a policy in, a verdict out, no I/O.

It never imports `rateproof.enforce`: a proof that reused the code it judges
would be circular. `docs/theory.md` derives what is used here.
"""

from rateproof.prove.by_key import KeyVerdict, judge_keys
from rateproof.prove.claims import HEADERS
from rateproof.prove.evidence import OVER_ADMISSION, WRONG_REJECTION, Evidence, Witness
from rateproof.prove.headers.headers import Headers
from rateproof.prove.judging import ALL_CLAIMS, CLAIMS, DEFAULT_BUDGET, judge
from rateproof.prove.pressure.calls import ClosestCall
from rateproof.prove.pressure.pressure import Pressure
from rateproof.prove.pressure.sensitivity import Sensitivity
from rateproof.prove.verdict import (
    CONSISTENT,
    INCONCLUSIVE,
    VIOLATED,
    Cause,
    Counts,
    Verdict,
    combine,
)
from rateproof.prove.verification import verify

__all__ = [
    "ALL_CLAIMS",
    "CLAIMS",
    "CONSISTENT",
    "DEFAULT_BUDGET",
    "HEADERS",
    "INCONCLUSIVE",
    "OVER_ADMISSION",
    "VIOLATED",
    "WRONG_REJECTION",
    "Cause",
    "ClosestCall",
    "Counts",
    "Evidence",
    "Headers",
    "KeyVerdict",
    "Pressure",
    "Sensitivity",
    "Verdict",
    "Witness",
    "combine",
    "judge",
    "judge_keys",
    "verify",
]
