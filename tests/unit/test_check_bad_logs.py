"""`rateproof check` on bad logs: clear words, the right exit code, never a wrong verdict."""

import io
import itertools
import json
import random
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rateproof import cli

MS = 1_000_000
S = 1_000 * MS
ROW = {"key": "alice", "sent_ns": 10 * MS, "received_ns": 11 * MS, "status": 200}


def rows(*offsets, status=200, **more):
    """A request of one client at each offset in ms, answered half a millisecond later."""
    return [
        {
            "key": "alice",
            "sent_ns": at * MS + 1,
            "received_ns": at * MS + MS // 2,
            "status": status,
            **more,
        }
        for at in offsets
    ]


SIX = rows(*range(6))
FLAGS = ("complete", "valid", "fresh_keys", "marked_rejections")


@pytest.fixture
def check(tmp_path, capsys):
    def run(lines, *flags, name="log.jsonl"):
        path = tmp_path / name
        if isinstance(lines, bytes):
            path.write_bytes(lines)
        elif path.suffix == ".parquet":
            pq.write_table(lines, path)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in lines))
        code = cli.main(["check", str(path), "--policy", "5 per 5s", *flags])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.mark.parametrize("missing", ["key", "sent_ns", "received_ns", "status"])
@pytest.mark.parametrize("kind", ["lines", "table"])
def test_a_column_that_is_missing_is_named_with_what_is_needed(check, missing, kind):
    whole = [{name: value for name, value in row.items() if name != missing} for row in SIX]
    log = whole if kind == "lines" else pa.Table.from_pylist(whole)
    code, out, err = check(log, name="log.jsonl" if kind == "lines" else "log.parquet")
    assert (code, out) == (65, "")
    assert missing in err
    assert "key, sent_ns, received_ns, status" in err


@pytest.mark.parametrize("kind", ["lines", "table"])
def test_several_columns_that_are_missing_are_named_together(check, kind):
    whole = [{name: row[name] for name in ("key", "sent_ns")} for row in SIX]
    log = whole if kind == "lines" else pa.Table.from_pylist(whole)
    code, _, err = check(log, name="log.jsonl" if kind == "lines" else "log.parquet")
    assert code == 65
    assert "columns received_ns, status are missing" in err


def test_a_time_that_is_no_whole_number_is_told_what_it_should_be(check):
    code, _, err = check([{**ROW, "sent_ns": 0.5}])
    assert code == 65
    assert "sent_ns is 0.5" in err
    assert "sent_ns holds whole nanoseconds" in err


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"received_ns": 9 * MS}, "received_ns 9000000 is before sent_ns 10000000"),
        ({"received_ns": -1}, "received_ns -1 is before sent_ns 10000000"),
        ({"sent_ns": -1}, "row 7: sent_ns is -1"),
        ({"sent_ns": 1_790_000_000 * S, "received_ns": 1_790_000_000 * S + MS}, "56 years apart"),
        (
            {"received_ns": 1_790_000_000 * S},
            "received_ns is 1790000000000000000 in row 7, 56 years",
        ),
        ({"received_ns": 2**63 - 1}, "292 years apart"),
        ({"done_ns": 1_790_000_000 * S}, "done_ns is 1790000000000000000 in row 7, 56 years"),
        ({"ratelimit_remaining": -1}, "row 7: ratelimit_remaining is -1"),
        ({"ratelimit_reset_s": -0.5}, "row 7: ratelimit_reset_s is -0.5"),
        ({"retry_after_s": -2}, "row 7: retry_after_s is -2"),
        ({"retry_after_s": float("inf")}, "row 7: retry_after_s is inf"),
        ({"sent_ns": 60, "received_ns": 60}, "row 7: received_ns is 0 ns after sent_ns 60"),
        ({"status": 0}, "row 7: status is 0"),
        ({"status": -200}, "row 7: status is -200"),
        ({"status": 2000}, "row 7: status is 2000"),
        ({"status": "200"}, "status is '200'"),
        ({"status": 200.0}, "status is 200.0"),
        ({"sent_ns": "0.5"}, "sent_ns is '0.5'"),
        ({"sent_ns": 0.5}, "sent_ns is 0.5"),
        ({"sent_ns": float("nan")}, "sent_ns is nan"),
        ({"sent_ns": None}, "cannot be null"),
        ({"received_ns": 2**63}, f"received_ns is {2**63}"),
        ({"received_ns": [1]}, "received_ns is [1]"),
        ({"key": 7}, "key is 7"),
        ({"key": None}, "cannot be null"),
        ({"outcome": "denied"}, "outcome 'denied'"),
        ({"run": "a"}, "run is 'a'"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_the_accepted_form(check, change, named):
    code, out, err = check([*SIX, ROW | change])
    assert (code, out) == (65, "")
    assert named in err
    assert "hint: " in err


@pytest.mark.parametrize(
    ("column", "values", "named"),
    [
        ("sent_ns", pa.array([0.5] * 6), "row 1: sent_ns is 0.5"),
        ("sent_ns", pa.array([float("nan")] * 6), "row 1: sent_ns is nan"),
        ("sent_ns", pa.array(["1"] * 6), "row 1: sent_ns is '1'"),
        ("sent_ns", pa.array([None] * 6, pa.int64()), "row 1: sent_ns is null"),
        ("received_ns", pa.array([2**63] * 6, pa.uint64()), str(2**63)),
        ("received_ns", pa.array([0] * 6), "received_ns 0 is before sent_ns 1"),
        ("status", pa.array(["200"] * 6), "row 1: status is '200'"),
        ("status", pa.array([0] * 6), "row 1: status is 0"),
        ("key", pa.array([1] * 6), "row 1: key is 1"),
        ("key", pa.array([None] * 6, pa.string()), "row 1: key is null"),
    ],
)
def test_a_value_of_a_table_that_cannot_be_is_named(check, column, values, named):
    table = pa.Table.from_pylist(SIX)
    at = table.column_names.index(column)
    code, out, err = check(table.set_column(at, column, values), name="log.parquet")
    assert (code, out) == (65, "")
    assert named in err


@pytest.mark.parametrize("content", [b"", b"\n\n", b'{"rateproof_log": 1}\n'])
def test_a_log_of_no_requests_is_said(check, content):
    code, _, err = check(content)
    assert code == 65
    assert "has no events" in err


@pytest.mark.parametrize("kept", [1, 40, -20, -1])
def test_a_table_that_is_cut_off_is_said(check, tmp_path, kept):
    pq.write_table(pa.Table.from_pylist(SIX), tmp_path / "whole.parquet")
    code, _, err = check((tmp_path / "whole.parquet").read_bytes()[:kept], name="log.parquet")
    assert code == 65
    assert "is not a whole Parquet file" in err


def test_lines_that_are_cut_off_are_said(check):
    whole = "".join(json.dumps(row) + "\n" for row in SIX).encode()
    code, _, err = check(whole[:-20])
    assert code == 65
    assert "line 6 is cut off" in err
    assert "hint: without the last line: sed '$d' FILE | rateproof check -" in err


def test_several_logs_of_clients_are_not_called_logs_of_a_server(tmp_path, capsys):
    ours = "".join(json.dumps(row) + "\n" for row in SIX)
    for content in (ours, '{"rateproof_log": 1}\n' + ours):
        (tmp_path / "other.jsonl").write_text(content)
        (tmp_path / "log.jsonl").write_text(content)
        code = cli.main(["check", *map(str, tmp_path.glob("*.jsonl"))])
        out, err = capsys.readouterr()
        assert (code, out) == (65, "")
        assert "is no access log, but one of what clients saw" in err
        assert "hint: `rateproof check` judges such a log, by itself" in err


def test_a_second_row_of_the_same_number_is_said(check):
    numbered = [row | {"sequence": number} for number, row in enumerate(SIX, 1)]
    code, _, err = check([*numbered, numbered[2]])
    assert code == 65
    assert "row 7: sequence 3 of run 0 is there a second time" in err


def test_a_row_without_a_number_that_is_there_twice_is_said(check):
    """Three requests, written twice, are no six."""
    code, _, err = check([*SIX[:3], *SIX[:3]])
    assert code == 65
    assert "row 4 is there a second time" in err


def test_equal_rows_of_a_clock_that_counts_milliseconds_are_requests_of_their_own(check):
    row = ROW | {"received_ns": 12 * MS}
    assert check([row] * 6)[0] == 1
    assert check([row] * 5)[0] == 2


def test_requests_that_failed_one_after_the_other_are_not_one(check):
    """As those of k6 to a server that is gone: all of them begin with the log."""
    lost = {"key": "alice", "sent_ns": 1, "received_ns": None, "status": None}
    code, _, err = check([*SIX, *(lost | {"done_ns": at * MS} for at in range(1, 4))])
    assert (code, err) == (1, "")
    assert check([*SIX, *[lost | {"done_ns": MS}] * 2])[0] == 65


def test_another_clock_in_the_same_file_is_said(check):
    clock = {"name": "CLOCK_MONOTONIC", "boot_id": "a", "host": "x"}
    heads = [{"rateproof_log": 1, "clock": clock | {"boot_id": boot}} for boot in "ab"]
    code, _, err = check([heads[0], *SIX[:3], heads[1], *SIX[3:]])
    assert code == 65
    assert "another clock than before" in err


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("policy", "5 per 5s", "9 per 5s"),
        ("fresh_keys", False, True),
        ("fresh_keys", True, False),
        ("scenario", {"seed": 1}, {"seed": 2}),
    ],
)
def test_metadata_that_is_true_of_a_whole_run_does_not_change_on_the_way(check, name, one, other):
    code, out, err = check(
        [{"rateproof_log": 1, name: one}, *SIX, {"rateproof_log": 1, name: other}]
    )
    assert (code, out) == (65, "")
    assert f"line 8: another {name} than before" in err
    assert check([{"rateproof_log": 1, name: one}, *SIX, {"rateproof_log": 1, name: one}])[0] == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *itertools.product(FLAGS, (0, 1, 3, None, "no", "yes", [], {})),
        ("policy", 5),
    ],
)
@pytest.mark.parametrize("kind", ["lines", "table"])
def test_metadata_of_a_wrong_type_is_named_with_the_accepted_form(check, name, value, kind):
    if kind == "lines":
        code, out, err = check([{"rateproof_log": 1, name: value}, *SIX])
    else:
        noted = {"rateproof_log": json.dumps({name: value})}
        table = pa.Table.from_pylist(SIX).replace_schema_metadata(noted)
        code, out, err = check(table, name="log.parquet")
    assert (code, out) == (65, "")
    assert f"{name} is {value!r}" in err
    assert "hint: text" in err if name == "policy" else "hint: true or false" in err


def test_an_outcome_is_believed_unless_the_scenario_says_otherwise(check):
    """The look of a rejection is up to the limiter: 403 may be one, and 429 none."""
    by_403 = [*rows(*range(5)), *rows(6, 7, status=403, outcome="rejected")]
    by_429 = [*rows(5, status=429, outcome="admitted"), *rows(*range(5))]
    assert check(by_403, "--fresh-keys")[0] == 0
    code, out, _ = check(by_429)
    assert code == 2
    assert "6 admissions" in out
    ours = {"rateproof_log": 1, "scenario": {"rejected_statuses": [429, 503]}}
    code, out, err = check([ours, *by_403])
    assert (code, out) == (65, "")
    assert "row 6: the outcome of status 403 is rejected" in err
    assert "[429, 503] as rejected_statuses" in err
    code, out, err = check([ours, *by_429])
    assert (code, out) == (65, "")
    assert "row 1: the outcome of status 429 is admitted" in err
    ours["scenario"] = {"rejected_statuses": [403]}
    assert check([ours, *by_403], "--fresh-keys")[0] == 0


@pytest.mark.parametrize("content", [b"\0" * 99, b"[" * 100_000, b"]", b"nonsense"])
def test_what_never_was_a_log_is_not_called_cut_off(check, content):
    code, out, err = check(content)
    assert (code, out) == (65, "")
    assert "line 1 is not JSON" in err


def test_a_name_is_one_line_without_commands_to_the_terminal(check):
    for content in (b"?", b"", json.dumps(ROW | {"status": 7}).encode()):
        code, _, err = check(content, name="a\x1b[31m\nb\udcff.jsonl")
        assert code == 65
        assert r"a\x1b[31m\nb\xff.jsonl" in err


def test_a_log_whose_name_is_no_utf_8_is_judged_and_reported(check, tmp_path):
    report, junit = tmp_path / "r\udcff.html", tmp_path / "j\udcff.xml"
    code, _, err = check(
        SIX, "--report", str(report), "--junit", str(junit), name="log\udcff.jsonl"
    )
    assert (code, err) == (1, "")
    assert r"log\xff.jsonl" in report.read_text("utf-8")
    assert r"log\xff.jsonl" in junit.read_text("utf-8")
    pq.write_table(pa.Table.from_pylist(SIX), tmp_path / "plain.parquet")
    (tmp_path / "plain.parquet").rename(tmp_path / "log\udcff.parquet")
    assert cli.main(["check", str(tmp_path / "log\udcff.parquet")]) == 1


@pytest.mark.parametrize("flag", ["--report", "--junit", "--evidence"])
def test_a_name_that_is_too_long_cannot_be_written(check, tmp_path, flag):
    code, _, err = check(SIX, flag, str(tmp_path / ("x" * 300)))
    assert code == 73
    assert "File name too long" in err


def test_a_key_that_plays_no_part_is_said(check):
    for log, name in ((SIX, "log.jsonl"), (pa.Table.from_pylist(SIX), "log.parquet")):
        code, _, err = check(log, "--key", "header:X", name=name)
        assert code == 1
        assert "--key header:X plays no part" in err
        assert "plays no part" not in check(log, name=name)[2]


def test_times_in_seconds_are_no_burst(check):
    """Six requests, ten seconds apart each, would all lie in one window of nanoseconds."""
    seconds = [row | {"sent_ns": 10 * i, "received_ns": 10 * i + 1} for i, row in enumerate(SIX)]
    code, out, err = check(seconds)
    assert (code, out) == (65, "")
    assert "times in another unit?" in err


@pytest.mark.parametrize(
    ("unit", "second"), [("microseconds", 10**6), ("milliseconds", 10**3), ("seconds", 1)]
)
@pytest.mark.parametrize("took", [2_000, 60_000])
def test_dates_in_a_coarser_unit_are_no_burst(check, unit, second, took):
    """Six requests, ten seconds apart each, would all lie in one window of nanoseconds."""
    begin = 1_795_558_719 * second
    dates = [
        row | {"sent_ns": begin + 10 * i * second, "received_ns": begin + 10 * i * second + took}
        for i, row in enumerate(SIX)
    ]
    code, out, err = check(dates)
    assert (code, out) == (65, "")
    assert f"sent_ns {begin} is a date in {unit}" in err
    named = {"rateproof_log": 1, "clock": "CLOCK_MONOTONIC"}
    assert check([named, *dates])[0] == 1, "a machine that was started so long ago"


def test_a_log_that_may_be_short_by_its_unit_alone_says_how_long_it_is(check):
    counted = [
        row | {"sent_ns": i * 10**7, "received_ns": i * 10**7 + 2_000} for i, row in enumerate(SIX)
    ]
    told = "hint: read as nanoseconds, its times say that the log lasts 0.05 s"
    assert told in check(counted)[2]
    assert told not in check([{"rateproof_log": 1, "clock": "CLOCK_MONOTONIC"}, *counted])[2]
    slow = [row | {"received_ns": row["sent_ns"] + MS} for row in counted]
    assert "read as" not in check(slow)[2]


def test_rows_in_any_order_are_judged_alike(check):
    rng = random.Random(5)
    right = [*rows(*range(5)), *rows(5, 6, status=429), *rows(*range(5_010, 5_015))]
    for log, code in ((SIX, 1), (right, 0)):
        for _ in range(10):
            assert check(rng.sample(log, len(log)), "--json", "--fresh-keys")[0] == code


def test_two_runs_of_other_clients_are_judged_as_one_log(check):
    other = [row | {"key": "bob", "run": 1} for row in SIX]
    code, out, _ = check([*SIX, *other], "--json")
    assert code == 1
    assert [piece["run"] for piece in json.loads(out)["evidence"]] == [0, 1]


def test_runs_whose_clock_began_again_are_judged_apart(check):
    """Five admissions each, at the same times by the clock: ten in a window that never was."""
    five = rows(*range(5))
    rejected = rows(7, 8, status=429)
    runs = [[row | {"run": run} for row in (*five, *rejected)] for run in (0, 1)]
    code, out, _ = check(list(itertools.chain(*runs)), "--fresh-keys")
    assert code == 2, "another run may have used up the quota"
    assert "no excess would have been seen, for other runs of the same keys may have" in out
    assert "each run was judged by itself, and no rejection" in out
    code, out, _ = check([*runs[0], *(row | {"run": 1} for row in SIX)], "--json")
    assert code == 1
    assert [piece["run"] for piece in json.loads(out)["evidence"]] == [1]


def test_a_rejection_is_not_judged_where_another_run_may_be_its_reason(check):
    log = [*rows(*range(5)), *rows(9_000, status=429, run=1)]
    assert check(log, "--claim", "wrong-rejection")[0] == 2
    assert check(log)[0] == 2


@pytest.mark.parametrize("status", [418, 403, 999])
def test_a_status_that_is_no_rejection_of_the_policy_gives_no_consistent_verdict(check, status):
    code, out, _ = check([*rows(*range(5)), *rows(*range(6, 30), status=status)])
    assert code in {1, 2}
    if status != 999:
        assert str(status) in out


def test_a_window_longer_than_the_log_is_never_stressed(check):
    code, out, _ = check(rows(*range(30)), "--policy", "100 per hour")
    assert code == 2
    assert "never stressed" in out


def test_a_policy_finer_than_the_intervals_cannot_be_judged(check):
    slow = [row | {"received_ns": row["sent_ns"] + 80 * MS} for row in rows(0, 10, 60, 70)]
    code, out, _ = check(slow, "--policy", "2 per 50ms")
    assert code == 2
    assert "no excess could have been shown" in out


@pytest.mark.parametrize(
    ("policy", "named"),
    [("sieve 5 per 5s", "unknown algorithm 'sieve'"), ("5 per 0s", "window 0 ns")],
)
def test_a_policy_without_a_rule_is_a_bad_argument(check, policy, named):
    code, _, err = check(SIX, "--policy", policy)
    assert code == 64
    assert named in err


def test_a_missing_file_is_named_before_the_library_that_would_read_it(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("rateproof.events.parquet_reader.require_pyarrow", None)
    assert cli.main(["check", str(tmp_path / "nosuch.parquet")]) == 65
    assert "nosuch.parquet: No such file" in capsys.readouterr().err


def test_a_first_line_without_an_end_is_refused_before_it_is_read(capsys, monkeypatch):
    """Of an endless line 17 MB are read at most."""

    class Endless(io.RawIOBase):
        given = 0

        def readable(self):
            return True

        def readinto(self, buffer):
            type(self).given += len(buffer)
            assert self.given < 17_000_000, "it goes on reading"
            buffer[:] = b"{" * len(buffer)
            return len(buffer)

    endless = io.TextIOWrapper(io.BufferedReader(Endless()))
    monkeypatch.setattr(sys, "stdin", endless)
    assert cli.main(["check", "-"]) == 65
    assert "its first line is longer than 16 MB" in capsys.readouterr().err


def test_what_a_log_says_is_unreliable_is_shown(check, tmp_path):
    told = "1 of 6 requests was late: latencies are unreliable, counts and verdicts are not"
    log = [{"rateproof_log": 1, "warnings": [told, "\x1b[31m"]}, *SIX]
    code, out, _ = check(log)
    assert code == 1
    assert out.splitlines()[-2:] == [f"warning: {told}", "warning: \\x1b[31m"]
    assert json.loads(check(log, "--json")[1])["warnings"][0] == told
    assert f"warning: {told}" in check(log, "--by-key")[2]
    page = tmp_path / "page.html"
    check([{"rateproof_log": 1, "warnings": [told, "<b>"] * 5}, *SIX], "--report", str(page))
    text = page.read_text("utf-8")
    assert text.count(f">warning: {told}<") == text.count(">warning: &lt;b&gt;<") == 4
    assert ">2 more warnings are in the logs.<" in text
    strange = [{"rateproof_log": 1, "warnings": "no list"}, *SIX]
    assert json.loads(check(strange, "--json")[1])["warnings"] == []


def test_a_place_that_does_not_answer_is_not_called_one_without_the_file(free_port, capsys):
    url = f"http://127.0.0.1:{free_port}/access.log"
    assert cli.main(["check", url]) == 69
    assert f"cannot reach {url}: Cannot connect" in capsys.readouterr().err
