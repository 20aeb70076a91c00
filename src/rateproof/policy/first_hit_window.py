"""N in each window that a first admission opens, and so up to 2N - 1 in a time of length W."""

from rateproof.policy.record import Algorithm


def _least_window_ns(limit: int, _: int) -> int:
    """A window ends at a multiple of a unit, so that its count and its end fit one word."""
    unit_ns = 1 << max(0, limit.bit_length() - 2)
    return 1000 * unit_ns if unit_ns > 2 else 1


FIRST_HIT_WINDOW = Algorithm(
    name="first-hit-window",
    stair=lambda limit, _: (limit, limit - 1, 1),
    memory_ns=lambda _, window_ns, *__: window_ns,
    windows="hit",
    hard_reset=True,
    least_window_ns=_least_window_ns,
)
