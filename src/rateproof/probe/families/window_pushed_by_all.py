"""N in a window that ends W after the last request, whatever came of it."""

from rateproof.probe.families.first_hit_window import opened
from rateproof.probe.family import LimiterFamily

FAMILY = LimiterFamily(
    "window that each request pushes on",
    7,
    (0, 0, 0, 0),
    opened(by_admitted=True, by_denied=True),
)
