"""At most N in *any* window of length W, counted in K blocks of a clock: each comes back W/K late at most."""

from rateproof.policy.record import Algorithm, Parameter

SLIDING_BLOCKS = Algorithm(
    name="sliding-blocks",
    stair=lambda limit, *_: (limit, 0, 1),
    # Until its block is K blocks behind the one that is open.
    memory_ns=lambda _, window_ns, __, blocks: (blocks + 1) * -(-window_ns // blocks),
    parameter=Parameter("blocks", default=60, most=1000),
    # A count for each block, and how many there are in all.
    words=lambda _, blocks: blocks + 2,
    # A block is a whole number of ns.
    least_window_ns=lambda _, blocks: 1000 * blocks,
)
