"""The table of worst cases in docs/enforce is what our prover measures of our limiter."""

import re
from pathlib import Path

import pytest

from rateproof import EventLog, Limiter, ManualClock, Policy, judge
from rateproof.events import ADMITTED, REJECTED, Event
from rateproof.prove import OVER_ADMISSION

PAGE = Path(__file__).parents[2] / "docs" / "enforce" / "choosing-an-algorithm.md"
ROW = re.compile(
    r"^\| `(?P<policy>[^`]+)` \| (?P<schedule>[0-9@. ]+) \| (\d+) \| (\d+) \|$", re.MULTILINE
)
S = 1_000_000_000
ROWS = [match.groups() for match in ROW.finditer(PAGE.read_text())]


def log_of(policy, schedule):
    """The log of a client who sends by the schedule; each request takes no time."""
    log = EventLog()
    clock = ManualClock(1000 * 5 * S)
    start = clock.now_ns()
    with Limiter(policy, clock=clock) as limiter:
        for step in schedule.split():
            count, at = step.split("@")
            clock.advance(start + round(float(at) * S) - clock.now_ns())
            for _ in range(int(count)):
                now, admitted = clock.now_ns(), limiter.hit("a").admitted
                log.append(
                    Event(
                        key=b"a",
                        sent_ns=now,
                        received_ns=now,
                        status=200 if admitted else 503,
                        outcome=ADMITTED if admitted else REJECTED,
                    )
                )
    return log


def holds(log, count):
    verdict = judge(
        log, Policy.parse(f"{count} per 5s"), claims=frozenset({OVER_ADMISSION}), tolerance_ppm=0
    )
    return verdict.outcome != "violated"


def test_the_page_has_a_row_for_every_algorithm():
    assert len(ROWS) == 6


@pytest.mark.parametrize(("policy", "schedule", "measured", "declared"), ROWS)
def test_a_row_says_what_the_prover_finds(policy, schedule, measured, declared):
    log = log_of(policy, schedule)
    assert holds(log, int(measured))
    assert not holds(log, int(measured) - 1)
    assert Policy.parse(policy).worst_case(5 * S) == int(declared)
