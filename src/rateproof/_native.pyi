"""The typed seam to the native core."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self, TypeAlias, TypeVar, final
from wsgiref.types import StartResponse, WSGIEnvironment

from typing_extensions import Buffer, disjoint_base

from rateproof.enforce.decision import QuotaState, Reason
from rateproof.enforce.http import RateLimitMiddleware
from rateproof.enforce.room import Room
from rateproof.policy import Quota

__all__ = [
    "AccessScanner",
    "ByKey",
    "Counters",
    "Course",
    "Decider",
    "Decision",
    "Denials",
    "Engine",
    "HotLimiter",
    "Table",
    "Tally",
    "Traffic",
    "WsgiDesk",
    "WsgiKey",
    "answers",
    "by_part",
    "distinct",
    "extremes",
    "feasible",
    "first_below_0",
    "first_repeated",
    "first_short",
    "hit_all",
    "natively",
    "parted",
    "parts_by_time",
    "parts_of",
    "program_trace",
    "request_widths",
    "rows_of",
    "summed",
]

_Method = TypeVar("_Method", bound=Callable[..., Any])

# The twin of `prove.over_admission.feasible._search`. Times are signed 64-bit ns in native byte order,
# one a job; a stair is (width, lag, rise_num, rise_den, slack_ns). Returns
# ("feasible", instants, spent), ("infeasible", core, spent) or ("exhausted", [], spent).
def feasible(
    sent: bytes,
    received: bytes,
    stairs: Sequence[tuple[int, int, int, int, int]],
    budget: int,
) -> tuple[str, list[int], int]: ...

# A number for all rows, or a buffer of int64, float64 or int32 codes in native byte order.
# None: a log of more than 2**61 ns, 2**32 rows, or in which a request was sent at no time.
# The requests of a log by key; None where it is not one that can be looked at so.
@final
class ByKey:
    @staticmethod
    def of(columns: Mapping[str, object]) -> ByKey | None: ...
    # See `prove.screen`, and `Asked` and `Screened` in `rust/python/src/screen.rs`.
    def screen(self, rules: Mapping[str, object], threads: int) -> dict[str, Any]: ...
    # How many were judged, by rule; how many are broken; rule, row that says it, row that shows it.
    def broken_promises(
        self, asked: Mapping[str, object], threads: int
    ) -> tuple[list[int], int, list[tuple[int, int, int]]]: ...

# One key's requests by sending time; limit, low_ns and high_ns of each log, from when and until when
# rejections are judged. Then whether instants explain what was admitted, and what was rejected too.
@final
class Course:
    def __new__(
        cls,
        stairs: Sequence[tuple[int, int, int, int, int]],
        requests: int,
        quotas: Sequence[tuple[int, int, int]],
        judged: tuple[int, int],
    ) -> Course: ...
    def go_on(self, columns: Mapping[str, object]) -> None: ...
    def explained(self) -> tuple[bool, bool]: ...

# A format of access logs on lines: see `events.access_logs.reading`, and `Asked` and `Scanned` in
# `rust/python/src/access.rs`.
@final
class AccessScanner:
    def __new__(cls, asked: Mapping[str, object]) -> AccessScanner: ...
    def feed(self, batch: bytes) -> None: ...
    def end(self) -> int: ...
    def held(self) -> int: ...
    def take(self, keep: bool) -> dict[str, Any]: ...

# Of a quota: limit, lag, and its window at the least and at the most; or burst, -1, and the time
# of a token at the least and at the most. See `plan.bounds` and `rust/plan`.
_Gate: TypeAlias = tuple[int, int, int, int]
# Begin, length and number of bins of time.
_Bins: TypeAlias = tuple[int, int, int]

@final
class Traffic:
    def __new__(cls, rows: bytes, stride: int) -> Traffic: ...
    # Of each window, at the least and at the most, the peaks (least, most) by place of the client, and rows of bins.
    def peaks(
        self, windows_ns: Sequence[tuple[int, int]], grid: _Bins
    ) -> tuple[list[tuple[bytes, bytes]], list[bytes]]: ...
    # Requests at least and at most, clients at least and at most, rejections by bin.
    def bounds(
        self, policies: Sequence[Sequence[_Gate]], grid: _Bins
    ) -> list[tuple[int, int, int, int, bytes]]: ...
    # Code, requests, user agents, paths, first and last instant, bounds of each policy.
    def clients(
        self, wanted: Sequence[int], policies: Sequence[Sequence[_Gate]]
    ) -> list[tuple[int, int, int, int, int, int, list[tuple[int, int]]]]: ...
    def retries(self, policies: Sequence[Sequence[_Gate]]) -> list[tuple[int, int]]: ...

def summed(rows: Sequence[bytes]) -> bytes: ...

# Codes (int32), and the columns of `plan.traffic.Partitions`: the rows of each part.
def parted(codes: bytes, columns: Sequence[bytes], parts: int) -> list[bytes]: ...
def request_widths(
    sent_ns: bytes, received_ns: bytes, status: bytes, unseen: Sequence[int]
) -> tuple[bytes, int | None, int | None]: ...

# Every kind of answer of a log, in order of appearance: run, status, code of the outcome, code of
# the error, marked by a limiter, answered; how often, and the longest way in ns. See `events.judged`.
_Kind: TypeAlias = tuple[int, int, int, int, bool, bool]

def answers(
    columns: Mapping[str, object], run: int | Buffer
) -> list[tuple[_Kind, tuple[int, int]]]: ...

# Facts of columns: int64 in native order (or, of extremes, int32), -2**63 for None.
def extremes(column: Buffer) -> tuple[int, int] | None: ...
def distinct(column: int | Buffer, rows: int) -> list[int]: ...

# The first row that was answered less than so many ns after it was sent, whose number is below 0
# or none, or whose run and number were there before.
def first_short(
    sent_ns: int | Buffer, received_ns: int | Buffer, rows: int, least_ns: int
) -> int | None: ...
def first_below_0(column: float | Buffer, rows: int) -> int | None: ...
def first_repeated(run: int | Buffer, sequence: int | Buffer, rows: int) -> int | None: ...

# The part of each word by its digest, as bytes of int32: Arrow's offsets and data. The last of the parts
# that begins by the time of each row, or the first. Then the rows in the order of their parts, as
# bytes of int32, and how many each part has.
def parts_of(offsets: Buffer, data: Buffer, parts: int) -> bytes: ...
def parts_by_time(times: int | Buffer, rows: int, begins: Sequence[int]) -> bytes: ...
def by_part(part_of: Buffer, parts: int) -> tuple[bytes, list[int]]: ...

# The rows that have each of these codes, as bytes of int64.
def rows_of(key: int | Buffer, rows: int, wanted: Sequence[int]) -> list[bytes]: ...

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
        parameter: int | None = None,
    ) -> Table: ...
    # One that is there, whatever its quota and capacity.
    @staticmethod
    def existing(path: str) -> Table: ...
    @property
    def capacity(self) -> int: ...
    def reset(self, key: bytes) -> None: ...
    def clear(self) -> None: ...
    # Keys whose quota is not whole, and slots.
    def census(self, now_ns: int | None, turn: int = 0, count: int = ...) -> tuple[int, int]: ...
    @property
    def slots(self) -> int: ...

# Every quota admits, or none takes anything; each quota's own answer; whether that is for want of
# the lock. `charge` false: what that would be, changing nothing.
def hit_all(
    tables: Sequence[Table], key: bytes, cost: int, now_ns: int | None, charge: bool = True
) -> tuple[bool, list[_Answer], bool]: ...

# See rateproof.enforce.counters: a path for all who open it, None for this process and its forks.
@final
class Counters:
    def __new__(cls, path: str | None, alone: bool = False) -> Counters: ...
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

# Decides about one policy by the tables of a ledger, or by the denials that are remembered of it.
@final
class Decider:
    def __new__(
        cls,
        source: Sequence[Table] | tuple[Denials, int],
        counters: Counters,
        quotas: Sequence[tuple[Quota, int]],
        *,
        skip_full: bool,
        shadow: bool,
    ) -> Decider: ...

# Limiter's base: `hit` and `peek` ask the decider, and the methods in Python the rest.
@disjoint_base
class HotLimiter:
    def __new__(cls, *_args: object, **_named: object) -> Self: ...
    def decide_by(self, decider: Decider) -> None: ...
    def let_go(self) -> None: ...
    @property
    def decides(self) -> bool: ...

# Makes `hit` or `peek` of the class that derives from HotLimiter ask that first.
def natively(method: _Method) -> _Method: ...

# The twin of rateproof.enforce.http.keys.key_of over an environ; None: not plain, ask the latter.
# One part is (label, kind, name), where the name of a header is its variable.
@final
class WsgiKey:
    def __new__(cls, alternatives: Sequence[Sequence[tuple[str, str, str]]]) -> WsgiKey: ...
    def read(self, environ: WSGIEnvironment) -> bytes | None: ...

# RateLimitMiddleware without a line of Python for answers that were written before; the middleware
# is asked for the rest.
@final
class WsgiDesk:
    def __new__(
        cls,
        limiter: HotLimiter,
        key: WsgiKey,
        exempt: frozenset[str],
        room: tuple[Room, int, int] | None,
    ) -> WsgiDesk: ...
    def serve(
        self,
        middleware: RateLimitMiddleware,
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> Iterable[bytes]: ...

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

# The twin of rateproof.simulate.tally.PlainTally. Columns are buffers of int64, codes of int32, in
# native byte order; a table is counted whole or not at all.
@final
class Tally:
    def __new__(cls) -> Tally: ...
    def observe(
        self,
        columns: Sequence[Buffer],
        outcomes: Buffer,
        kinds: bytes,
        errors: Buffer,
        words: int,
    ) -> list[int]: ...
    @property
    def requests(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def connections(self) -> int: ...
    def outcomes(self) -> list[int]: ...
    def statuses(self) -> dict[int, int]: ...
    def span(self) -> tuple[int, int] | None: ...
    # The least, the greatest, and the count of each bucket that holds something.
    def buckets(self, which: int, kind: int) -> tuple[int, int, dict[int, int]] | None: ...

# One column: int64 or float64 in native byte order, or int32 codes and the words they stand for.
_Column: TypeAlias = bytes | tuple[bytes, list[bytes]] | tuple[bytes, list[str | None]]

# The load engine: settings as transports/native.py makes them.
@final
class Engine:
    def __new__(cls, run: Mapping[str, object]) -> Engine: ...
    # At an instant of its clock, or at once; what it gives is on a clock that is so much ahead.
    def begin(self, start_ns: int, shift_ns: int) -> None: ...
    @property
    def start_ns(self) -> int: ...
    def stop(self) -> None: ...
    # Ends the run at once: what is in flight is neither awaited nor recorded.
    def abandon(self) -> None: ...
    # What holds from now on: see rateproof.simulate.control.Control.
    def steer(self, paused: bool, bursts: int, extra_clients: int) -> None: ...
    # The rows that came within timeout_s by column, and how many; None once the run is over.
    def read(self, timeout_s: float) -> tuple[int, dict[str, _Column]] | None: ...
    # Waits for the end; the audit's counts, and histograms as their least, greatest and buckets.
    def join(self) -> dict[str, Any]: ...

# The twin of rateproof.simulate.programs.program, run on given answers: (done_ns, outcome,
# retry_after_ns or -1); a request is (intended_ns, alias, attempt, over_ns); place is the number of
# the connection and how many its client has.
def program_trace(
    code: Sequence[tuple[int, int, int, float]],
    seed: str,
    heard: Sequence[tuple[int, int, int]],
    place: tuple[int, int],
) -> list[tuple[int, int, int, int]]: ...
