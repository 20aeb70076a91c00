"""The typed seam to the native core."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from rateproof.enforce.decision import QuotaState, Reason
from rateproof.errors import StoreError
from rateproof.policy import Policy, Quota

__all__ = [
    "Counters",
    "Decision",
    "Denials",
    "Gate",
    "LimitFields",
    "Table",
    "WsgiDesk",
    "WsgiKey",
    "__version__",
    "feasible",
    "hit_all",
    "peek_all",
]

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
    def __new__(
        cls,
        path: str | None,
        algorithm: str,
        limit: int,
        window_ns: int,
        burst: int,
        capacity: int,
    ) -> Table: ...
    def hit(self, key: bytes, cost: int, now_ns: int | None) -> _Answer: ...
    def peek(self, key: bytes, cost: int, now_ns: int | None) -> _Answer: ...
    def reset(self, key: bytes) -> None: ...
    def clear(self) -> None: ...
    # Keys whose quota is not whole, and slots.
    def census(self, now_ns: int | None) -> tuple[int, int]: ...
    @property
    def algorithm(self) -> str: ...
    @property
    def limit(self) -> int: ...
    @property
    def window_ns(self) -> int: ...
    @property
    def burst(self) -> int: ...
    @property
    def capacity(self) -> int: ...

# Every quota admits, or none takes anything; then each quota's own answer.
def hit_all(
    tables: Sequence[Table], key: bytes, cost: int, now_ns: int | None
) -> tuple[bool, list[_Answer], bool]: ...

# What hit_all would be told, changing nothing.
def peek_all(
    tables: Sequence[Table], key: bytes, cost: int, now_ns: int | None
) -> list[_Answer]: ...

# See rateproof.enforce.counters: a path for all who open it, None for this process and its forks.
@final
class Counters:
    def __new__(cls, path: str | None) -> Counters: ...
    def add(self, which: int) -> None: ...
    def totals(self) -> tuple[int, ...]: ...

# The twin of the class that rateproof.enforce.decision specifies.
@final
class Decision:
    __match_args__ = (
        "admitted",
        "remaining",
        "retry_after_ns",
        "reset_after_ns",
        "quotas",
        "reason",
    )
    def __new__(
        cls,
        admitted: bool,
        remaining: int,
        retry_after_ns: int,
        reset_after_ns: int,
        quotas: tuple[QuotaState, ...],
        reason: Reason = "quota",
    ) -> Decision: ...
    @property
    def admitted(self) -> bool: ...
    @property
    def remaining(self) -> int: ...
    @property
    def retry_after_ns(self) -> int: ...
    @property
    def reset_after_ns(self) -> int: ...
    @property
    def quotas(self) -> tuple[QuotaState, ...]: ...
    @property
    def reason(self) -> Reason: ...
    def __bool__(self) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[type[Decision], tuple[object, ...]]: ...

# Limiter.hit for one policy without a line of Python; what needs more goes to `otherwise`.
@final
class Gate:
    def __new__(
        cls,
        source: Sequence[Table] | tuple[Denials, int],
        counters: Counters,
        quotas: Sequence[tuple[Quota, int]],
        otherwise: Callable[..., object],
        *,
        skip_full: bool,
        shadow: bool,
    ) -> Gate: ...
    def hit(
        self,
        key: str | bytes,
        cost: int = 1,
        *,
        policy: str | Quota | Policy | None = None,
    ) -> Decision: ...
    def close(self) -> None: ...

# The twin of rateproof.enforce.http.keys.key_of over an environ; None: not plain, ask the latter.
# One part is (label, kind, name), where the name of a header is its variable.
@final
class WsgiKey:
    def __new__(cls, alternatives: Sequence[Sequence[tuple[str, str, str]]]) -> WsgiKey: ...
    def read(self, environ: WSGIEnvironment) -> bytes | None: ...

# The twin of rateproof.enforce.http.answers.limit_fields for one policy.
@final
class LimitFields:
    def __new__(cls, names: Sequence[str], policy: str) -> LimitFields: ...
    def of(self, decision: Decision) -> list[tuple[str, str]]: ...

# RateLimitMiddleware without a line of Python: fields to add, or a denial's line, fields and body;
# None where the specification has to decide. `compose` writes denials from (decision, Accept).
@final
class WsgiDesk:
    def __new__(
        cls,
        gate: Gate,
        key: WsgiKey,
        fields: LimitFields,
        exempt: frozenset[str],
        app: WSGIApplication,
        *,
        compose: Callable[[Decision, str | None], object],
        otherwise: WSGIApplication,
        refuse: Callable[[StoreError, WSGIEnvironment, StartResponse], Iterable[bytes]],
    ) -> WsgiDesk: ...
    def serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]: ...

# The twin of rateproof.enforce.stores.redis.denials.Denials.
@final
class Denials:
    def __new__(cls) -> Denials: ...
    @property
    def resets(self) -> int: ...
    def answers(self, key: bytes, ledger: int, cost: int) -> list[_Answer] | None: ...
    def keep(
        self, key: bytes, ledger: int, cost: int, sent_ns: int, answers: Sequence[_Answer]
    ) -> None: ...
    def forget(self, key: bytes) -> None: ...
    def clear(self) -> None: ...
