"""The record of an algorithm: everything that other rooms decide by, as plain data.

A room that asks `quota.record` for a fact works for an algorithm that comes later, too.
What an algorithm does, step by step, is not here: that is `rateproof.enforce.algorithms`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

MAX_LIMIT = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number of its own that an algorithm wants of a quota, 1 to `most`.

    Args:
        word: what stands before it in the text of a policy.
        default: what it is where the text does not name it.
        most: the largest; 0: the algorithm has no such number, and it is 0.
    """

    word: str = "parameter"
    default: int = 0
    most: int = 0


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One way to keep "N per W". Below, N is the limit, W the window in ns, B the burst, K the parameter.

    Args:
        name: in the text of a policy.
        stair: of (N, B) the figures (width, lag, parts) of its gap: of width*j + lag + 1
            admissions in a row the last comes at least j*W/parts after the first, for every j.
        memory_ns: of (N, W, B, K) how long an admission can matter to a later decision. A
            denial depends on nothing older, an old policy stays in force as long as this
            beside a new one, and a slot without an admission for as long binds nothing.
        parameter: what K is.
        has_burst: what is free comes back one by one, one in W/N, up to a burst that the
            text may name. Otherwise B is N.
        windows: where its windows begin, if these make more wrong than its gap says: at
            multiples of W on a clock whose phase clients do not know, or with a hit.
        weighs: the window before counts, too, by the part of it that overlaps.
        hard_reset: nothing comes back before everything does.
        counts_denied: what it denies uses up the quota, too.
        delays: it holds requests back and answers late. Such a one is judged, by its
            admissions alone, and not enforced here.
        words: of (N, K) the numbers of 8 bytes that a key takes in a table, beside its slot.
        max_limit: the largest N that a table counts.
        least_window_ns: of (N, K) the least W that a table counts: what its numbers are
            rounded to is below a thousandth of W.
    """

    name: str
    stair: Callable[[int, int], tuple[int, int, int]]
    memory_ns: Callable[[int, int, int, int], int]
    parameter: Parameter = Parameter()
    has_burst: bool = False
    windows: Literal["clock", "hit"] | None = None
    weighs: bool = False
    hard_reset: bool = False
    counts_denied: bool = False
    delays: bool = False
    words: Callable[[int, int], int] = lambda _, __: 1
    max_limit: int = MAX_LIMIT
    least_window_ns: Callable[[int, int], int] = lambda _, __: 1
