"""What a client does, as a short list of instructions that two languages run alike.

`steps.py` compiles a behaviour into a `Program`. The interpreter here is the
specification; `rust/simulate/src/program.rs` is its twin: the same generator
state and the same answers give the same requests.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from rateproof.errors import InvalidArgument
from rateproof.events import ADMITTED, REJECTED, UNKNOWN
from rateproof.simulate.programs.arrivals import Exponential, Fixed, Interval, LogNormal, Uniform
from rateproof.simulate.programs.ramps import ramp_gap
from rateproof.simulate.programs.ranks import ZipfRanks
from rateproof.simulate.programs.rng import Rng

__all__ = [
    "COUNTERS",
    "NEVER_NS",
    "OUTCOMES",
    "Instruction",
    "Op",
    "Plan",
    "Program",
    "Reply",
    "Send",
]

COUNTERS = 4
"""So deep may loops with a count be nested."""

OUTCOMES = (ADMITTED, REJECTED, UNKNOWN)
"""The outcomes by code: bit 1 << code in the mask of `Op.UNLESS`."""

NEVER_NS = 2**62
"""Instants beyond are cut to this, 146 years: no sum overflows 64 bits."""

_MOST = 2**32 - 1


class Send(NamedTuple):
    """A request that a plan asks for.

    Args:
        intended_ns: when, ns since the client's start; in the past means at once.
        alias: under which identity of the client; 0 is its own.
        attempt: 0 for a first try, n for its n-th repetition.
        over_ns: above 0, the request's header is dripped out over so long.
    """

    intended_ns: int
    alias: int = 0
    attempt: int = 0
    over_ns: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a plan learns of the request that it asked for.

    Args:
        sent_ns: when it was sent, ns since the client's start.
        done_ns: when its answer was complete or given up, ns since the client's start.
        outcome: `admitted`, `rejected` or `unknown`.
        retry_after_ns: what the server asked to wait; None if it did not say.
    """

    sent_ns: int
    done_ns: int
    outcome: str
    retry_after_ns: int | None = None


Plan = Generator[Send, Reply, None]
"""Yields the next request and is sent its `Reply`. A plan that returns ends its
client."""


class Op(IntEnum):
    """What an instruction does with its operands a, b and x.

    The *cursor* is the instant of the next request, 0 at the start; *done* is
    the end of the last answer. Instants are cut to +-`NEVER_NS`.
    """

    SEND = 0
    """Ask for a request at the cursor, its header dripped over a ns; hear the answer."""
    CONSTANT = 1
    """Cursor += a."""
    UNIFORM = 2
    """Cursor += a draw of `Uniform(a, b)`."""
    EXPONENTIAL = 3
    """Cursor += a draw of `Exponential(a)`."""
    LOGNORMAL = 4
    """Cursor += a draw of `LogNormal(a, x)`."""
    RAMP = 5
    """Cursor += `ramp_gap(cursor, a, b, x)`; the plan ends where there is none."""
    RESUME = 6
    """Cursor = done."""
    HONOUR = 7
    """Where the last answer had a Retry-After: cursor = done + that, go to a."""
    BACKOFF = 8
    """Cursor = done + uniform on [0, min(b, a * 2**attempt)]; attempt += 1."""
    AGAIN = 9
    """Attempt += 1."""
    FRESH = 10
    """Attempt = 0."""
    RENAME = 11
    """Alias += 1."""
    PICK = 12
    """Alias = a draw of `ZipfRanks(a, x)`, less 1."""
    JUMP = 13
    """Go to a."""
    UNLESS = 14
    """Go to a unless the last outcome is in the mask b; before any answer it is admitted."""
    COUNT = 15
    """Counter a = b."""
    LOOP = 16
    """Counter b -= 1; go to a if it is not yet 0."""
    SHARE = 17
    """Counter a = 1 + this connection's share of b requests of its client."""


class Instruction(NamedTuple):
    """One instruction; what an operand means is said at each `Op`."""

    op: int
    a: int = 0
    b: int = 0
    x: float = 0.0


_JUMPS = frozenset({Op.HONOUR, Op.JUMP, Op.UNLESS, Op.LOOP})
_WAITS: dict[int, Callable[[Instruction], Interval]] = {
    Op.CONSTANT: lambda now: Fixed(now.a),
    Op.UNIFORM: lambda now: Uniform(now.a, now.b),
    Op.EXPONENTIAL: lambda now: Exponential(now.a),
    Op.LOGNORMAL: lambda now: LogNormal(now.a, now.x),
}


@lru_cache(maxsize=1_024)
def _interval(now: Instruction) -> Interval:
    return _WAITS[now.op](now)


@lru_cache(maxsize=64)
def _zipf(n: int, s: float) -> ZipfRanks:
    return ZipfRanks(n, s)


@dataclass(frozen=True, slots=True)
class Program:
    """A plan's source: instructions that run from the first until past the last.

    Args:
        instructions: each jump goes to one of them, or just past the last.

    Raises:
        InvalidArgument: a loop that could go round without a request: nothing
            in the world changes meanwhile, so it would never end.
    """

    instructions: tuple[Instruction, ...]

    def __post_init__(self) -> None:
        if _spins(self.instructions):
            raise InvalidArgument("a loop without a request", "put one on every way round")

    def code(self) -> list[tuple[int, int, int, float]]:
        """The instructions as plain tuples (op, a, b, x), for the native twin."""
        return [(int(op), a, b, x) for op, a, b, x in self.instructions]

    def plan(self, rng: Rng, connection: int = 0, connections: int = 1) -> Plan:
        """A fresh plan; the same arguments and answers give the same requests.

        Args:
            rng: what it draws from.
            connection: the number of the connection among its client's, from 0.
            connections: how many its client owns.
        """
        lane = _Lane(rng, connection, connections)
        while lane.at < len(self.instructions):
            now = self.instructions[lane.at]
            lane.at += 1
            if now.op == Op.SEND:
                lane.last = yield Send(lane.cursor_ns, lane.alias, lane.attempt, now.a)
            elif now.op in _WAITS:
                lane.move(lane.cursor_ns, _interval(now).draw(rng))
            else:
                _ACTS[now.op](lane, now)


class _Lane:
    """What changes while a program runs."""

    __slots__ = (
        "alias",
        "at",
        "attempt",
        "connection",
        "connections",
        "counters",
        "cursor_ns",
        "last",
        "rng",
    )

    def __init__(self, rng: Rng, connection: int, connections: int) -> None:
        self.rng = rng
        self.connection = connection
        self.connections = connections
        self.at = 0
        self.cursor_ns = 0
        self.last = Reply(0, 0, ADMITTED)
        self.alias = 0
        self.attempt = 0
        self.counters = [0] * COUNTERS

    def move(self, from_ns: int, by_ns: int) -> None:
        self.cursor_ns = max(-NEVER_NS, min(NEVER_NS, from_ns + by_ns))

    def ramp(self, now: Instruction) -> None:
        gap_ns = ramp_gap(self.rng, max(0, self.cursor_ns), now.a, now.b, now.x)
        if gap_ns is None:
            self.at = _MOST
        else:
            self.move(self.cursor_ns, gap_ns)

    def honour(self, now: Instruction) -> None:
        if self.last.retry_after_ns is not None:
            self.move(self.last.done_ns, self.last.retry_after_ns)
            self.at = now.a

    def back_off(self, now: Instruction) -> None:
        most_ns = min(now.b, now.a << min(self.attempt, 62))
        jitter = _interval(Instruction(Op.UNIFORM, 0, most_ns))
        self.move(self.last.done_ns, jitter.draw(self.rng))
        self.again(now)

    def again(self, _now: Instruction) -> None:
        self.attempt = min(_MOST, self.attempt + 1)

    def fresh(self, _now: Instruction) -> None:
        self.attempt = 0

    def rename(self, _now: Instruction) -> None:
        self.alias = min(_MOST, self.alias + 1)

    def pick(self, now: Instruction) -> None:
        self.alias = _zipf(now.a, now.x).draw(self.rng) - 1

    def resume(self, _now: Instruction) -> None:
        self.move(self.last.done_ns, 0)

    def jump(self, now: Instruction) -> None:
        self.at = now.a

    def unless(self, now: Instruction) -> None:
        if not now.b >> OUTCOMES.index(self.last.outcome) & 1:
            self.at = now.a

    def count(self, now: Instruction) -> None:
        self.counters[now.a] = now.b

    def share(self, now: Instruction) -> None:
        each, over = divmod(now.b, self.connections)
        self.counters[now.a] = 1 + each + (self.connection < over)

    def loop(self, now: Instruction) -> None:
        self.counters[now.b] -= 1
        if self.counters[now.b] > 0:
            self.at = now.a


_ACTS: dict[int, Callable[[_Lane, Instruction], None]] = {
    Op.RAMP: _Lane.ramp,
    Op.RESUME: _Lane.resume,
    Op.HONOUR: _Lane.honour,
    Op.BACKOFF: _Lane.back_off,
    Op.AGAIN: _Lane.again,
    Op.FRESH: _Lane.fresh,
    Op.RENAME: _Lane.rename,
    Op.PICK: _Lane.pick,
    Op.JUMP: _Lane.jump,
    Op.UNLESS: _Lane.unless,
    Op.COUNT: _Lane.count,
    Op.LOOP: _Lane.loop,
    Op.SHARE: _Lane.share,
}


def _spins(code: tuple[Instruction, ...]) -> bool:
    """Whether the ways between instructions have a cycle that passes no SEND.

    Those ways, less the ones that leave a SEND, have no cycle exactly if
    taking away what nothing leads to, again and again, leaves nothing.
    """
    ways = [[] if now.op == Op.SEND else _next(at, now) for at, now in enumerate(code)]
    arriving = [0] * (len(code) + 1)
    for targets in ways:
        for target in targets:
            arriving[target] += 1
    free = [at for at, count in enumerate(arriving[:-1]) if count == 0]
    gone = 0
    while free:
        gone += 1
        for target in ways[free.pop()]:
            arriving[target] -= 1
            if arriving[target] == 0 and target < len(code):
                free.append(target)
    return gone < len(code)


def _next(at: int, now: Instruction) -> list[int]:
    after = [] if now.op == Op.JUMP else [at + 1]
    return [*after, now.a] if now.op in _JUMPS else after
