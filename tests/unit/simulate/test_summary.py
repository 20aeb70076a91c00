"""Claims about summaries: exact counts, nearest-rank percentiles, outcomes kept apart."""

import json
import random
from typing import Any

import pytest

from rateproof.errors import InvalidArgument
from rateproof.events import Event, EventLog
from rateproof.simulate.summary import Summary, nearest_rank

MS = 1_000_000


def event(**values: Any) -> Event:
    base: dict[str, Any] = {
        "key": b"a",
        "sent_ns": 0,
        "received_ns": 1,
        "status": 200,
        "outcome": "admitted",
        "done_ns": 2,
    }
    return Event(**(base | values))


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([], 50, None),
        ([7], 1, 7),
        ([7], 100, 7),
        ([15, 20, 35, 40, 50], 5, 15),
        ([15, 20, 35, 40, 50], 30, 20),
        ([15, 20, 35, 40, 50], 40, 20),
        ([15, 20, 35, 40, 50], 50, 35),
        ([15, 20, 35, 40, 50], 100, 50),
        (list(range(1, 101)), 99, 99),
        (list(range(1, 101)), 99.5, 100),
    ],
)
def test_nearest_rank_is_the_textbook_one(
    values: list[int], percent: float, expected: int | None
) -> None:
    assert nearest_rank(values, percent) == expected


def test_nearest_rank_is_the_least_value_with_enough_at_or_below_it() -> None:
    rng = random.Random(1)
    for _ in range(300):
        values = sorted(rng.choices(range(20), k=rng.randint(1, 30)))
        for percent in (1, 50, 90, 99, 100):
            enough = [
                value
                for value in values
                if 100 * sum(other <= value for other in values) >= percent * len(values)
            ]
            assert nearest_rank(values, percent) == enough[0]


@pytest.mark.parametrize("percent", [0, -1, 100.1])
def test_a_percentile_out_of_bounds_is_refused(percent: float) -> None:
    with pytest.raises(InvalidArgument, match="percentile"):
        nearest_rank([1], percent)


def test_everything_is_counted_once() -> None:
    summary = Summary.of(
        [
            event(bytes=10),
            event(key=b"b", sent_ns=5 * MS, done_ns=7 * MS, bytes=5),
            event(status=503, outcome="rejected", done_ns=4 * MS),
            event(status=None, received_ns=None, outcome="unknown", error="reset", done_ns=3 * MS),
            event(status=200, error="oversized"),
        ]
    )
    assert summary.requests == 5
    assert summary.bytes == 15
    assert summary.keys == {b"a", b"b"}
    assert summary.outcomes == {"admitted": 3, "rejected": 1, "unknown": 1}
    assert summary.statuses == {200: 3, 503: 1}
    assert summary.errors == {"reset": 1, "oversized": 1}
    assert summary.seconds == 0.007
    assert summary.rate_per_s == pytest.approx(5 / 0.007)


def test_clients_that_sent_nothing_count_where_their_number_is_known() -> None:
    assert Summary.of([event()]).clients == 1
    assert Summary.of([event()], clients=7).as_dict()["clients"] == 7
    assert "clients   7" in str(Summary(7))


def test_latencies_of_admissions_are_not_hidden_by_quick_rejections() -> None:
    admitted = [event(done_ns=ms * MS) for ms in range(1, 11)]
    rejected = [event(status=503, outcome="rejected", done_ns=1_000) for _ in range(1_000)]
    summary = Summary.of(admitted + rejected)
    assert summary.latency_ns("admitted", 50) == 5 * MS
    assert summary.latency_ns("rejected", 99) == 1_000
    assert summary.latency_ns("unknown", 50) is None
    assert summary.latencies_ns()["admitted"] == {
        "count": 10,
        "p50": 5 * MS,
        "p90": 9 * MS,
        "p99": 10 * MS,
        "max": 10 * MS,
    }
    assert "unknown" not in summary.latencies_ns()


def test_a_log_that_only_knows_when_answers_came_has_latencies_until_then() -> None:
    assert Summary.of([event(done_ns=None, received_ns=9)]).latency_ns("admitted", 50) == 9
    assert Summary.of([event(done_ns=None, received_ns=None)]).latencies_ns() == {}


def test_a_summary_grows_event_by_event_to_that_of_the_whole_log() -> None:
    log = EventLog()
    grown = Summary()
    for number in range(50):
        one = event(
            key=b"%d" % (number % 7), sent_ns=number, received_ns=2 * number, done_ns=3 * number + 2
        )
        log.append(one)
        grown.observe(one)
    assert grown.as_dict() == Summary.of(log).as_dict()
    assert str(grown) == str(Summary.of(log))


def test_its_plain_data_is_json_even_of_nothing() -> None:
    for summary in (Summary(), Summary.of([event()])):
        assert json.loads(json.dumps(summary.as_dict())) == summary.as_dict()
    assert Summary().as_dict()["rate_per_s"] == 0


def test_its_table_names_every_figure() -> None:
    table = str(
        Summary.of(
            [
                event(done_ns=3 * MS),
                event(status=503, outcome="rejected"),
                event(status=None, received_ns=None, outcome="unknown", error="reset"),
            ]
        )
    )
    for text in ("200: 1, 503: 1", "reset: 1", "admitted: 1, rejected: 1, unknown: 1", "3.000 ms"):
        assert text in table
    assert "errors    none" in str(Summary())
