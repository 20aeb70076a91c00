"""Event logs: what is written is what is read, and a broken file is never a verdict."""

import contextlib
import dataclasses
import io
import json
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rateproof.errors import CannotWrite, InvalidArgument, LogError
from rateproof.events import COLUMNS, Event, EventLog, open_log_writer, outcome_of, read_log
from rateproof.events.jsonl import JsonlWriter, batches
from tests.samples import samples

counts = st.integers(0, 2**40)
events = st.builds(
    Event,
    key=st.binary(max_size=20) | st.text(max_size=20).map(str.encode),
    sent_ns=counts,
    received_ns=st.none() | st.integers(2**40, 2**41),
    status=st.none() | st.integers(100, 599),
    outcome=st.sampled_from(["admitted", "rejected", "unknown"]),
    run=counts,
    sequence=counts,
    intended_ns=st.none() | counts,
    done_ns=st.none() | counts,
    error=st.none() | st.text(max_size=10),
    bytes=counts,
    retry_after_s=st.none() | st.floats(0, 1e6),
    ratelimit_remaining=st.none() | counts,
    ratelimit_reset_s=st.none() | st.floats(0, 1e6),
)
numbered = st.lists(events, min_size=1, max_size=20, unique_by=lambda row: (row.run, row.sequence))
EVENT = Event(key=b"a", sent_ns=1, received_ns=2, status=200, outcome="admitted")


def log_in(lines):
    """The log in lines of JSON."""
    log = EventLog()
    for log.metadata, events_of_some in batches(lines, "a stream"):
        log.extend(events_of_some)
    return log


def log_of(*rows):
    log = EventLog()
    log.extend(rows)
    return log


def many(length):
    thousand, log = log_of(*[EVENT] * 1000), EventLog()
    for _ in range(length // 1000):
        log.extend(thousand)
    log.extend([EVENT] * (length % 1000))
    return log


def write(path, rows, metadata=None):
    with open_log_writer(path, metadata or {}) as writer:
        writer.write(log_of(*rows))
    return path


def test_the_columns_are_the_fields_of_an_event():
    assert set(COLUMNS) == {field.name for field in dataclasses.fields(Event)}


@given(st.lists(events, max_size=20))
def test_a_log_gives_back_the_events_in_order(rows):
    log = log_of(*rows)
    assert list(log) == rows
    assert log.column("status") == [row.status for row in rows]
    assert sum(map(len, log.by_key().values())) == len(rows)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@settings(max_examples=samples(15))
@given(rows=numbered)
def test_a_file_gives_back_every_event_and_the_metadata(tmp_path_factory, suffix, rows):
    path = tmp_path_factory.mktemp("log") / f"run.{suffix}"
    metadata = {"seed": 7, "policy": "5 per 5s", "valid": True}
    write(path, rows, metadata)
    log = read_log(path)
    assert list(log) == rows
    assert log.metadata == metadata | {"complete": True}


@pytest.mark.parametrize(
    ("batches", "groups"),
    [
        ([], []),
        ([70_000], [70_000]),
        ([200_000, 70_000, 9], [270_000, 9]),
        ([600_000], [300_000] * 2),
    ],
)
def test_parquet_holds_any_number_of_row_groups_and_no_needlessly_small_one(
    tmp_path, batches, groups
):
    import pyarrow.parquet as pq

    path = tmp_path / "run.parquet"
    with open_log_writer(path, {}) as writer:
        for length in batches:
            writer.write(many(length))
    file = pq.read_metadata(path)
    assert [file.row_group(number).num_rows for number in range(file.num_row_groups)] == groups
    if groups:
        assert len(read_log(path)) == sum(batches)
    else:
        with pytest.raises(LogError, match="has no events"):
            read_log(path)


def test_an_answer_cannot_arrive_before_its_request_was_sent():
    with pytest.raises(LogError, match="received_ns 4 is before sent_ns 5"):
        log_of(dataclasses.replace(EVENT, sent_ns=5, received_ns=4))
    log_of(dataclasses.replace(EVENT, sent_ns=5, received_ns=5))


def test_four_columns_are_enough(tmp_path):
    path = tmp_path / "foreign.jsonl"
    path.write_text(
        '{"key": "a", "sent_ns": 1, "received_ns": 2, "status": 200}\n'
        '{"key_base64": "/w==", "sent_ns": 3, "received_ns": null, "status": null}\n'
    )
    first, second = read_log(path)
    assert (first.key, first.outcome) == (b"a", "admitted")
    assert (second.key, second.outcome) == (b"\xff", "unknown")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "admitted"),
        (302, "admitted"),
        (404, "admitted"),
        (408, "unknown"),
        (0, "unknown"),
        (429, "rejected"),
        (503, "rejected"),
        (500, "unknown"),
        (None, "unknown"),
    ],
)
def test_a_status_tells_what_the_limiter_decided(status, outcome):
    assert outcome_of(status) == outcome


def test_the_codes_of_a_rejection_can_be_chosen():
    assert outcome_of(418, rejected={418}) == "rejected"
    assert outcome_of(429, rejected={418}) == "admitted"
    assert outcome_of(408, rejected={408}) == "rejected"


LINE = json.dumps({"key": "a", "sent_ns": 1, "received_ns": 2, "status": 200})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "has no events"),
        ("\n\n", "has no events"),
        (LINE + "\n" + LINE[:20], "line 2 is cut off"),
        (LINE[:20] + "\n" + LINE + "\n", "line 1 is not JSON"),
        ("[1, 2]\n", "line 1 is not a JSON object"),
        ('{"level": "info", "msg": "hello"}\n', "columns key, sent_ns, received_ns, status are"),
        ('{"rateproof_log": 99}\n', "unknown version"),
        (LINE.replace("200", '"ok"') + "\n", "status is 'ok'"),
        (LINE.replace("200", "true") + "\n", "status is True"),
        (LINE.replace('"a"', "null") + "\n", "cannot be null"),
        (LINE.replace("200}", '200, "outcome": "maybe"}') + "\n", "outcome 'maybe'"),
        (LINE.replace("2,", "0,") + "\n", "is before sent_ns"),
        ('{"key_base64": "*", "sent_ns": 1, "received_ns": 2, "status": 1}\n', "not base64"),
        ("\x00\x01\x02", "line 1 is not JSON"),
        (LINE.replace(": 1", f": {2**63}") + "\n", f"sent_ns is {2**63}"),
        (LINE.replace(": 1", f": {-(2**63)}") + "\n", f"sent_ns is {-(2**63)}"),
        (LINE.replace("200}", '200, "retry_after_s": 1' + "0" * 400 + "}") + "\n", "retry_after_s"),
        (LINE.replace("200}", '200, "error": []}') + "\n", "error is []"),
        (LINE.replace('"a"', "[]") + "\n", "key is []"),
        (LINE + "\n" + LINE.replace("2,", "true,") + "\n", "line 2: received_ns is True"),
    ],
)
def test_a_broken_json_log_says_where_it_breaks(tmp_path, content, problem):
    path = tmp_path / "log.jsonl"
    path.write_text(content)
    with pytest.raises(LogError) as caught:
        read_log(path)
    assert problem in str(caught.value)


@pytest.mark.parametrize("number", [2**63, -(2**64)])
def test_a_number_that_is_too_large_is_refused_whatever_other_rows_are_like(number):
    wrong = json.dumps(json.loads(LINE) | {"retry_after_s": number})
    not_plain = LINE.replace('"key": "a"', '"key_base64": "/w=="')
    for rows in ([wrong], [LINE, wrong], [wrong, not_plain]):
        with pytest.raises(LogError, match=f"retry_after_s is {number}"):
            log_in([row.encode() + b"\n" for row in rows])


def test_statuses_of_rejections_that_come_after_outcomes_were_told_are_refused():
    """Rows become a table, with outcomes by the statuses known then, before the file has ended."""
    row = LINE.replace("200", "403").encode() + b"\n"
    noted = b'{"rateproof_log": 1, "scenario": {"rejected_statuses": [403]}}\n'
    for rows in ([row] * 10, [row] * 5_000):
        assert set(log_in([noted, *rows, noted]).column("outcome")) == {"rejected"}
    late = log_in([*[row] * 10, noted])
    assert set(late.column("outcome")) == {"rejected"}
    with pytest.raises(
        LogError, match="line 5001: rejected_statuses of the scenario come too late"
    ):
        log_in([*[row] * 5_000, noted])


@given(st.lists(events, min_size=1, max_size=10), st.integers(0, 9))
def test_a_row_that_is_not_plain_changes_nothing_for_those_around_it(rows, place):
    """Rows are made into columns where all of them are plain, and one by one elsewhere."""
    rows.insert(min(place, len(rows)), dataclasses.replace(EVENT, key=b"\xff"))
    stream = io.BytesIO()
    writer = JsonlWriter(stream, "a stream", {})
    writer.write(log_of(*rows))
    assert list(log_in(io.BytesIO(stream.getvalue()))) == rows


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@settings(max_examples=samples(15))
@given(data=st.data())
def test_a_file_with_damage_anywhere_is_read_or_refused(tmp_path_factory, suffix, data):
    folder = tmp_path_factory.mktemp("damaged")
    rows = [dataclasses.replace(EVENT, sequence=n, error="x" * (n % 3) or None) for n in range(50)]
    content = bytearray(write(folder / f"run.{suffix}", rows).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = folder / f"damaged.{suffix}"
    path.write_bytes(content[: data.draw(st.integers(0, 1)) * 400 or None])
    with contextlib.suppress(LogError):
        read_log(path)


def test_damage_in_what_a_footer_says_of_a_column_is_refused(tmp_path):
    """The library ended the process where it was asked for such a column directly."""
    content = write(tmp_path / "run.parquet", [EVENT] * 50).read_bytes()
    path, refused = tmp_path / "damaged.parquet", 0
    for back in range(9, int.from_bytes(content[-8:-4], "little"), 7):
        damaged = bytearray(content)
        damaged[-back] = 61
        path.write_bytes(damaged)
        try:
            read_log(path)
        except LogError:
            refused += 1
    assert refused > 50


def test_a_flipped_bit_in_the_footer_of_a_parquet_file_loses_no_rows(tmp_path):
    """Pages of a damaged footer may come out empty, without a word from the library."""
    content = write(tmp_path / "run.parquet", [EVENT] * 50).read_bytes()
    path, read = tmp_path / "damaged.parquet", 0
    for back in range(1, 321):
        damaged = bytearray(content)
        damaged[-back] ^= 1
        path.write_bytes(damaged)
        with contextlib.suppress(LogError):
            assert len(read_log(path)) == 50
            read += 1
    assert 0 < read < 320


def test_a_column_of_a_parquet_file_that_says_nothing_takes_no_memory(tmp_path):
    events = [dataclasses.replace(EVENT, run=0, worker=n, error=None) for n in range(3)]
    log = read_log(write(tmp_path / "run.parquet", events))
    assert log.same("run") == 0
    assert log.same("error") == 0
    assert log.same("worker") is None
    assert list(log) == events


def test_a_parquet_file_that_is_cut_empty_or_foreign_is_no_log(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    path = write(tmp_path / "run.parquet", [EVENT] * 100)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LogError, match="not a whole Parquet file"):
        read_log(path)
    path.write_bytes(b"")
    with pytest.raises(LogError, match="has no events"):
        read_log(path)
    pa.parquet.write_table(pa.table({"x": [1, 2]}), path)
    with pytest.raises(LogError, match="columns key, sent_ns, received_ns, status are missing"):
        read_log(path)


def test_names_that_are_no_logs_are_refused(tmp_path):
    with pytest.raises(InvalidArgument, match=r"run\.csv"):
        open_log_writer(tmp_path / "run.csv", {})
    for name in ("none.txt", "none.jsonl"):
        with pytest.raises(LogError, match="No such file"):
            read_log(tmp_path / name)
    for suffix in ("jsonl", "parquet"):
        with pytest.raises(CannotWrite, match="No such file"):
            open_log_writer(tmp_path / "nowhere" / f"run.{suffix}", {})


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_name_that_cannot_be_written_is_one_line_without_commands_to_the_terminal(
    tmp_path, suffix
):
    told = rf"a\x1b[31m\nb\xff.{suffix}"
    nowhere = tmp_path / "nowhere" / f"a\x1b[31m\nb\udcff.{suffix}"
    with pytest.raises(CannotWrite, match=re.escape(told)):
        open_log_writer(nowhere, {})
    path = tmp_path / nowhere.name
    path.symlink_to("/dev/full")
    with pytest.raises(CannotWrite, match=re.escape(told)):
        write(path, [EVENT] * 1000)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_full_disk_is_said_and_not_swallowed(tmp_path, suffix):
    path = tmp_path / f"full.{suffix}"
    path.symlink_to("/dev/full")
    with pytest.raises(CannotWrite, match="cannot write the log"):
        write(path, [EVENT] * 1000)


def test_without_pyarrow_the_hint_is_a_package_that_there_is(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InvalidArgument) as refused:
        open_log_writer(tmp_path / "log.parquet", {})
    assert refused.value.hint == "pip install pyarrow, or name the log *.jsonl"


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_log_in_a_folder_that_is_not_there_hints_at_it(tmp_path, suffix):
    with pytest.raises(CannotWrite) as refused:
        open_log_writer(tmp_path / "none" / f"log.{suffix}", {})
    assert refused.value.hint == f"make the folder {tmp_path / 'none'} first"


def test_times_of_another_tool_are_read_as_nanoseconds(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    path = tmp_path / "other.parquet"
    columns = {
        "key": pa.array(["a"]),
        "sent_ns": pa.array([1_500], pa.timestamp("us")),
        "received_ns": pa.array([2_000_001], pa.timestamp("ns")),
        "status": pa.array([200], pa.int16()),
    }
    pa.parquet.write_table(pa.table(columns), path)
    (event,) = read_log(path)
    assert (event.sent_ns, event.received_ns, event.status) == (1_500_000, 2_000_001, 200)


@pytest.mark.parametrize("metadata", [b"notjson", b"[1]", b"\xff"])
def test_metadata_that_is_none_is_said(tmp_path, metadata):
    import pyarrow as pa
    import pyarrow.parquet

    path = tmp_path / "odd.parquet"
    columns = {"key": ["a"], "sent_ns": [1], "received_ns": [2], "status": [200]}
    table = pa.table(columns).replace_schema_metadata({b"rateproof_log": metadata})
    pa.parquet.write_table(table, path)
    with pytest.raises(LogError, match="metadata that is no JSON object"):
        read_log(path)


@pytest.mark.parametrize("value", [[1.5], ["x"], [[1]]])
def test_a_column_of_a_wrong_type_is_said(tmp_path, value):
    import pyarrow as pa
    import pyarrow.parquet

    path = tmp_path / "odd.parquet"
    columns = {"key": ["a"], "sent_ns": value, "received_ns": [2], "status": [200]}
    pa.parquet.write_table(pa.table(columns), path)
    with pytest.raises(LogError, match="sent_ns"):
        read_log(path)


class Killed(BaseException):
    """Ways to end a program in the midst of a run."""


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("ends", [Killed(), CannotWrite("the disk is full")])
def test_a_log_whose_writer_was_ended_says_that_requests_are_missing(tmp_path, suffix, ends):
    path = tmp_path / f"run.{suffix}"
    metadata = {"seed": 7, "complete": True}
    with contextlib.suppress(type(ends)), open_log_writer(path, metadata) as writer:
        writer.write(log_of(EVENT))
        raise ends
    assert read_log(path).metadata == {"seed": 7, "complete": False}


def test_lines_whose_reader_left_say_that_requests_are_missing(tmp_path):
    path = write(tmp_path / "run.jsonl", [EVENT] * 50, {"seed": 7})
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:20]))
    log = read_log(path)
    assert (len(log), log.metadata) == (19, {"seed": 7, "complete": False})


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_log_that_is_cut_off_is_so_as_a_copy_too(tmp_path, suffix):
    copy = write(tmp_path / f"copy.{suffix}", [EVENT], {"complete": False})
    assert read_log(copy).metadata == {"complete": False}


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("complete", [True, False])
def test_whoever_ran_it_can_say_whether_a_log_is_complete(tmp_path, suffix, complete):
    path = tmp_path / f"run.{suffix}"
    with open_log_writer(path, {}) as writer:
        writer.write(log_of(EVENT))
        writer.note({"complete": complete})
    assert read_log(path).metadata == {"complete": complete}
    if suffix == "jsonl":
        assert len(path.read_bytes().splitlines()) == 3, "and it is said once"


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_request_that_is_there_twice_is_refused(tmp_path, suffix):
    rows = [dataclasses.replace(EVENT, sequence=n, run=n % 2) for n in (0, 1, 2, 3, 2, 1)]
    path = write(tmp_path / f"run.{suffix}", rows)
    with pytest.raises(LogError, match=r"row 5: sequence 2 of run 0 .* second") as caught:
        read_log(path)
    assert "two logs in one file?" in str(caught.value.hint)


@pytest.mark.parametrize("gap", [1, 2**40])
@pytest.mark.parametrize("low", [-5, 0, 7])
def test_a_number_that_comes_back_is_found_wherever_numbers_lie(tmp_path, gap, low):
    numbers = [low + gap * n for n in (3, 0, 1, 2)]
    rows = [dataclasses.replace(EVENT, sequence=number) for number in numbers]
    assert len(read_log(write(tmp_path / "run.jsonl", rows))) == 4
    write(tmp_path / "run.jsonl", [*rows, rows[1]])
    with pytest.raises(LogError, match=f"row 5: sequence {low} of run 0"):
        read_log(tmp_path / "run.jsonl")


def test_equal_numbers_of_different_runs_and_rows_without_numbers_are_fine(tmp_path):
    rows = [dataclasses.replace(EVENT, sequence=n, run=run) for run in (0, 1) for n in range(3)]
    assert len(read_log(write(tmp_path / "runs.jsonl", rows))) == 6
    assert len(read_log(write(tmp_path / "none.jsonl", [EVENT] * 3))) == 3


@pytest.mark.parametrize("name", ["clock", "scenario"])
def test_two_logs_in_one_file_are_refused(tmp_path, name):
    one = write(tmp_path / "one.jsonl", [EVENT], {name: {"host": "a"}}).read_bytes()
    other = write(tmp_path / "other.jsonl", [EVENT], {name: {"host": "b"}}).read_bytes()
    path = tmp_path / "both.jsonl"
    path.write_bytes(one + other)
    with pytest.raises(LogError, match=f"line 4: another {name} than before"):
        read_log(path)


def test_what_a_run_says_again_of_itself_at_its_end_is_fine(tmp_path):
    path, metadata = tmp_path / "run.jsonl", {"clock": {"host": "a"}, "scenario": {"seed": 1}}
    with open_log_writer(path, metadata) as writer:
        writer.write(log_of(EVENT))
        writer.note(metadata | {"valid": True})
    assert read_log(path).metadata == metadata | {"valid": True, "complete": True}


def test_a_page_of_parquet_that_changed_on_the_disk_is_refused(tmp_path):
    """A time that is off by a bit reads as well as a true one: the checksum tells."""
    import pyarrow.parquet as pq

    rows = [
        dataclasses.replace(EVENT, sent_ns=n * 7919 % 1009, received_ns=2**40 + n)
        for n in range(4_000)
    ]
    path = write(tmp_path / "run.parquet", rows)
    group = pq.read_metadata(path).row_group(0)
    content = path.read_bytes()
    for index in range(group.num_columns):
        column = group.column(index)
        start = column.dictionary_page_offset or column.data_page_offset
        end = start + column.total_compressed_size - 1
        path.write_bytes(content[:end] + bytes([content[end] ^ 1]) + content[end + 1 :])
        with pytest.raises(LogError, match=r"is damaged: .*CRC"):
            read_log(path)
