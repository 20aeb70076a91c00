"""The columns that a log is judged by: found natively as in Python, and read from a file alone."""

import dataclasses
import random

import pyarrow.parquet as pq
import pytest

from rateproof.errors import LogError
from rateproof.events import ADMITTED, REJECTED, UNKNOWN, Event, EventLog, open_log_writer, read_log
from rateproof.events.impossible import refuse_impossible, refuse_repeated
from rateproof.events.judged import JUDGED, LONG, answers
from rateproof.events.parquet_reader import read_parquet

CORES = ["python", "native"]


def any_log(rng, rows):
    """Rows of every kind, some of them as no client can have seen them."""
    log = EventLog({"scenario": {"rejected_statuses": [429]}})
    for number in range(rows):
        sent = rng.randrange(0, 10**10)
        answered = rng.random() < 0.8
        log.append(
            Event(
                run=rng.choice((0, 0, 1)),
                key=rng.choice((b"a", b"b")),
                sequence=number if rng.random() < 0.98 else rng.randrange(rows),
                sent_ns=sent if rng.random() < 0.99 else -1,
                received_ns=sent + rng.choice((10**6, 2 * 10**6, 999)) if answered else None,
                status=rng.choice((200, 429, 503, 200, 99)) if answered else None,
                outcome=rng.choice((ADMITTED, REJECTED, UNKNOWN)),
                error=None if answered else rng.choice(("reset", "refused")),
                retry_after_s=rng.choice((None, None, 1.0, -1.0)),
                ratelimit_remaining=rng.choice((None, 0, 3)),
            )
        )
    return log


def refusals(log):
    """The message against a log."""
    said = []
    for refuse in (refuse_impossible, refuse_repeated):
        try:
            refuse(log, "log")
        except LogError as error:
            said.append((error.message, error.hint))
    return said


def test_both_cores_find_the_same_in_a_log_and_refuse_the_same(monkeypatch):
    seen = set()
    for seed in range(60):
        log, found = any_log(random.Random(seed), rows=seed % 12), []
        for core in CORES:
            monkeypatch.setenv("RATEPROOF_CORE", core)
            fresh = log.noting()
            numbers = [fresh.distinct(name) for name in ("status", "done_ns")]
            found.append((list(answers(fresh).items()), refusals(fresh), numbers))
        assert found[0] == found[1]
        seen |= {message.partition(":")[0].split(",")[-1][-9:] for message, _ in found[0][1]}
    assert len(seen) > 1, "no log was refused for two reasons"


def test_answers_follow_rows_that_are_added():
    log = any_log(random.Random(1), rows=3)
    assert sum(of.times for of in answers(log).values()) == 3
    log.append(dataclasses.replace(log[0], sent_ns=5, received_ns=None))
    assert sum(of.times for of in answers(log).values()) == 4


@pytest.fixture(scope="module")
def long_log(tmp_path_factory):
    """A file of more rows than are read as a whole to be judged, and its rows."""
    log = any_log(random.Random(3), rows=50)
    whole = EventLog({"seed": 7})
    while len(whole) <= LONG:
        whole.extend(log)
        log = whole.take(range(len(whole)))
    path = tmp_path_factory.mktemp("judged") / "log.parquet"
    with open_log_writer(path, whole.metadata) as writer:
        writer.write(whole)
    return path, whole


def test_of_a_long_log_only_what_is_judged_is_read(long_log):
    path, whole = long_log
    log = read_parquet(path, to_judge=True)
    assert log.metadata == read_parquet(path).metadata
    for name in JUDGED:
        assert log.column(name) == whole.column(name), name
    assert log.same("connection") == 0


def test_a_row_is_named_by_its_number_in_the_file_not_in_the_batch(long_log, tmp_path):
    path, _ = long_log
    table = pq.read_table(path)
    at = len(table) - 3
    key = table.column("key").to_pylist()
    key[at] = None
    wrong = table.set_column(1, "key", [key])
    pq.write_table(wrong, tmp_path / "key.parquet")
    with pytest.raises(LogError, match=rf"row {at + 1}: key is null"):
        read_log(tmp_path / "key.parquet")
    sent = table.column("sent_ns").to_pylist()
    sent[at] = None
    pq.write_table(table.set_column(5, "sent_ns", [sent]), tmp_path / "sent.parquet")
    with pytest.raises(LogError, match=rf"row {at + 1}: sent_ns is null"):
        read_log(tmp_path / "sent.parquet", to_judge=True)
