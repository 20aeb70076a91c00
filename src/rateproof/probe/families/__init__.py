"""The families that a probe can recognise, one file each, found by reading this folder.

A file says of which algorithm of ours its limiters are, or what they are called where they
are of none; how likely it is that one meets them; and how one of them goes on.
"""

from rateproof.probe.family import LimiterFamily
from rateproof.registry import modules_in

__all__ = ["FAMILIES", "LAST", "UNNAMED"]


def _found() -> list[LimiterFamily]:
    families: list[LimiterFamily] = []
    for module in modules_in(__name__).values():
        families += getattr(module, "FAMILIES", None) or (module.FAMILY,)
    return families


_FOUND = sorted(_found(), key=lambda each: each.rank)

LAST = tuple(each for each in _FOUND if each.other in {"window", "own phase"})
"""Families that explain so much that they are looked at only where no other explains everything."""

UNNAMED = tuple(each for each in LAST if each.other == "window")
"""Those of them that are said and never named."""

FAMILIES: tuple[LimiterFamily, ...] = tuple(each for each in _FOUND if each not in LAST)
"""Every other family, the likelier first where nothing tells two of them apart."""
