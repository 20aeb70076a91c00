"""Did the limit hold? Pure: a log and a policy in, a verdict out, no I/O.

It never imports `rateproof.enforce`: a proof that reused the code it judges
would be circular. `docs/theory.md` derives what is used here.
"""

from rateproof.prove.evidence import OVER_ADMISSION, WRONG_REJECTION, Evidence, Witness
from rateproof.prove.pressure import Pressure
from rateproof.prove.verdict import (
    CLAIMS,
    CONSISTENT,
    DEFAULT_BUDGET,
    INCONCLUSIVE,
    VIOLATED,
    Cause,
    Counts,
    Verdict,
    combine,
    judge,
)

__all__ = [
    "CLAIMS",
    "CONSISTENT",
    "DEFAULT_BUDGET",
    "INCONCLUSIVE",
    "OVER_ADMISSION",
    "VIOLATED",
    "WRONG_REJECTION",
    "Cause",
    "Counts",
    "Evidence",
    "Pressure",
    "Verdict",
    "Witness",
    "combine",
    "judge",
]
