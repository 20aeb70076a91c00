"""Claims about programs: the native interpreter is the Python one's twin, bit for bit."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rateproof import _native
from rateproof.errors import InvalidArgument
from rateproof.events import ADMITTED, OUTCOMES, REJECTED, UNKNOWN
from rateproof.simulate.behaviours import BEHAVIOURS
from rateproof.simulate.programs import steps
from rateproof.simulate.programs.arrivals import Exponential, Fixed, LogNormal, Uniform
from rateproof.simulate.programs.program import (
    JUMPS,
    NEVER_NS,
    Instruction,
    Program,
    Reply,
)
from rateproof.simulate.programs.rng import Rng
from rateproof.units import MAX_DURATION_NS
from tests.samples import quick_first, samples

SECOND = 10**9
LONGEST = MAX_DURATION_NS - 1

durations = st.one_of(
    st.integers(1, LONGEST), st.integers(1, 10 * SECOND), st.sampled_from([1, LONGEST])
)
intervals = st.one_of(
    st.builds(Fixed, durations),
    st.builds(Exponential, durations),
    st.tuples(st.integers(0, LONGEST), durations).map(
        lambda pair: Uniform(min(pair), max(*pair, 1))
    ),
    st.builds(LogNormal, durations, st.floats(0.001, 10)),
)
outcome_sets = st.sets(st.sampled_from(OUTCOMES), min_size=1).map(frozenset)
rates = st.one_of(st.just(0), st.integers(0, 10**12), st.integers(10**5, 10**10))
plain = st.one_of(
    st.builds(steps.ask, st.one_of(st.just(0), durations)),
    st.builds(steps.wait, intervals),
    st.builds(steps.honour, intervals),
    st.builds(
        steps.ramp_on, rates, rates, st.integers(1, 2**53 - 1) | st.integers(1, 100 * SECOND)
    ),
    st.tuples(durations, durations).map(lambda pair: steps.back_off(min(pair), max(pair))),
    st.builds(
        steps.pick,
        st.integers(1, 10**6),
        st.one_of(st.floats(0.01, 10), st.sampled_from([1.0, 1 + 1e-12, 1e-12, 2.0])),
    ),
    st.sampled_from([steps.RESUME, steps.AGAIN, steps.FRESH, steps.RENAME]),
)
request = st.just(steps.ask())


def _unless_too_deep(step: Callable[..., steps.Step]) -> Callable[..., steps.Step]:
    def build(*arguments: Any) -> Any:
        try:
            return step(*arguments)
        except InvalidArgument:
            return arguments[-1]

    return build


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, max_size=4).map(lambda parts: sum(parts, ()))
    asking = st.tuples(several, request, several).map(lambda parts: sum(parts, ()))
    return st.one_of(
        st.builds(steps.forever, asking),
        st.builds(_unless_too_deep(steps.repeat), st.integers(0, 3), asking),
        st.builds(_unless_too_deep(steps.share_out), st.integers(1, 9), asking),
        st.builds(_unless_too_deep(steps.while_), outcome_sets, st.integers(1, 3), asking),
        st.builds(steps.when, outcome_sets, several, several),
    )


def one_of_so_many(connections: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(0, connections - 1), st.just(connections))


programs = st.lists(st.recursive(plain, _nested, max_leaves=20), min_size=1, max_size=6)


def answers_of(seed: str, count: int) -> list[Reply]:
    """Answers in an order of time, now and then out of all bounds."""
    rng = Rng(f"answers of {seed}")
    heard, done_ns = [], 0
    for _ in range(count):
        done_ns += rng.bits(30)
        end_ns = rng.bits(63) if rng.bits(4) == 0 else done_ns
        outcome = (ADMITTED, ADMITTED, REJECTED, UNKNOWN)[rng.bits(2)]
        retry_after_ns = (None, None, rng.bits(3) * SECOND, rng.bits(60))[rng.bits(2)]
        heard.append(Reply(end_ns, outcome, retry_after_ns))
    return heard


ALONE = (0, 1)


def interpreted(
    program: Program, seed: str, heard: Sequence[Reply], place: tuple[int, int] = ALONE
) -> list[tuple[int, int, int, int]]:
    plan = program.plan(Rng(seed), *place)
    sends: list[tuple[int, int, int, int]] = []
    with contextlib.suppress(StopIteration):
        sends.append(next(plan))
        for answer in heard:
            sends.append(plan.send(answer))  # noqa: PERF401 - a generator may not end in another
    return sends


def native(
    program: Program, seed: str, heard: Sequence[Reply], place: tuple[int, int] = ALONE
) -> list[tuple[int, int, int, int]]:
    figures = [
        (
            answer.done_ns,
            OUTCOMES.index(answer.outcome),
            -1 if answer.retry_after_ns is None else answer.retry_after_ns,
        )
        for answer in heard
    ]
    return _native.program_trace(program.code(), seed, figures, place)


@settings(max_examples=samples(10))
@given(programs, st.text(max_size=8), st.integers(1, 5).flatmap(one_of_so_many))
@example([steps.forever(steps.back_off(1, LONGEST), steps.ask())], "", ALONE)
def test_random_programs_ask_for_the_same_requests_in_both_languages(
    parts: list[steps.Step], seed: str, place: tuple[int, int]
) -> None:
    program = steps.compiled(*parts)
    heard = answers_of(seed, 100)
    assert native(program, seed, heard, place) == interpreted(program, seed, heard, place)


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_every_behaviour_asks_for_the_same_thousand_requests_in_both_languages(name: str) -> None:
    program = BEHAVIOURS[name]().program()
    for seed in ("1/0", "9223372036854775807/999999"):
        heard = answers_of(seed, 1_000)
        assert native(program, seed, heard) == interpreted(program, seed, heard)


@pytest.mark.parametrize(
    "interval",
    quick_first(
        [
            LogNormal(SECOND, 0.7),
            Exponential(SECOND),
            Uniform(3, LONGEST),
            LogNormal(LONGEST, 10.0),
        ],
        2,
    ),
    ids=lambda interval: interval.name,
)
def test_a_hundred_thousand_draws_are_the_same_to_the_nanosecond(interval: Any) -> None:
    program = steps.compiled(steps.forever(steps.RESUME, steps.wait(interval), steps.ask()))
    traced = _native.program_trace(program.code(), "1/0", [(0, 0, -1)] * 99_999, ALONE)
    rng = Rng("1/0")
    assert [send[0] for send in traced] == [interval.draw(rng) for _ in range(100_000)]


@pytest.mark.parametrize(
    ("n", "s"), quick_first([(10**6, 0.5), (10**6, 1.0), (1_000, 2.0), (7, 1 + 1e-9)])
)
def test_fifty_thousand_ranks_are_the_same(n: int, s: float) -> None:
    program = steps.compiled(steps.forever(steps.pick(n, s), steps.ask()))
    heard = [Reply(0, ADMITTED)] * 50_000
    assert native(program, "1/0", heard) == interpreted(program, "1/0", heard)


operands = st.one_of(st.integers(-2, 20), st.integers(-(2**63), 2**63 - 1))
lines = st.tuples(st.integers(0, 18), operands, operands, st.floats() | st.floats(0.1, 9))
figures = st.lists(
    st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2), operands), max_size=50
)


@settings(max_examples=samples(25))
@given(st.lists(lines, max_size=12), st.text(max_size=4), figures)
def test_the_native_interpreter_refuses_nonsense_or_runs_it_to_its_end(
    code: list[tuple[int, int, int, float]], seed: str, heard: list[tuple[int, int, int]]
) -> None:
    """No panic, whatever the list: an error that names it, or instants within bounds."""
    jumps = [line[1] for line in code if line[0] in JUMPS]
    try:
        if all(0 <= target <= len(code) for target in jumps):
            Program(tuple(Instruction(*line) for line in code))  # else it may never end
        sends = _native.program_trace(code, seed, heard, ALONE)
    except InvalidArgument:
        return
    assert len(sends) <= len(heard) + 1
    assert all(-NEVER_NS <= send[0] <= NEVER_NS for send in sends)


def test_the_native_interpreter_refuses_an_outcome_that_does_not_exist() -> None:
    with pytest.raises(InvalidArgument, match="outcome 3"):
        _native.program_trace([(0, 0, 0, 0.0)], "", [(0, 3, -1)], ALONE)
