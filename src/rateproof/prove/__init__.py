"""Did the limit hold? Pure: a log and a policy in, a verdict out, no I/O.

To be read in this order:

1. `terms`: what can be claimed of a limiter, and what two clocks may disagree on
2. `keys`: a log, key by key: the intervals in which decisions were made
3. `screen`: which keys have to be searched, found without an object for each event
4. `over_admission`: could these admissions have kept the policy?
5. `wrong_rejection`: had any quota to be full when this was rejected?
6. `headers`: did Retry-After and RateLimit come true?
7. `power`, `diagnosis`: what this log could have shown and why not, and what the target seems to do
8. `trial`: all of that for one log and one policy
9. `judgement`: the way to the `verdict`
10. `evidence`: the fewest requests that show it, as sentence, drawing and document

It never imports `rateproof.enforce`: a proof that reused the code it judges
would be circular. `docs/theory.md` derives what is used here.
"""

from rateproof.prove.evidence.drawing import Witness
from rateproof.prove.evidence.piece import Evidence
from rateproof.prove.headers import Headers
from rateproof.prove.judgement.by_key import judge_keys
from rateproof.prove.judgement.log import judge
from rateproof.prove.judgement.verification import verify
from rateproof.prove.keys import Counts
from rateproof.prove.power.coverage import Pressing, QuotaVerdict, pressing
from rateproof.prove.power.pressure import ClosestCall, Pressure
from rateproof.prove.power.sensitivity import Sensitivity
from rateproof.prove.terms import (
    ALL_CLAIMS,
    CLAIMS,
    CONSISTENT,
    HEADERS,
    INCONCLUSIVE,
    OVER_ADMISSION,
    UNTESTED,
    VIOLATED,
    WRONG_REJECTION,
    Cause,
)
from rateproof.prove.verdict import KeyVerdict, Verdict, combine

__all__ = [
    "ALL_CLAIMS",
    "CLAIMS",
    "CONSISTENT",
    "HEADERS",
    "INCONCLUSIVE",
    "OVER_ADMISSION",
    "UNTESTED",
    "VIOLATED",
    "WRONG_REJECTION",
    "Cause",
    "ClosestCall",
    "Counts",
    "Evidence",
    "Headers",
    "KeyVerdict",
    "Pressing",
    "Pressure",
    "QuotaVerdict",
    "Sensitivity",
    "Verdict",
    "Witness",
    "combine",
    "judge",
    "judge_keys",
    "pressing",
    "verify",
]
