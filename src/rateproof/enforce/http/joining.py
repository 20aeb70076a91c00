"""The fields of a limiter join those of the answer behind it."""

from collections.abc import Iterable, Sequence
from typing import AnyStr, Final

__all__ = ["joined"]

_LISTS: Final = {"ratelimit", "ratelimit-policy", b"ratelimit", b"ratelimit-policy"}
_OLDER = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
_KEPT: Final = {*_OLDER, *map(str.encode, _OLDER)}


def joined(
    answered: Sequence[tuple[AnyStr, AnyStr]], added: Iterable[tuple[AnyStr, AnyStr]]
) -> list[tuple[AnyStr, AnyStr]]:
    """All fields of an answer that more than one limiter, or the application, speaks in.

    RateLimit and RateLimit-Policy are lists: those of a limiter further in stay,
    and ours come on lines of their own (RFC 9651, section 3.1). Of X-RateLimit-*
    there can be one each: those that are there stay, since a denial further in
    is what the client must know. Any other field replaces those of its name.
    """
    there = {name.lower() for name, _ in answered}
    ours = [pair for pair in added if pair[0].lower() not in there & _KEPT]
    replaced = {name.lower() for name, _ in ours} - _LISTS
    return [pair for pair in answered if pair[0].lower() not in replaced] + ours
