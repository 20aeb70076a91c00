"""N of a clock's window and, by what still overlaps, the one before: up to 2N - 1 in W."""

from rateproof.policy.record import Algorithm

SLIDING_COUNTER = Algorithm(
    name="sliding-counter",
    # As for the fixed window: no window of the clock holds more than N.
    stair=lambda limit, _: (limit, limit, 1),
    memory_ns=lambda _, window_ns, *__: 2 * window_ns,
    windows="clock",
    weighs=True,
    max_limit=2**20,
)
