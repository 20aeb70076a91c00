"""A queue that requests leave one in W/N, as nginx keeps it without `nodelay`; it holds B."""

from rateproof.policy.record import Algorithm

LEAKY_QUEUE = Algorithm(
    name="leaky-queue",
    # Its length delays, and forbids nothing more of when requests leave it.
    stair=lambda limit, _: (1, 0, limit),
    memory_ns=lambda limit, window_ns, burst, _: (burst + 1) * -(-window_ns // limit),
    has_burst=True,
    delays=True,
)
