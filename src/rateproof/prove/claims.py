"""What can be claimed of a limiter."""

from typing import Final

__all__ = ["CLAIM_SETS", "HEADERS", "OVER_ADMISSION", "WRONG_REJECTION"]

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
"""What can be asked for by name: one of them, those that the limit makes, or all."""
