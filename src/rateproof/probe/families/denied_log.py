"""A sliding log in which denied requests count, too."""

from rateproof.policy.sliding_log import SLIDING_LOG
from rateproof.probe.families.sliding_log import log
from rateproof.probe.family import LimiterFamily

FAMILY = LimiterFamily(
    f"{SLIDING_LOG.name} that counts denied requests",
    6,
    (),
    log(counts_denied=True),
)
