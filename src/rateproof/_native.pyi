"""The typed seam to the native core."""

from collections.abc import Sequence
from typing import TypeAlias, final

__all__ = ["Table", "__version__", "feasible", "hit_all"]

__version__: str

# The twin of `prove.feasible._search`. Times are signed 64-bit ns in native byte order,
# one a job; a stair is (width, lag, rise_num, rise_den, slack_ns). Returns
# ("feasible", instants, spent), ("infeasible", core, spent) or ("exhausted", [], spent).
def feasible(
    sent: bytes,
    received: bytes,
    stairs: Sequence[tuple[int, int, int, int, int]],
    budget: int,
) -> tuple[str, list[int], int]: ...

# Admitted, full, remaining, retry_after_ns, reset_after_ns: in this order.
_Answer: TypeAlias = tuple[bool, bool, int, int, int]

# A quota shared by threads, forked children and, with a path, all processes that open it.
# now_ns None: CLOCK_MONOTONIC, read inside. Full: no room for the key, or no lock in time.
@final
class Table:
    def __new__(cls, path: str | None, limit: int, window_ns: int, capacity: int) -> Table: ...
    def hit(self, key: bytes, cost: int, now_ns: int | None) -> _Answer: ...
    def peek(self, key: bytes, cost: int, now_ns: int | None) -> _Answer: ...
    def reset(self, key: bytes, now_ns: int | None) -> None: ...
    @property
    def limit(self) -> int: ...
    @property
    def window_ns(self) -> int: ...
    @property
    def capacity(self) -> int: ...

# Every quota admits, or none takes anything; then each quota's own answer.
def hit_all(
    tables: Sequence[Table], key: bytes, cost: int, now_ns: int | None
) -> tuple[bool, list[_Answer]]: ...
