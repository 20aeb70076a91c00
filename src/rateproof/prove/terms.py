"""The terms of a judgement: outcomes and claims."""

from typing import Final

__all__ = [
    "CLAIM_SETS",
    "CONSISTENT",
    "HEADERS",
    "INCONCLUSIVE",
    "OVER_ADMISSION",
    "UNTESTED",
    "VIOLATED",
    "WRONG_REJECTION",
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
