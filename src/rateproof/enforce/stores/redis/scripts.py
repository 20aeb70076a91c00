"""The script that decides, and how a policy and a key are told to it.

An algorithm is a file in `lua/`. There is one script for each set of them, so at most 31 in
a server's cache: limits and windows are arguments. Redis counts in microseconds, in numbers that are
exact below 2**53: windows are rounded up to whole ones, and what would grow
larger is counted in coarser units, always to the strict side.
"""

from collections.abc import Iterable
from functools import cache
from hashlib import sha1
from importlib.resources import files
from math import gcd
from typing import Final, NamedTuple

from rateproof.errors import InvalidArgument
from rateproof.policy import Quota

LAYOUT: Final = 1
"""Of the states: another, when the script would misread what an earlier one wrote."""

EXACT: Final = 2**52
"""Products of counts and times stay within this, sums of two of them below 2**53."""

_LUA = files(__package__) / "lua"


class Script(NamedTuple):
    """A script as Redis knows it: by its text, or once it has it by its digest."""

    text: bytes
    sha: bytes


def script_for(quotas: Iterable[Quota]) -> Script:
    """The script that knows the algorithms of these quotas.

    Raises:
        InvalidArgument: one of them has no file.
    """
    return _script(tuple(sorted({quota.algorithm for quota in quotas})))


@cache
def _script(algorithms: tuple[str, ...]) -> Script:
    for algorithm in algorithms:
        if not (_LUA / f"{algorithm}.lua").is_file():
            raise InvalidArgument(f"a {algorithm} is not counted in Redis", "shm:// or memory://")
    parts = ["head", *algorithms, "decide"]
    text = b"\n".join((_LUA / f"{part}.lua").read_bytes() for part in parts)
    return Script(text, sha1(text, usedforsecurity=False).hexdigest().encode())


def figures(quota: Quota) -> tuple[int, int, int]:
    """The three numbers that the script wants of a quota; see `lua/`."""
    window = -(-quota.window_ns // 1000)
    if quota.record.has_burst:
        return (quota.burst, *_rate(quota, window))
    if quota.record.weighs:
        unit = 1
        while quota.limit * -(-window // unit) > EXACT:
            unit *= 2
        return quota.limit, -(-window // unit) * unit, unit
    return quota.limit, window, quota.parameter


def _rate(quota: Quota, window: int) -> tuple[int, int]:
    """Units that an admission adds to a bucket, and that run out of it each microsecond.

    The two are to each other as window to limit, or a little more where the
    whole bucket would not be exact: by less than one part in four million.
    """
    shared = gcd(window, quota.limit)
    unit, drain = window // shared, quota.limit // shared
    if quota.burst * unit > EXACT:
        drain = EXACT * quota.limit // (quota.burst * window)
        unit = -(-window * drain // quota.limit)
    return unit, drain
