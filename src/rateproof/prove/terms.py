"""The terms of a judgement: outcomes, claims, and causes of doubt."""

from typing import Final

from rateproof.errors import InvalidArgument

__all__ = [
    "ALL_CLAIMS",
    "CLAIMS",
    "CLAIM_SETS",
    "CONSISTENT",
    "HEADERS",
    "INCONCLUSIVE",
    "OVER_ADMISSION",
    "TRIED_PASTS",
    "UNTESTED",
    "VIOLATED",
    "WRONG_REJECTION",
    "Cause",
    "checked",
]

CONSISTENT: Final = "consistent"
VIOLATED: Final = "violated"
INCONCLUSIVE: Final = "inconclusive"
UNTESTED: Final = "untested"

OVER_ADMISSION: Final = "over-admission"
WRONG_REJECTION: Final = "wrong-rejection"
HEADERS: Final = "headers"

_LIMIT = frozenset({OVER_ADMISSION, WRONG_REJECTION})

CLAIM_SETS: Final = {
    OVER_ADMISSION: frozenset({OVER_ADMISSION}),
    WRONG_REJECTION: frozenset({WRONG_REJECTION}),
    HEADERS: frozenset({HEADERS}),
    "limit": _LIMIT,
    "all": _LIMIT | {HEADERS},
}
"""Claims by name: one of them, those that the limit makes, or all."""

CLAIMS: Final = CLAIM_SETS["limit"]
"""Claims that can be judged: never too many, never a rejection without need."""

ALL_CLAIMS: Final = CLAIM_SETS["all"]
"""Beside these, that what the limiter says in header fields comes true."""

TRIED_PASTS: Final = (
    "that an excess would have been seen was tried with none, half and all of the quota used up "
    "before the log, not with every past"
)
"""Noted by a consistent verdict on keys that may have been used before."""


class Cause:
    """Causes of an inconclusive verdict, as names for programs."""

    NEVER_STRESSED: Final = "never-stressed"
    UNTESTED: Final = "untested-quota"
    INVALID_RUN: Final = "invalid-run"
    LOG_CUT_OFF: Final = "log-cut-off"
    NO_RUN: Final = "no-run"
    NOTHING_ADMITTED: Final = "nothing-admitted"
    ONLY_ELSEWHERE: Final = "only-elsewhere"
    UNKNOWN_OUTCOMES: Final = "unknown-outcomes"
    WITHIN_TOLERANCE: Final = "only-within-tolerance"
    BUDGET_SPENT: Final = "budget-spent"
    NOT_JUDGED: Final = "not-judged"
    NO_HEADERS: Final = "no-headers"
    TOO_COARSE: Final = "too-coarse"
    UNKNOWN_BEGINNING: Final = "unknown-beginning"
    NOT_SHOWN: Final = "not-shown"
    CUT_SHORT: Final = "cut-short"


def checked(claims: frozenset[str]) -> None:
    """Refuse claims that nothing can be judged by.

    Raises:
        InvalidArgument: an unknown claim, or none.
    """
    if not claims or not claims <= ALL_CLAIMS:
        named = ", ".join(sorted(claims)) or "none"
        raise InvalidArgument(f"claims: {named}", f"one or more of {', '.join(sorted(ALL_CLAIMS))}")
