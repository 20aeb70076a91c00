"""N in each window of a clock, and so up to 2N across a boundary."""

from rateproof.policy.record import Algorithm

FIXED_WINDOW = Algorithm(
    name="fixed-window",
    # m admissions touch at least ceil(m/N) windows; all but the two at the ends are spanned.
    stair=lambda limit, _: (limit, limit, 1),
    memory_ns=lambda _, window_ns, *__: window_ns,
    windows="clock",
    hard_reset=True,
)
