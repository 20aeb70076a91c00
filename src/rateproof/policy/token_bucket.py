"""A bucket of B tokens that gains N in W: B at once, and N per W in the long run."""

from rateproof.policy.record import Algorithm

TOKEN_BUCKET = Algorithm(
    name="token-bucket",
    stair=lambda limit, burst: (1, burst - 1, limit),
    # An empty bucket is full again; each token takes a whole number of ns.
    memory_ns=lambda limit, window_ns, burst, _: burst * -(-window_ns // limit),
    has_burst=True,
    least_window_ns=lambda limit, _: 1000 * limit,
)
