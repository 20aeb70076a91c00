"""At most N admissions in *any* window of length W: each occupies one of N cells for W."""

from rateproof.policy.record import Algorithm

SLIDING_LOG = Algorithm(
    name="sliding-log",
    stair=lambda limit, _: (limit, 0, 1),
    memory_ns=lambda _, window_ns, *__: window_ns,
    words=lambda limit, _: limit,
    max_limit=65_536,
)
