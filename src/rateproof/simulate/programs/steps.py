"""What behaviours are made of: steps, compiled into a flat program."""

from dataclasses import dataclass
from typing import Protocol

from rateproof.errors import InvalidArgument
from rateproof.simulate.programs.arrivals import Exponential, Fixed, Interval, LogNormal, Uniform
from rateproof.simulate.programs.program import COUNTERS, OUTCOMES, Instruction, Op, Program

__all__ = [
    "AGAIN",
    "FRESH",
    "RENAME",
    "RESUME",
    "Ask",
    "BackoffWait",
    "Forever",
    "Honour",
    "Pick",
    "RampWait",
    "Repeat",
    "Shared",
    "Step",
    "Wait",
    "When",
    "While",
    "compiled",
]


def compiled(*steps: "Step") -> Program:
    """The program that does these steps one after the other, then ends.

    Raises:
        InvalidArgument: loops with a count nested deeper than 4, or a loop
            that could go round without a request.
    """
    code = _Code()
    code.add(steps)
    return Program(tuple(code.instructions))


class _Code:
    """Instructions as far as they are written."""

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.depth = 0

    @property
    def here(self) -> int:
        return len(self.instructions)

    def emit(self, op: Op, a: int = 0, b: int = 0, x: float = 0.0) -> int:
        self.instructions.append(Instruction(op, a, b, x))
        return self.here - 1

    def land(self, jump: int) -> None:
        """Let an earlier jump come to here."""
        self.instructions[jump] = self.instructions[jump]._replace(a=self.here)

    def add(self, steps: "tuple[Step, ...]") -> None:
        for step in steps:
            step.compile(self)

    def begin_count(self, times: int, op: Op = Op.COUNT) -> int:
        """Open a loop of so many rounds; which counter it has."""
        counter = self.depth
        if counter == COUNTERS:
            raise InvalidArgument(
                f"loops are nested deeper than {COUNTERS}", "take one out, or repeat forever"
            )
        self.depth += 1
        self.emit(op, counter, times)
        return counter

    def end_count(self, start: int, counter: int) -> None:
        self.emit(Op.LOOP, start, counter)
        self.depth -= 1


class Step(Protocol):
    """A part of what a client does."""

    def compile(self, code: _Code) -> None:
        """Append the step's instructions."""
        ...


@dataclass(frozen=True, slots=True)
class Ask:
    """Send at the cursor and wait for the answer.

    Args:
        over_ns: above 0, drip the header out over so long.
    """

    over_ns: int = 0

    def compile(self, code: _Code) -> None:
        """A SEND."""
        code.emit(Op.SEND, self.over_ns)


@dataclass(frozen=True, slots=True)
class Wait:
    """Move the cursor on by a draw of `interval`."""

    interval: Interval

    def compile(self, code: _Code) -> None:
        """The instruction of the interval's kind."""
        match self.interval:
            case Fixed(interval_ns):
                code.emit(Op.CONSTANT, interval_ns)
            case Uniform(low_ns, high_ns):
                code.emit(Op.UNIFORM, low_ns, high_ns)
            case Exponential(mean_ns):
                code.emit(Op.EXPONENTIAL, mean_ns)
            case LogNormal(median_ns, sigma):
                code.emit(Op.LOGNORMAL, median_ns, x=float(sigma))
            case other:
                raise InvalidArgument(
                    f"interval {other!r}", "Fixed, Uniform, Exponential or LogNormal"
                )


@dataclass(frozen=True, slots=True)
class RampWait:
    """Move the cursor on to the next arrival of a ramp; see `ramp_gap`.

    Args:
        start: the rate at instant 0, in requests in a million seconds, 0 to 10**12.
        end: the rate from `over_ns` on; 0: the plan ends there.
        over_ns: how long the ramp takes, below 2**53 (104 days).
    """

    start: int
    end: int
    over_ns: int

    def compile(self, code: _Code) -> None:
        """A RAMP."""
        code.emit(Op.RAMP, self.start, self.end, float(self.over_ns))


@dataclass(frozen=True, slots=True)
class _Plain:
    """A step that is one instruction without operands."""

    op: Op

    def compile(self, code: _Code) -> None:
        code.emit(self.op)


RESUME: Step = _Plain(Op.RESUME)
"""Set the cursor to the end of the last answer."""
AGAIN: Step = _Plain(Op.AGAIN)
"""The next request repeats the last one: one attempt more."""
FRESH: Step = _Plain(Op.FRESH)
"""The next request is a first try."""
RENAME: Step = _Plain(Op.RENAME)
"""Go on under an identity that was never used before."""


@dataclass(frozen=True, slots=True)
class Honour:
    """Set the cursor to the end of the last answer + its Retry-After, or + a draw."""

    otherwise: Interval

    def compile(self, code: _Code) -> None:
        """HONOUR jumps over what is done where there was no Retry-After."""
        jump = code.emit(Op.HONOUR)
        code.add((RESUME, Wait(self.otherwise)))
        code.land(jump)


@dataclass(frozen=True, slots=True)
class BackoffWait:
    """Set the cursor by exponential backoff with full jitter; one attempt more.

    Args:
        base_ns: the longest pause after the first try, 1 ns or more.
        cap_ns: the longest after any, not below `base_ns`.
    """

    base_ns: int
    cap_ns: int

    def compile(self, code: _Code) -> None:
        """A BACKOFF."""
        code.emit(Op.BACKOFF, self.base_ns, self.cap_ns)


@dataclass(frozen=True, slots=True)
class Pick:
    """Go on under identity number k of 0 to n - 1, with P(k) ~ (k + 1)**-s.

    Args:
        n: 1 to 10**6.
        s: above 0 and at most 10.
    """

    n: int
    s: float

    def compile(self, code: _Code) -> None:
        """A PICK."""
        code.emit(Op.PICK, self.n, x=float(self.s))


@dataclass(frozen=True, slots=True)
class Forever:
    """Do the steps again and again."""

    steps: tuple[Step, ...]

    def compile(self, code: _Code) -> None:
        """The steps and a JUMP back."""
        start = code.here
        code.add(self.steps)
        code.emit(Op.JUMP, start)


@dataclass(frozen=True, slots=True)
class Repeat:
    """Do the steps `times` times, 0 to 2**31 - 1."""

    times: int
    steps: tuple[Step, ...]

    def compile(self, code: _Code) -> None:
        """The steps in a COUNT and a LOOP; nothing for 0 times."""
        if self.times == 0:
            return
        counter = code.begin_count(self.times)
        start = code.here
        code.add(self.steps)
        code.end_count(start, counter)


@dataclass(frozen=True, slots=True)
class Shared:
    """Do the steps `times` times in all, dealt evenly to the connections of the client.

    Of n connections the first `times` modulo n do them once more than the others.

    Args:
        times: 1 to 2**31 - 1.
        steps: what to do.
    """

    times: int
    steps: tuple[Step, ...]

    def compile(self, code: _Code) -> None:
        """A SHARE, then a counted loop that is entered at its end: the share may be 0."""
        counter = code.begin_count(self.times, Op.SHARE)
        enter = code.emit(Op.JUMP)
        start = code.here
        code.add(self.steps)
        code.land(enter)
        code.end_count(start, counter)


@dataclass(frozen=True, slots=True)
class When:
    """Do one or the other, as the last outcome is.

    Args:
        outcomes: one or more of `admitted`, `rejected` and `unknown`.
        then: for these.
        otherwise: for any other.
    """

    outcomes: frozenset[str]
    then: tuple[Step, ...]
    otherwise: tuple[Step, ...] = ()

    def compile(self, code: _Code) -> None:
        """An UNLESS over `then`, a JUMP over `otherwise`."""
        skip = code.emit(Op.UNLESS, b=_mask(self.outcomes))
        code.add(self.then)
        if not self.otherwise:
            code.land(skip)
            return
        end = code.emit(Op.JUMP)
        code.land(skip)
        code.add(self.otherwise)
        code.land(end)


@dataclass(frozen=True, slots=True)
class While:
    """Do the steps as long as the last outcome is one of some, `times` times at most.

    Args:
        outcomes: one or more of `admitted`, `rejected` and `unknown`.
        times: 1 to 2**31 - 1.
        steps: what to do.
    """

    outcomes: frozenset[str]
    times: int
    steps: tuple[Step, ...]

    def compile(self, code: _Code) -> None:
        """A counted loop that an UNLESS leaves."""
        counter = code.begin_count(self.times)
        start = code.here
        leave = code.emit(Op.UNLESS, b=_mask(self.outcomes))
        code.add(self.steps)
        code.end_count(start, counter)
        code.land(leave)


def _mask(outcomes: frozenset[str]) -> int:
    return sum(1 << OUTCOMES.index(outcome) for outcome in outcomes)
