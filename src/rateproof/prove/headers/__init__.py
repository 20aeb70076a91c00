"""Header honesty: statements in Retry-After and RateLimit, and whether they came true."""

from rateproof.prove.headers.honesty import (
    MOST_FINDINGS,
    FalseStatement,
    Headers,
    all_headers,
    headers_of,
)

__all__ = ["MOST_FINDINGS", "FalseStatement", "Headers", "all_headers", "headers_of"]
