"""Claims about summaries: exact counts, percentiles within 0.1 %, outcomes kept apart."""

import json
import random
import tracemalloc
from array import array
from typing import Any

import pytest

from rateproof import _native
from rateproof.errors import InvalidArgument
from rateproof.events import Event, EventLog
from rateproof.simulate import summary as summaries
from rateproof.simulate.summary import Summary
from rateproof.simulate.tally import PlainTally

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


def test_everything_is_counted_once() -> None:
    summary = Summary.of(
        [
            event(bytes=10),
            event(key=b"b", sent_ns=5 * MS, received_ns=6 * MS, done_ns=7 * MS, bytes=5),
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
    assert summary.latencies("admitted").percentile(50) == pytest.approx(5 * MS, rel=0.001)
    assert summary.latencies("rejected").percentile(99) == 1_000
    assert summary.latencies("unknown").percentile(50) is None
    figures = summary.latencies_ns()["admitted"]
    assert list(figures) == ["count", "p50", "p90", "p99", "max"]
    assert (figures["count"], figures["max"]) == (10, 10 * MS)
    assert figures["p50"] == pytest.approx(5 * MS, rel=0.001)
    assert figures["p90"] == pytest.approx(9 * MS, rel=0.001)
    assert figures["p99"] == 10 * MS
    assert "unknown" not in summary.latencies_ns()


def test_a_log_that_only_knows_when_answers_came_has_latencies_until_then() -> None:
    assert (
        Summary.of([event(done_ns=None, received_ns=9)]).latencies("admitted").percentile(50) == 9
    )
    assert Summary.of([event(done_ns=None, received_ns=None)]).latencies_ns() == {}


def test_a_summary_grows_table_by_table_to_that_of_the_whole_log() -> None:
    log = EventLog()
    grown = Summary()
    for size in (1, 0, 30, 19):
        table = EventLog()
        for number in range(len(log), len(log) + size):
            one = event(
                key=b"%d" % (number % 7),
                sent_ns=number,
                received_ns=2 * number,
                done_ns=3 * number + 2,
                error="reset" if number % 5 else None,
            )
            table.append(one)
        log.extend(table)
        grown.observe(table)
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


# ------------------------------------------------------------- response times


def test_a_response_time_counts_from_the_intended_instant() -> None:
    """A server that stands still for 1 s makes all that were due meanwhile wait: Tene's example."""
    stalled = [
        event(sent_ns=1_000 * MS, intended_ns=ms * MS, received_ns=1_001 * MS, done_ns=1_001 * MS)
        for ms in range(0, 1_000, 10)
    ]
    summary = Summary.of(stalled)
    assert summary.latencies("admitted").percentile(99) == 1 * MS
    assert summary.responses_ns()["admitted"]["max"] == 1_001 * MS
    assert summary.responses_ns()["admitted"]["p50"] == pytest.approx(501 * MS, rel=0.001)
    assert "response " in str(summary)


def test_response_times_that_are_latencies_are_not_printed_twice() -> None:
    summary = Summary.of([event(intended_ns=-10, done_ns=5 * MS)])
    assert summary.as_dict()["response_ns"]["admitted"]["count"] == 1
    assert "response " not in str(summary)
    assert Summary.of([event()]).as_dict()["response_ns"] == {}


def test_sent_ahead_of_its_plan_a_response_time_is_the_latency() -> None:
    """A burst asked for by hand sends before the planned instant."""
    summary = Summary.of([event(intended_ns=50 * MS, done_ns=5 * MS)])
    assert summary.responses_ns()["admitted"]["max"] == 5 * MS


# ------------------------------------------------------------- validity, connections


def test_an_invalid_run_says_so_in_the_first_line_and_in_json() -> None:
    log = EventLog({"valid": False, "invalid_because": ["it lagged by 12 ms", "no time was left"]})
    log.append(event())
    summary = Summary.of(log)
    assert str(summary).startswith("warning: it lagged by 12 ms; no time was left; nothing")
    assert summary.as_dict()["valid"] is False
    assert summary.as_dict()["invalid_because"] == ["it lagged by 12 ms", "no time was left"]


def test_what_is_unreliable_is_said_before_the_figures_and_in_json() -> None:
    late = "this machine sent 2 of 3 requests late: latencies are unreliable"
    log = EventLog({"valid": True, "warnings": [late]})
    log.append(event())
    summary = Summary.of(log)
    assert str(summary).startswith(f"warning: {late}\nclients")
    assert summary.as_dict()["warnings"] == [late]


def test_what_was_dropped_is_never_silent() -> None:
    log = EventLog({"valid": True, "remarks": ["3 requests were never sent"]})
    log.append(event())
    assert "\nremark    3 requests were never sent\n" in str(Summary.of(log))
    assert Summary.of(log).as_dict()["remarks"] == ["3 requests were never sent"]


@pytest.mark.parametrize("metadata", [{}, {"valid": True, "invalid_because": []}])
def test_a_run_that_is_not_known_to_be_invalid_is_not_called_so(metadata: dict[str, Any]) -> None:
    log = EventLog(metadata)
    log.append(event())
    assert "warning" not in str(Summary.of(log))
    assert Summary.of(log).as_dict()["valid"] is metadata.get("valid")


def test_reconnects_are_those_that_the_generator_counted() -> None:
    """Lanes that never opened a connection hide none of them."""
    summary = Summary(clients=9)
    table = EventLog()
    table.extend(event(connection=number) for number in (1, 2, 1, 3, 7, 0, 7))
    summary.observe(table)
    assert (summary.connections, summary.reconnects) == (4, None)
    summary.conclude({"audit": {"reconnects": 0}})
    assert "reconnects" not in str(summary)
    summary.conclude({"audit": {"reconnects": 2}})
    assert "4 connections (2 reconnects)" in str(summary)
    summary.conclude({"audit": {"reconnects": 1}})
    assert "4 connections (1 reconnect)" in str(summary)
    summary.conclude({"audit": {"reconnects": 2}})
    assert summary.as_dict()["reconnects"] == 2


# ------------------------------------------------------------- the native twin


def drawn_log(count: int, seed: int) -> EventLog:
    rng = random.Random(seed)

    def sometimes(value: int) -> int | None:
        return value if rng.random() < 0.8 else None

    log = EventLog()
    log.append(event(sent_ns=2 - 2**63, received_ns=2**63 - 1, done_ns=2**63 - 1, intended_ns=0))
    for number in range(count):
        sent_ns = rng.randrange(-50, 10**12)
        received_ns = sometimes(sent_ns + rng.randrange(10 ** rng.randrange(1, 12)))
        log.append(
            event(
                key=b"k%d" % rng.randrange(30),
                sent_ns=sent_ns,
                received_ns=received_ns,
                done_ns=sometimes((received_ns or sent_ns) + rng.randrange(-5, 10**6)),
                intended_ns=sometimes(sent_ns - rng.randrange(-(10**9), 10**9)),
                status=rng.choice([None, 200, 503, 999, 1_000, 99_999, -3]),
                outcome=rng.choice(["admitted", "rejected", "unknown"]),
                error=rng.choice([None, None, "reset", "timeout"]),
                bytes=rng.randrange(10**12),
                connection=rng.choice([0, 1, 2, number, number << 20, -number]),
            )
        )
    return log


@pytest.mark.parametrize("seed", range(5))
def test_both_cores_count_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [drawn_log(count, seed) for count in (500, 0, 1, 700)]
    told = []
    for core in (PlainTally, _native.Tally):
        monkeypatch.setattr(summaries, "new_tally", core)
        summary = Summary(clients=3)
        for table in tables:
            summary.observe(table)
        told.append((summary.as_dict(), str(summary), summary.keys))
    assert told[0] == told[1]


def test_the_native_tally_refuses_tables_that_do_not_fit_together() -> None:
    ints, codes = array("q", [1, 2]), array("i", [0, 0])
    columns = [ints] * 7
    tally = _native.Tally()
    for bad in (
        ([ints] * 6 + [ints[:1]], codes, b"\0", codes, 1),
        (columns, codes[:1], b"\0", codes, 1),
        (columns, codes, b"", codes, 1),
        (columns, codes, b"\3", codes, 1),
        (columns, codes, b"\0", codes, 0),
        (columns, codes, b"\0", array("i", [0, -1]), 1),
    ):
        with pytest.raises(InvalidArgument):
            tally.observe(*bad)
    assert tally.requests == 0
    assert tally.observe(columns, codes, b"\0", codes, 1) == [2]


@pytest.mark.parametrize("core", ["native", "python"])
def test_memory_does_not_grow_with_the_number_of_events(
    core: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATEPROOF_CORE", core)
    summary = Summary(clients=30)
    log = drawn_log(2_000, 1)
    summary.observe(log)
    tracemalloc.start()
    for _ in range(10):
        summary.observe(log)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert summary.requests == 11 * len(log)
    assert kept < 50_000
