"""Which of problem document and text a client prefers (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence
from functools import lru_cache

__all__ = ["wants_json"]

_LONGEST = 256
"""Characters of an Accept that is remembered: clients choose it, and memory is bounded."""


def wants_json(accept: str | None) -> bool:
    """Whether problem+json is at least as welcome as plain text.

    `application/json` asks for it as well. No Accept, or `*/*`, means no
    preference, and gets JSON: who meets a limit is a program. Where neither
    is acceptable a short text does the least harm (RFC 9110, section 12.4.1).
    """
    if accept is not None and len(accept) > _LONGEST:
        return _judged.__wrapped__(accept)
    return _judged(accept)


@lru_cache(128)
def _judged(accept: str | None) -> bool:
    weights = _weights(accept) if accept is not None and accept.strip() else {"*/*": 1.0}
    problem = _weight(
        weights, ("application/problem+json", "application/json", "application/*", "*/*")
    )
    return problem > 0 and problem >= _weight(weights, ("text/plain", "text/*", "*/*"))


def _weight(weights: dict[str, float], ranges: Sequence[str]) -> float:
    """The weight of the most specific range that the client named (RFC 9110, 12.5.1)."""
    return next((weights[name] for name in ranges if name in weights), 0.0)


def _weights(accept: str) -> dict[str, float]:
    weights = {}
    for item in accept.split(","):
        media_range, *parameters = (text.strip().lower() for text in item.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weights[media_range] = min(1.0, max(0.0, float(weight)))
        except ValueError:
            continue  # not a weight: as if the range had not been sent
    return weights
