"""A log as a table: columns in, columns out, and what by-row adding says is what they say."""

import dataclasses
from array import array
from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rateproof.errors import InvalidArgument, LogError
from rateproof.events import COLUMNS, Event, EventLog

NULL = -(2**63)
maybe = st.none() | st.integers(0, 3) | st.integers(0, 2**62)
events = st.builds(
    Event,
    key=st.sampled_from([b"a", b"b", b"\xff"]) | st.binary(max_size=3),
    sent_ns=st.integers(0, 5),
    received_ns=st.none() | st.integers(5, 9),
    status=st.none() | st.sampled_from([200, 429]),
    outcome=st.sampled_from(["admitted", "rejected", "unknown"]),
    run=st.integers(0, 1),
    intended_ns=maybe,
    done_ns=maybe,
    error=st.none() | st.sampled_from(["reset", "timeout"]),
    retry_after_s=st.none() | st.floats(0, 3),
)
logs = st.lists(events, max_size=8)


def log_of(rows):
    log = EventLog()
    log.extend(rows)
    return log


def columns_of(rows):
    """The rows as an engine hands them over."""
    columns = {}
    for name, kind in COLUMNS.items():
        values = [getattr(row, name) for row in rows]
        if kind == "int":
            columns[name] = array("q", [NULL if value is None else value for value in values])
        elif kind == "float":
            columns[name] = array("d", [float("nan") if v is None else v for v in values])
        else:
            words = list(dict.fromkeys(values))
            columns[name] = (array("i", map(words.index, values)).tobytes(), words)
    return columns


FOUR = {
    "key": (array("i", [0, 1]), [b"a", b"b"]),
    "sent_ns": array("q", [1, 2]),
    "received_ns": array("q", [3, NULL]),
    "status": array("q", [200, NULL]),
    "outcome": (array("i", [0, 1]), ["admitted", "unknown"]),
}


@given(logs)
def test_columns_say_what_rows_say(rows):
    log = EventLog.from_columns(columns_of(rows), len(rows), {"seed": 1})
    assert list(log) == rows
    assert [log[index] for index in range(len(log))] == rows
    assert log.metadata == {"seed": 1}
    for name in COLUMNS:
        assert log.column(name) == [getattr(row, name) for row in rows]


@given(logs, logs)
def test_distinct_numbers_are_those_of_all_rows_that_came_until_now(rows, more):
    for log in (log_of(rows), EventLog.from_columns(columns_of(rows), len(rows))):
        assert log.distinct("done_ns") == set(log.ints("done_ns"))
        log.extend(more)
        assert log.distinct("done_ns") == set(log.ints("done_ns"))
        log.extend(log_of(more))
        assert log.distinct("done_ns") == set(log.ints("done_ns"))


@given(st.lists(st.tuples(logs, st.booleans(), st.booleans()), max_size=5))
def test_tables_and_rows_mixed_in_any_way_stay_in_order(parts):
    whole, expected = EventLog(), []
    for rows, as_table, one_more in parts:
        table = EventLog.from_columns(columns_of(rows), len(rows))
        whole.extend(table if as_table else rows)
        expected += rows
        if one_more and rows:
            whole.append(rows[0])
            table.append(rows[-1])  # a table that was added goes its own way
            expected.append(rows[0])
    assert list(whole) == expected


@given(logs, logs)
def test_adding_a_table_leaves_it_as_it_was(first, second):
    one, two = log_of(first), log_of(second)
    one.extend(two)
    one.extend(one)
    assert list(one) == (first + second) * 2
    assert list(two) == second


@given(logs, st.data())
def test_rows_that_are_taken_are_a_log_of_their_own(rows, data):
    log = EventLog.from_columns(columns_of(rows), len(rows), {"seed": 1})
    places = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=9) if rows else st.just([]))
    taken = log.take(places)
    assert list(taken) == [rows[place] for place in places]
    assert taken.metadata == {"seed": 1}
    if rows:
        other = dataclasses.replace(rows[0], key=b"new")
        taken.append(other)
        assert list(taken)[-1] == other
    assert list(log) == rows


def test_columns_that_are_not_there_have_the_defaults_of_an_event():
    first, second = EventLog.from_columns(FOUR, 2)
    assert first == Event(key=b"a", sent_ns=1, received_ns=3, status=200, outcome="admitted")
    assert second == Event(key=b"b", sent_ns=2, received_ns=None, status=None, outcome="unknown")


def test_what_was_handed_over_is_copied():
    sent = array("q", [1, 2])
    log = EventLog.from_columns(FOUR | {"sent_ns": sent}, 2)
    sent[0] = 99
    sent.append(5)
    assert log[0].sent_ns == 1


def test_the_words_of_many_batches_may_be_one_growing_list():
    words, whole, engine = [b"a"], EventLog(), []
    for number in range(5):
        batch = FOUR | {"key": (array("i", [number, 0]), words)}
        whole.extend(EventLog.from_columns(batch, 2))
        engine += [words[number], words[0]]
        words.append(b"client %d" % number)
    assert whole.column("key") == engine
    whole.append(dataclasses.replace(whole[0], key=b"new"))
    assert b"new" not in words, "the engine's list is not ours to change"
    assert whole.codes("key")[1][whole.codes("key")[0][-1]] == b"new"


def test_raw_views_have_marks_for_nothing():
    log = EventLog.from_columns(FOUR, 2)
    assert list(log.ints("received_ns")) == [3, NULL]
    assert all(isnan(value) for value in log.floats("retry_after_s"))
    codes, words = log.codes("error")
    assert [words[code] for code in codes] == [None, None]
    assert (log.ints("status").itemsize, codes.itemsize) == (8, 4)
    with pytest.raises(InvalidArgument, match="key is a column of binary"):
        log.ints("key")


def test_a_column_can_be_read_of_some_rows():
    log = EventLog.from_columns(FOUR, 2)
    assert log.column("received_ns", [1, 0, 1]) == [None, 3, None]
    assert log.column("key", [1]) == [b"b"]
    assert log.words("key") == [b"a", b"b"]
    with pytest.raises(InvalidArgument, match="status is a column of int"):
        log.words("status")


def test_a_column_of_equal_values_takes_no_memory_until_one_differs():
    log = log_of([Event(key=b"a", sent_ns=1, received_ns=2, status=200, outcome="admitted")] * 9)
    assert log.same("status") == 200
    assert log.same("received_ns") == 2
    log.append(dataclasses.replace(log[0], status=429))
    assert log.same("status") is None
    assert log.column("status") == [200] * 9 + [429]
    assert EventLog().same("status") is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"colour": array("q", [1, 2])}, "no column 'colour'"),
        ({"sent_ns": array("q", [1])}, "sent_ns has 1 rows, not 2"),
        ({"sent_ns": b"123"}, "sent_ns: "),
        ({"sent_ns": [1, 2]}, "sent_ns: "),
        ({"key": (array("i", [0, 2]), [b"a", b"b"])}, "key: a code is not below 2"),
        ({"key": (array("i", [-1, 0]), [b"a"])}, "key: a code is not below 1"),
        ({"key": (array("i", [0]), [b"a"])}, "key has 1 rows, not 2"),
    ],
)
def test_columns_that_do_not_fit_are_refused_by_name(change, problem):
    with pytest.raises(InvalidArgument, match=problem):
        EventLog.from_columns(FOUR | change, 2)


@pytest.mark.parametrize("name", FOUR)
def test_what_has_no_default_must_be_there(name):
    columns = {other: given for other, given in FOUR.items() if other != name}
    with pytest.raises(InvalidArgument, match=f"{name} is missing"):
        EventLog.from_columns(columns, 2)


def test_the_first_answer_before_its_request_is_named():
    columns = FOUR | {
        "key": (array("i", [0] * 4), [b"a"]),
        "sent_ns": array("q", [1, 9, 9, 9]),
        "received_ns": array("q", [1, NULL, 8, 7]),
        "status": array("q", [200] * 4),
        "outcome": (array("i", [0] * 4), ["admitted"]),
    }
    with pytest.raises(LogError, match="event 2: received_ns 8 is before sent_ns 9"):
        EventLog.from_columns(columns, 4)


def test_a_table_of_no_rows_adds_none():
    none = dict.fromkeys(("sent_ns", "received_ns", "status"), b"")
    none |= {"key": (b"", []), "outcome": (b"", [])}
    log = log_of([Event(key=b"a", sent_ns=1, received_ns=2, status=200, outcome="admitted")])
    log.extend(EventLog.from_columns(none, 0))
    log.extend(EventLog())
    assert len(log) == 1
    assert len(EventLog.from_columns(none, 0)) == 0


def test_a_column_of_equal_values_takes_no_memory_wherever_it_comes_from():
    columns = {"sent_ns": array("q", [1, 2]), "received_ns": array("q", [3, 3])}
    columns |= {"status": array("q", [200, 200]), "run": array("q", [7, 7])}
    columns |= {name: (array("i", [1, 1]), [b"a", b"b"]) for name in ("key",)}
    columns["outcome"] = (array("i", [0, 0]), ["admitted"])
    log = EventLog.from_columns(columns, 2)
    assert [log.same(name) for name in ("run", "key", "sent_ns")] == [7, 1, None]
    assert [event.key for event in log] == [b"b", b"b"]
    assert log.column("run", [1]) == [7]
    with pytest.raises(InvalidArgument, match="not below 1"):
        EventLog.from_columns(columns | {"key": (array("i", [1, 1]), [b"a"])}, 2)
