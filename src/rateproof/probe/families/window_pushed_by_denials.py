"""N in a window that the first request opens, and that ends W after its last denial."""

from rateproof.probe.families.first_hit_window import opened
from rateproof.probe.family import LimiterFamily

FAMILY = LimiterFamily(
    "window that each denial pushes on", 10, (0, 0, 0, 0), opened(by_denied=True)
)
