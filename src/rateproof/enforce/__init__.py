"""May this request pass, now, on every worker of this machine?"""

from rateproof.enforce.decision import Decision, QuotaState
from rateproof.enforce.limiter import Limiter

__all__ = ["Decision", "Limiter", "QuotaState"]
