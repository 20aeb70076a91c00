"""The plan of a client, as a short list of instructions that two languages run alike.

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
from rateproof.events import ADMITTED, OUTCOMES
from rateproof.simulate.programs.arrivals import (
    Exponential,
    Fixed,
    Interval,
    LogNormal,
    Uniform,
    ramp_gap,
)
from rateproof.simulate.programs.ranks import ZipfRanks
from rateproof.simulate.programs.rng import Rng

COUNTERS = 4
"""So deep may loops with a count be nested."""

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
    """The answer to the request that a plan asked for.

    Args:
        done_ns: when its answer was complete or given up, ns since the client's start.
        outcome: `admitted`, `rejected` or `unknown`.
        retry_after_ns: what the server asked to wait; None if it did not say.
    """

    done_ns: int
    outcome: str
    retry_after_ns: int | None = None


Plan = Generator[Send, Reply, None]
"""Yields the next request and is sent its `Reply`. A plan that returns ends its
client."""


class Op(IntEnum):
    """Actions of an instruction on its operands a, b and x.

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
    """If the last answer had a Retry-After: cursor = done + that, go to a."""
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
    """Go to a unless b has bit 1 << i, OUTCOMES[i] the last outcome; at first it is admitted."""
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


JUMPS = frozenset({Op.HONOUR, Op.JUMP, Op.UNLESS, Op.LOOP})
"""Those whose operand a is an instruction."""

_WAITS: dict[int, Callable[[Instruction], Interval]] = {
    Op.CONSTANT: lambda now: Fixed(now.a),
    Op.UNIFORM: lambda now: Uniform(now.a, now.b),
    Op.EXPONENTIAL: lambda now: Exponential(now.a),
    Op.LOGNORMAL: lambda now: LogNormal(now.a, now.x),
}


@lru_cache(maxsize=1_024)
def _interval(now: Instruction) -> Interval:
    return _WAITS[now.op](now)


_zipf = lru_cache(maxsize=64)(ZipfRanks)


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

    def plan(  # noqa: C901, PLR0912 - a case for each instruction
        self, rng: Rng, connection: int = 0, connections: int = 1
    ) -> Plan:
        """A fresh plan; the same arguments and answers give the same requests.

        Args:
            rng: what it draws from.
            connection: the number of the connection among its client's, from 0.
            connections: how many its client owns.
        """
        at = cursor_ns = alias = attempt = 0
        last = Reply(0, ADMITTED)
        counters = [0] * COUNTERS
        while at < len(self.instructions):
            op, a, b, x = now = self.instructions[at]
            at += 1
            match op:
                case Op.SEND:
                    last = yield Send(cursor_ns, alias, attempt, a)
                case Op.CONSTANT | Op.UNIFORM | Op.EXPONENTIAL | Op.LOGNORMAL:
                    cursor_ns = _cut(cursor_ns + _interval(now).draw(rng))
                case Op.RAMP:
                    gap_ns = ramp_gap(rng, max(0, cursor_ns), a, b, x)
                    if gap_ns is None:
                        return
                    cursor_ns = _cut(cursor_ns + gap_ns)
                case Op.RESUME:
                    cursor_ns = _cut(last.done_ns)
                case Op.HONOUR if last.retry_after_ns is not None:
                    cursor_ns, at = _cut(last.done_ns + last.retry_after_ns), a
                case Op.BACKOFF:
                    jitter = _interval(Instruction(Op.UNIFORM, 0, min(b, a << min(attempt, 62))))
                    cursor_ns = _cut(last.done_ns + jitter.draw(rng))
                    attempt = min(_MOST, attempt + 1)
                case Op.AGAIN:
                    attempt = min(_MOST, attempt + 1)
                case Op.FRESH:
                    attempt = 0
                case Op.RENAME:
                    alias = min(_MOST, alias + 1)
                case Op.PICK:
                    alias = _zipf(a, x).draw(rng) - 1
                case Op.JUMP:
                    at = a
                case Op.UNLESS if not b >> OUTCOMES.index(last.outcome) & 1:
                    at = a
                case Op.COUNT:
                    counters[a] = b
                case Op.SHARE:
                    counters[a] = 1 + b // connections + (connection < b % connections)
                case Op.LOOP:
                    counters[b] -= 1
                    if counters[b] > 0:
                        at = a


def _cut(instant_ns: int) -> int:
    return max(-NEVER_NS, min(NEVER_NS, instant_ns))


def _spins(code: tuple[Instruction, ...]) -> bool:
    """True if the ways between instructions have a cycle that passes no SEND.

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
    return [*after, now.a] if now.op in JUMPS else after
