"""A token bucket whose fresh keys have one token: spacing that saves what is not used."""

from rateproof.policy.token_bucket import TOKEN_BUCKET
from rateproof.probe.families.token_bucket import FULL, bucket
from rateproof.probe.family import LimiterFamily

FAMILY = LimiterFamily(
    TOKEN_BUCKET,
    9,
    FULL,
    bucket(empty=True),
    apart="of which a fresh key has one",
    at_first=1,
)
