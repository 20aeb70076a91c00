"""Claims about programs: what each step does, and what no program may do."""

from typing import ClassVar

import pytest

from rateproof.errors import InvalidArgument
from rateproof.events import ADMITTED, REJECTED, UNKNOWN
from rateproof.simulate.programs.arrivals import Fixed, Interval, Uniform
from rateproof.simulate.programs.program import NEVER_NS, Instruction, Op, Program, Reply, Send
from rateproof.simulate.programs.rng import Rng
from rateproof.simulate.programs.steps import (
    AGAIN,
    FRESH,
    RENAME,
    RESUME,
    Step,
    ask,
    back_off,
    compiled,
    forever,
    honour,
    pick,
    ramp_on,
    repeat,
    wait,
    when,
    while_,
)

OK = frozenset({ADMITTED})
NOT_OK = frozenset({REJECTED, UNKNOWN})


def told(program: Program, *answers: Reply) -> list[Send]:
    """Requests of a program that hears these answers; it may end earlier."""
    plan = program.plan(Rng("1"))
    sends = []
    try:
        sends.append(next(plan))
        for answer in answers:
            sends.append(plan.send(answer))  # noqa: PERF401 - a generator may not end in another
    except StopIteration:
        pass
    return sends


def done(*instants_ns: int, outcome: str = ADMITTED) -> list[Reply]:
    return [Reply(instant_ns, outcome) for instant_ns in instants_ns]


def test_a_program_without_steps_ends_at_once() -> None:
    assert told(compiled()) == []


def test_waits_add_up_from_the_clients_start() -> None:
    five = wait(Fixed(5))
    assert told(compiled(five, five, ask(), five, ask(over_ns=3)), *done(99)) == [
        Send(10),
        Send(15, over_ns=3),
    ]


def test_resume_goes_on_from_the_end_of_the_last_answer() -> None:
    program = compiled(ask(), RESUME, wait(Fixed(5)), ask())
    assert told(program, *done(99)) == [Send(0), Send(104)]


def test_repetitions_can_be_nested_and_start_anew_each_time() -> None:
    program = compiled(repeat(2, repeat(3, ask()), wait(Fixed(1))), ask())
    sends = told(program, *done(*range(20)))
    assert [send.intended_ns for send in sends] == [0, 0, 0, 1, 1, 1, 2]


def test_nothing_is_repeated_zero_times() -> None:
    assert told(compiled(repeat(0, ask()), ask()), *done(1)) == [Send(0)]


def test_while_ends_with_the_outcome_or_with_its_count_and_starts_anew() -> None:
    retries = while_(NOT_OK, 2, AGAIN, ask())
    program = compiled(forever(FRESH, ask(), retries))
    outcomes = [REJECTED, ADMITTED, REJECTED, UNKNOWN, REJECTED, REJECTED, ADMITTED]
    sends = told(program, *(Reply(0, outcome) for outcome in outcomes))
    assert [send.attempt for send in sends] == [0, 1, 0, 1, 2, 0, 1, 0]


@pytest.mark.parametrize("otherwise", [(), wait(Fixed(7))])
def test_when_does_one_or_the_other(otherwise: Step) -> None:
    program = compiled(ask(), when(OK, wait(Fixed(5)), otherwise), ask())
    assert told(program, *done(1))[1] == Send(5)
    assert told(program, *done(1, outcome=UNKNOWN))[1] == Send(7 if otherwise else 0)


def test_honour_takes_what_the_server_said_or_a_draw_from_the_end_of_the_answer() -> None:
    program = compiled(ask(), honour(Fixed(7)), ask())
    assert told(program, Reply(100, REJECTED, 50))[1] == Send(150)
    assert told(program, Reply(100, REJECTED, 0))[1] == Send(100)
    assert told(program, Reply(100, REJECTED))[1] == Send(107)


def test_backoff_never_leaves_its_cap_however_often_it_is_asked() -> None:
    program = compiled(forever(ask(), back_off(1, 2**61 - 1)))
    sends = told(program, *done(*[0] * 200, outcome=REJECTED))
    assert [send.attempt for send in sends] == list(range(201))
    assert all(0 <= send.intended_ns < 2**61 for send in sends)


def test_rename_counts_up_and_pick_draws_again() -> None:
    renaming = told(compiled(forever(ask(), RENAME)), *done(1, 2))
    assert [send.alias for send in renaming] == [0, 1, 2]
    picking = told(compiled(forever(pick(9, 1.0), ask())), *done(*[0] * 99))
    assert {send.alias for send in picking} == set(range(9))


def test_instants_stop_before_they_overflow() -> None:
    program = compiled(forever(ask(), RESUME, wait(Fixed(2**61 - 1))))
    sends = told(program, *done(2**63 - 1, -(2**63)))
    assert [send.intended_ns for send in sends] == [0, NEVER_NS, -NEVER_NS + 2**61 - 1]


@pytest.mark.parametrize(
    "step",
    [
        forever(),
        forever(wait(Fixed(1))),
        forever(when(OK, ask())),
        forever(while_(NOT_OK, 3, ask()), RESUME),
        repeat(2**31 - 1, wait(Fixed(1))),
        while_(OK, 1, when(OK, RESUME, ask())),
    ],
)
def test_a_loop_that_could_go_round_without_a_request_is_refused(step: Step) -> None:
    """It would never end: nothing that it looks at changes meanwhile."""
    with pytest.raises(InvalidArgument, match="loop without a request"):
        compiled(step)


def test_a_program_that_is_made_by_hand_is_held_to_the_same() -> None:
    with pytest.raises(InvalidArgument, match="loop without a request"):
        Program((Instruction(Op.SEND), Instruction(Op.JUMP, 1)))


def test_counted_loops_are_nested_four_deep_at_most() -> None:
    step = ask()
    for _ in range(4):
        step = repeat(2, step)
    assert len(told(compiled(step), *done(*[0] * 15))) == 16
    with pytest.raises(InvalidArgument, match="deeper than 4"):
        repeat(2, step)


def test_the_code_is_plain_figures() -> None:
    code = compiled(wait(Uniform(2, 5)), forever(ramp_on(1, 2, 10**9), ask())).code()
    assert code == [(2, 2, 5, 0.0), (5, 1, 2, 1e9), (0, 0, 0, 0.0), (13, 1, 0, 0.0)]
    assert all([type(each) for each in line] == [int, int, int, float] for line in code)


def test_an_interval_of_another_kind_cannot_be_compiled() -> None:
    class Other:
        name: ClassVar[str] = "other"

        def draw(self, _rng: Rng) -> int:
            return 1

    other: Interval = Other()
    with pytest.raises(InvalidArgument, match="Fixed, Uniform"):
        wait(other)
