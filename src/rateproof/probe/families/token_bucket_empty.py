"""A token bucket whose fresh keys have one token: spacing that saves what is not used."""

from rateproof.policy.token_bucket import TOKEN_BUCKET
from rateproof.probe.families.token_bucket import bucket
from rateproof.probe.family import NEVER, LimiterFamily

FAMILY = LimiterFamily(
    TOKEN_BUCKET,
    9,
    (NEVER, NEVER),
    bucket(empty=True),
    apart="of which a fresh key has one",
    at_first=1,
)
