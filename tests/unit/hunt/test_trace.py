"""From evidence back to what its client had sent."""

import pytest

from rateproof.events import Event, EventLog
from rateproof.hunt.recipe import Phase
from rateproof.hunt.shrinking.edits import Draft, edits
from rateproof.hunt.shrinking.trace import retrace
from rateproof.policy import Policy
from rateproof.prove import judge
from rateproof.simulate.identities import identity_of

SECOND = 1_000_000_000
POLICY = Policy.parse("5 per 5s")
CLAIM = "over-admission"
START = 77 * SECOND


def row(key, at, *, admitted=True, late_ns=1_000_000):
    at_ns = round(at * SECOND)
    return Event(
        key=key,
        intended_ns=START + at_ns,
        sent_ns=START + at_ns + late_ns,
        received_ns=START + at_ns + late_ns + 1_000_000,
        status=200 if admitted else 429,
        outcome="admitted" if admitted else "rejected",
    )


def traced(rows, metadata=None, policy=POLICY):
    log = EventLog({"start_ns": START} | (metadata or {}))
    log.extend(rows)
    verdict = judge(log, policy, claims=frozenset({CLAIM}))
    assert verdict.outcome == "violated"
    return retrace(log, verdict, policy, CLAIM)[0]


BOUNDARY = [(0, True), *[(4.9, True)] * 4, *[(5.1, True)] * 4, (5.1, False)]


def test_the_request_that_opened_the_window_is_part_of_it():
    trace = traced([row(b"a", at, admitted=ok) for at, ok in BOUNDARY])
    assert str(trace.starts[0].schedule) == "1 at 0 s, 4 at 4.9 s, 5 at 5.1 s"
    admitted, evidence = map(str, trace.starts[1:])
    assert admitted == "1 at 0 s, 4 at 4.9 s, 4 at 5.1 s"
    assert evidence == "4 at 0 s, 2 at 0.2 s", "6 of the 9 in less than a window"
    assert trace.window_ns == 5 * SECOND
    assert trace.least == 6


def test_what_came_two_windows_before_or_after_is_not():
    rows = [row(b"a", at + 20, admitted=ok) for at, ok in BOUNDARY]
    trace = traced([row(b"a", 1), *rows, row(b"a", 40)])
    assert str(trace.starts[0].schedule) == "1 at 0 s, 4 at 4.9 s, 5 at 5.1 s"


def test_a_burst_is_whole_although_its_evidence_needs_less():
    trace = traced([row(b"a", 0, late_ns=1_000 * number) for number in range(40)])
    assert str(trace.starts[0].schedule) == "40 at 0 s"


def test_the_connections_are_those_of_the_clients_group():
    scenario = {
        "namespace": "n",
        "groups": [{"clients": 3, "connections": 1}, {"clients": 2, "connections": 9}],
    }
    rows = [row(identity_of("n", 4), 0) for _ in range(9)]
    assert traced(rows, {"scenario": scenario}).starts[0].connections == 9


@pytest.mark.parametrize("policy", ["20 per 1h", "20 per 1h; 5 per 1s"])
def test_instants_of_a_long_window_stay_apart(policy):
    """All that came within 36 s was told as one burst, which another quota denies."""
    rows = [row(b"a", at + 0.25) for at in (0, 1.1, 2.2, 3.3, 4.4) for _ in range(5)]
    rows += [row(b"other", 0.75)]
    trace = traced(rows, {"epoch_ns": 1_000 * SECOND}, Policy.parse(policy))
    seen = trace.starts[0]
    assert str(seen.schedule) == "5 at 0 s, 5 at 1.1 s, 5 at 2.2 s, 5 at 3.3 s, 5 at 4.4 s"
    assert str(seen.others) == "1 at 0.5 s"
    assert seen.phase.at_ns == 1_000 * SECOND + SECOND // 4
    for edit in edits(Draft.of(seen), trace.window_ns):
        simpler = edit(Draft.of(seen)).recipe()
        assert simpler is None or simpler.span_ns <= seen.span_ns + SECOND // 10


@pytest.mark.parametrize("others", [0, 7, 3_000])
def test_others_who_came_in_between_are_kept(others):
    rows = [row(b"a", 0)] * 5 + [row(b"a", 4)] * 5
    rows += [row(b"other %d" % number, 0.5 + number / 10_000) for number in range(others)]
    rows += [row(b"too late", 4.5)]
    assert traced(rows).starts[0].other_clients == others


def test_others_who_came_while_a_burst_was_sent_come_with_it():
    rows = [row(b"a", 0, late_ns=number * 1_000_000) for number in range(10)]
    rows += [row(b"other", 0.003), row(b"another", 0.004), row(b"late", 0.02)]
    recipe = traced(rows).starts[0]
    assert str(recipe.schedule) == "10 at 0 s"
    assert str(recipe.others) == "2 at 0 s"


def test_the_phase_is_that_of_the_first_request():
    rows = [row(b"a", 0.25) for _ in range(6)]
    trace = traced(rows, {"epoch_ns": 1_000 * SECOND + 3})
    assert trace.starts[0].phase == Phase(SECOND // 4, 5 * SECOND)


def test_the_client_with_the_fewest_requests_comes_first():
    rows = [row(b"many", 0.01 * number) for number in range(60)]
    rows += [row(b"few", 0.5) for _ in range(6)]
    assert traced(rows).evidence.key == b"few"


def test_a_claim_without_evidence_has_no_trace():
    log = EventLog({"start_ns": START})
    log.extend(row(b"a", at, admitted=ok) for at, ok in BOUNDARY)
    verdict = judge(log, POLICY, claims=frozenset({CLAIM}))
    assert retrace(log, verdict, POLICY, "wrong-rejection") == []
