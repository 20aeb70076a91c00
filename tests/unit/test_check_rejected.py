"""`check --rejected`: outcomes follow from statuses anew, whoever wrote the log."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rateproof import cli
from rateproof.events import Event, EventLog
from rateproof.policy import Policy
from rateproof.prove import judge_keys

MS = 1_000_000
# Five in a window, and by 403 the sixth and seventh.
STATUSES = [200] * 5 + [403] * 2
ROWS = [
    {"key": "a", "sequence": n, "sent_ns": n * MS, "received_ns": n * MS + MS, "status": status}
    for n, status in enumerate(STATUSES)
]
OURS = {"rateproof_log": 1, "fresh_keys": True, "scenario": {"rejected_statuses": [429, 503]}}


def vegeta(number, status):
    return {
        "attack": "",
        "seq": number,
        "code": status,
        "timestamp": f"2030-01-01T00:00:00.{number:03}Z",
        "latency": MS,
        "bytes_out": 0,
        "bytes_in": 3,
        "error": "",
        "method": "GET",
        "url": "http://127.0.0.1/?clientId=a",
        "headers": None,
    }


def k6(number, status):
    for metric, value in (("http_req_duration", 1.0), ("http_req_sending", 0.1)):
        tags = {"url": "http://127.0.0.1/?clientId=a", "status": str(status), "method": "GET"}
        data = {"time": f"2030-01-01T00:00:00.{number:03}Z", "value": value, "tags": tags}
        yield {"metric": metric, "type": "Point", "data": data}


LINES = {
    "without outcomes": ROWS,
    "with outcomes": [row | {"outcome": "admitted"} for row in ROWS],
    "of a scenario": [OURS, *(row | {"outcome": "admitted"} for row in ROWS)],
    "of a scenario by 403, without outcomes": [
        OURS | {"scenario": {"rejected_statuses": [403]}},
        *ROWS,
    ],
    "vegeta": [vegeta(n, status) for n, status in enumerate(STATUSES)],
    "k6": [line for n, status in enumerate(STATUSES) for line in k6(n, status)],
}


@pytest.fixture
def check(tmp_path, capsys):
    def run(lines, *flags):
        path = tmp_path / "log.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in lines))
        code = cli.main(["check", str(path), "--policy", "5 per 1s", *flags])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.mark.parametrize("lines", LINES.values(), ids=LINES)
def test_what_the_flag_names_is_a_rejection_in_any_log(check, lines):
    code, out, _ = check(lines, "--rejected", "403", "--fresh-keys")
    assert (code, out.split()[0]) == (0, "CONSISTENT:")
    code, out, _ = check(lines, "--rejected", "403", "--json")
    counts = json.loads(out)["counts"]
    assert (counts["admitted"], counts["rejected"], counts["unknown"]) == (5, 2, 0)


@pytest.mark.parametrize("name", [name for name in LINES if "by 403" not in name])
def test_without_it_the_verdict_points_to_it(check, name):
    code, out, _ = check(LINES[name])
    assert code == 2
    assert "403 seems to be how this target rejects" in out
    assert "--rejected 403" in out


def test_a_log_in_columns_is_read_by_it_too(tmp_path, capsys):
    path = tmp_path / "log.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    asked = ["check", str(path), "--policy", "5 per 1s", "--fresh-keys"]
    assert cli.main([*asked, "--rejected", "403,429"]) == 0
    capsys.readouterr()


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_outcomes_that_are_not_there_follow_from_what_the_scenario_notes(tmp_path, capsys, suffix):
    """Without a flag: five were admitted, and a sixth and seventh would be too many."""
    path = tmp_path / f"log.{suffix}"
    noted = {"fresh_keys": True, "scenario": {"rejected_statuses": [403]}}
    if suffix == "parquet":
        table = pa.Table.from_pylist(ROWS)
        pq.write_table(table.replace_schema_metadata({"rateproof_log": json.dumps(noted)}), path)
    else:
        lines = [{"rateproof_log": 1} | noted, *ROWS]
        path.write_text("".join(json.dumps(row) + "\n" for row in lines))
    assert cli.main(["check", str(path), "--policy", "5 per 1s"]) == 0
    assert cli.main(["check", str(path), "--policy", "4 per 1s"]) == 1
    capsys.readouterr()


@pytest.mark.parametrize("noted", [["403"], [403.0], [True], [99], [1000], {}, "403"])
def test_statuses_of_a_scenario_that_are_none_are_refused(check, noted):
    code, _, errors = check([OURS | {"scenario": {"rejected_statuses": noted}}, *ROWS])
    assert code == 65
    assert f"rejected_statuses of the scenario is {noted!r}" in errors


def test_a_503_that_is_doubted_in_spite_of_the_flag_is_named(check):
    """Beside 403, which no failing server gives, a bare 503 may be one."""
    more = ({**row, "key": "b", "status": 503, "sequence": n} for n, row in enumerate(ROWS, 7))
    lines = [*ROWS, *more]
    code, out, _ = check(lines, "--rejected", "403,503", "--policy", "5 per 1s")
    assert code == 2
    assert "(7 of them 503 without Retry-After or RateLimit, unlike other rejections)" in out


def test_several_statuses_that_all_reject_never_admit(check):
    lines = [
        {**row, "status": status, "retry_after_s": 1.0}
        for row, status in zip(ROWS, [429, 503] * 3, strict=False)
    ]
    code, out, _ = check([OURS, *lines])
    assert code == 1
    assert "every answer was a rejection (429: 3, 503: 3): it never admits anything" in out


def test_what_the_flag_leaves_out_is_no_rejection(check):
    lines = [row | {"status": 429 if row["status"] == 403 else 200} for row in ROWS]
    assert check(lines, "--fresh-keys")[0] == 0
    code, out, _ = check(lines, "--rejected", "403")
    assert code == 2
    assert "429 seems to be how this target rejects" in out
    assert "since only 403 is taken for a rejection: --rejected 429" in out


def test_a_success_may_be_said_to_be_a_rejection(check):
    """A limiter may answer 200 with an error in the body: then nothing here was admitted."""
    code, out, _ = check([OURS, *ROWS[:5]], "--rejected", "200")
    assert code == 1
    assert "every answer was 200 (OK): it never admits anything" in out


def test_another_choice_than_the_scenarios_is_said(check):
    hint = "the log was made with 429,503 for rejections, and is judged with 403"
    assert hint in check(LINES["of a scenario"], "--rejected", "403")[2]
    assert "for rejections" not in check(LINES["of a scenario"], "--rejected", "503,429")[2]
    assert "for rejections" not in check(ROWS, "--rejected", "403")[2]


def test_evidence_is_not_read_by_it(check, tmp_path, capsys):
    lines = [row | {"status": 200} for row in ROWS]
    assert check(lines, "--evidence", str(tmp_path / "found.json"))[0] == 1
    assert cli.main(["check", str(tmp_path / "found.json"), "--rejected", "403"]) == 64
    assert "evidence is judged by what it says" in capsys.readouterr().err


def test_the_page_says_by_what_it_was_judged(check, tmp_path):
    page = tmp_path / "page.html"
    check(ROWS, "--rejected", "403,420", "--report", str(page))
    assert "403,420" in page.read_text()
    check(ROWS, "--report", str(page))
    assert "the log&#39;s outcomes" in page.read_text()


def test_a_keys_reason_does_not_count_the_doubted_rejections_of_others():
    log = EventLog({"fresh_keys": True, "scenario": {"rejected_statuses": [403, 503]}})
    for key, rejections in ((b"a", 1), (b"b", 7)):
        for number, status in enumerate([200] * 5 + [403] + [503] * rejections):
            log.append(
                Event(
                    key=key,
                    sent_ns=number * MS,
                    received_ns=number * MS + MS // 2,
                    status=status,
                    outcome="admitted" if status == 200 else "rejected",
                    sequence=len(log) + 1,
                )
            )
    keys = {one.key: one.verdict for one in judge_keys(log, Policy.parse("5 per 1s"))}
    assert keys[b"a"].counts.unknown == 1
    (told,) = keys[b"a"].reasons
    assert told.startswith("1 request of unknown outcome decides")
