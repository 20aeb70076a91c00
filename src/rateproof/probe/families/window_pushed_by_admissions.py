"""N in a window that ends W after the last admission."""

from rateproof.probe.families.first_hit_window import opened
from rateproof.probe.family import LimiterFamily

FAMILY = LimiterFamily(
    "window that each admission pushes on", 8, (0, 0, 0, 0), opened(by_admitted=True)
)
