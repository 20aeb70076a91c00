"""The terms of a judgement: outcomes, claims, and causes of doubt."""

from typing import Final

from rateproof.errors import InvalidArgument

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
    """Causes of an inconclusive verdict, as names for programs.

    Attributes:
        NEVER_STRESSED: no key can have sent more than the policy allows: nothing had to be rejected.
        UNTESTED: a quota was not tested.
        INVALID_RUN: the load was not sent as planned.
        LOG_CUT_OFF: requests are missing: one may be the reason of a rejection, or an excess.
        TOO_LARGE: clients with more requests than fit in memory were not judged as a whole: `--memory`.
        NO_RUN: nothing was sent.
        NOTHING_ADMITTED: no answer comes from a limiter that admits anything.
        ONLY_ELSEWHERE: but for rejections only redirects and client errors were answered.
        UNKNOWN_OUTCOMES: a violation, if requests without an answer had been admitted, or had not.
        WITHIN_TOLERANCE: a violation, if both clocks ran at the same rate.
        BUDGET_SPENT: the search gave up.
        NOT_JUDGED: only rejections were asked for, and none could be judged.
        NO_HEADERS: header fields were asked for, and later answers could check none.
        TOO_COARSE: no excess could have been shown: answers took too long for the window, too many
            were lost, or hardly too much was asked.
        UNKNOWN_BEGINNING: requests before the log may have used up the quota: `--fresh-keys`.
        NOT_SHOWN: the requests of a document do not show what it claims.
        CUT_SHORT: a test was stopped before any client had sent the whole of its schedule.
    """

    NEVER_STRESSED: Final = "never-stressed"
    UNTESTED: Final = "untested-quota"
    INVALID_RUN: Final = "invalid-run"
    LOG_CUT_OFF: Final = "log-cut-off"
    TOO_LARGE: Final = "too-large"
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
