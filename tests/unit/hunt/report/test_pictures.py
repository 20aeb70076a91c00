"""Pictures: nothing is lost when bins merge, nothing grows, and everything lies within 0 to 100 %."""

from collections import Counter
from random import Random

import pytest

from rateproof.events import Event, EventLog
from rateproof.hunt.report.pictures import BINS, Rates, Timeline, latency_curves
from rateproof.policy import Policy
from rateproof.prove import judge
from rateproof.simulate.summary import Summary

POLICY = Policy.parse("5 per 5s")


def rates_log(rows):
    log = EventLog()
    for sent_ns, outcome in rows:
        log.append(
            Event(key=b"a", sent_ns=sent_ns, received_ns=sent_ns + 1, status=200, outcome=outcome)
        )
    return log


@pytest.mark.parametrize("seed", range(20))
def test_every_request_is_counted_in_the_bin_of_its_time(seed):
    rng = Random(seed)
    span_ns = 10 ** rng.randint(1, 14)
    rates, rows = Rates(), []
    for _ in range(rng.randint(1, 4)):
        begin = len(rows) * span_ns
        batch = [
            (begin + rng.randrange(span_ns), rng.choice(["admitted", "rejected", "unknown"]))
            for _ in range(rng.randint(1, 50))
        ]
        rates.add(rates_log(batch))
        rows += batch
    wanted = Counter((who, max(0, at - rates.origin_ns) // rates.width_ns) for at, who in rows)
    assert rates.counts == wanted
    assert rates.used == max(place for _, place in wanted) + 1 <= BINS
    bars = rates.bars()
    assert {(outcome, place) for outcome, place, *_ in bars} == wanted.keys()
    assert max(bottom + height for *_, bottom, height in bars) == pytest.approx(100)


def test_without_requests_there_is_nothing_to_show():
    rates = Rates()
    rates.add(EventLog())
    assert (rates.used, rates.per_s, rates.bars()) == (0, 0, [])
    assert latency_curves(Summary(clients=0))[2] == []


def timeline_of(log, claim="over-admission"):
    (first, *_) = [piece for piece in judge(log, POLICY).evidence if piece.claim == claim]
    return Timeline(first)


@pytest.mark.parametrize(
    ("at_s", "rejected", "claim", "is_cut"),
    [
        ((0, 0.1, 0.2, 0.3, 0.4, 0.5), (), "over-admission", True),
        ((0, 1, 2, 2, 2, 2), (), "over-admission", False),
        ((0,), (1,), "wrong-rejection", False),
    ],
)
def test_a_window_far_longer_than_the_evidence_is_cut_off(log_of, at_s, rejected, claim, is_cut):
    line = timeline_of(log_of(*at_s, rejected=rejected), claim)
    assert line.frame.is_cut == is_cut
    spans = [(line.left, line.width), *((left, width) for _, left, width, _ in line.bars)]
    assert all(0 <= left <= left + width <= 100.01 for left, width in spans)


def test_the_window_of_a_wrong_rejection_ends_where_that_was_sent(log_of):
    line = timeline_of(log_of(0, 1, rejected=[2]), "wrong-rejection")
    event, left, *_ = line.bars[-1]
    assert event.outcome == "rejected"
    assert line.left + line.width == pytest.approx(left)


def test_of_very_many_requests_the_first_and_the_last_are_drawn(log_of):
    log = log_of(*(n / 1_000 for n in range(60)))
    (piece, *_) = judge(log, Policy.parse("50 per 5s")).evidence
    line = Timeline(piece)
    assert len(line.bars) == 24
    assert line.left_out == len(piece.events) - 24
    shown = [event.number for event, *_ in line.bars]
    numbers = [event.number for event in piece.events]
    assert shown == numbers[:16] + numbers[-8:]


def test_the_ends_of_the_axis_have_the_unit_of_people():
    log = EventLog()
    for takes_ns in (657_000, 12_500_000):
        log.append(
            Event(
                key=b"a", sent_ns=0, received_ns=takes_ns, done_ns=takes_ns,
                status=200, outcome="admitted",
            )
        )  # fmt: skip
    assert latency_curves(Summary.of(log))[:2] == ("657 µs", "12.5 ms")


def test_a_curve_climbs_from_none_to_all(log_of):
    summary = Summary.of(log_of(0, 1, 2, rejected=[3]))
    *_, curves = latency_curves(summary)
    assert [curve.outcome for curve in curves] == ["admitted", "rejected"]
    for curve in curves:
        points = [tuple(map(float, point.split(","))) for point in curve.points.split()]
        assert points[0] == (0, 100)
        assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
        assert points[-1][1] == 0
        assert points == sorted(points, key=lambda point: (point[0], -point[1]))
