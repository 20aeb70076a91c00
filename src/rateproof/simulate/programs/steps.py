"""Steps that behaviours are made of: pieces of code one after the other.

A step is a tuple of instructions whose jumps count from where they stand, so that steps can be
joined, by `+` too; `compiled` makes a program of them.
"""

from dataclasses import astuple
from itertools import chain

from rateproof.errors import InvalidArgument
from rateproof.events import OUTCOMES
from rateproof.simulate.programs.arrivals import Exponential, Fixed, Interval, LogNormal, Uniform
from rateproof.simulate.programs.program import (
    COUNTERS,
    JUMPS,
    Instruction,
    Op,
    Program,
)

Step = tuple[Instruction, ...]
"""A part of what a client does."""

RESUME: Step = (Instruction(Op.RESUME),)
"""Set the cursor to the end of the last answer."""
AGAIN: Step = (Instruction(Op.AGAIN),)
"""The next request repeats the last one: one attempt more."""
FRESH: Step = (Instruction(Op.FRESH),)
"""The next request is a first try."""
RENAME: Step = (Instruction(Op.RENAME),)
"""Go on under an identity that was never used before."""

_DRAWS: dict[type, Op] = {
    Fixed: Op.CONSTANT,
    Uniform: Op.UNIFORM,
    Exponential: Op.EXPONENTIAL,
}


def compiled(*steps: Step) -> Program:
    """The program that does these steps one after the other, then ends.

    Raises:
        InvalidArgument: a loop that could go round without a request.
    """
    return Program(
        tuple(
            now._replace(a=at + now.a) if now.op in JUMPS else now
            for at, now in enumerate(chain(*steps))
        )
    )


def ask(over_ns: int = 0) -> Step:
    """Send at the cursor and wait for the answer; above 0, drip the header out over `over_ns`."""
    return (Instruction(Op.SEND, over_ns),)


def wait(interval: Interval) -> Step:
    """Move the cursor on by a draw of `interval`.

    Raises:
        InvalidArgument: an interval that the engine does not know.
    """
    if isinstance(interval, LogNormal):
        return (Instruction(Op.LOGNORMAL, interval.median_ns, x=float(interval.sigma)),)
    if not isinstance(interval, Fixed | Uniform | Exponential):
        raise InvalidArgument(f"interval {interval!r}", "Fixed, Uniform, Exponential or LogNormal")
    return (Instruction(_DRAWS[type(interval)], *astuple(interval)),)


def ramp_on(start: int, end: int, over_ns: int) -> Step:
    """Move the cursor on to the next arrival of a ramp; see `ramp_gap`.

    Args:
        start: the rate at instant 0, in requests in a million seconds, 0 to 10**12.
        end: the rate from `over_ns` on; 0: the plan ends there.
        over_ns: how long the ramp takes, below 2**53 (104 days).
    """
    return (Instruction(Op.RAMP, start, end, float(over_ns)),)


def honour(otherwise: Interval) -> Step:
    """Set the cursor to the end of the last answer + its Retry-After, or + a draw."""
    return (Instruction(Op.HONOUR, 3), *RESUME, *wait(otherwise))


def back_off(base_ns: int, cap_ns: int) -> Step:
    """Set the cursor by exponential backoff with full jitter; one attempt more.

    Args:
        base_ns: the longest pause after the first try, 1 ns or more.
        cap_ns: the longest after any, not below `base_ns`.
    """
    return (Instruction(Op.BACKOFF, base_ns, cap_ns),)


def pick(n: int, s: float) -> Step:
    """Go on under identity number k of 0 to n - 1, 10**6 at most, with P(k) ~ (k + 1)**-s."""
    return (Instruction(Op.PICK, n, x=float(s)),)


def forever(*steps: Step) -> Step:
    """Do the steps again and again."""
    body = tuple(chain(*steps))
    return (*body, Instruction(Op.JUMP, -len(body)))


def repeat(times: int, *steps: Step) -> Step:
    """Do the steps `times` times, 0 to 2**31 - 1."""
    body = tuple(chain(*steps))
    return _counted(Op.COUNT, times, (), body, -len(body)) if times else ()


def share_out(times: int, *steps: Step) -> Step:
    """Do the steps `times` times in all, dealt evenly to the connections of the client.

    Of n connections the first `times` modulo n do them once more than the others.
    """
    body = tuple(chain(*steps))
    # Entered at its end: the share may be 0.
    return _counted(Op.SHARE, times, (Instruction(Op.JUMP, len(body) + 1),), body, -len(body))


def while_(outcomes: frozenset[str], times: int, *steps: Step) -> Step:
    """Do the steps as long as the last outcome is one of some, `times` times at most."""
    body = tuple(chain(*steps))
    leave = Instruction(Op.UNLESS, len(body) + 2, _mask(outcomes))
    return _counted(Op.COUNT, times, (leave,), body, -len(body) - 1)


def when(outcomes: frozenset[str], then: Step, otherwise: Step = ()) -> Step:
    """Do one or the other, as the last outcome is one of `outcomes` or none of them."""
    if otherwise:
        then = (*then, Instruction(Op.JUMP, len(otherwise) + 1))
    return (Instruction(Op.UNLESS, len(then) + 1, _mask(outcomes)), *then, *otherwise)


def _counted(op: Op, times: int, before: Step, body: Step, back: int) -> Step:
    """A loop with the first counter that no loop within has."""
    inside = (now.a for now in body if now.op in {Op.COUNT, Op.SHARE})
    counter = max(inside, default=-1) + 1
    if counter == COUNTERS:
        raise InvalidArgument(
            f"loops are nested deeper than {COUNTERS}", "take one out, or repeat forever"
        )
    return (
        Instruction(op, counter, times),
        *before,
        *body,
        Instruction(Op.LOOP, back, counter),
    )


def _mask(outcomes: frozenset[str]) -> int:
    return sum(1 << OUTCOMES.index(outcome) for outcome in outcomes)
