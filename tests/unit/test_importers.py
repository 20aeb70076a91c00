"""Logs of k6 and vegeta: the server's decision lies in the interval that is read."""

import contextlib
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rateproof.errors import LogError
from rateproof.events import read_log
from rateproof.events.imported import identity_of, instant_ns
from rateproof.events.importers import k6 as k6_importer
from rateproof.events.importers import vegeta
from rateproof.keyspec import KeySpec
from rateproof.policy import Policy
from rateproof.prove import judge
from tests.samples import samples

SAMPLES = Path(__file__).parents[1] / "histories" / "importers"
POLICY = Policy.parse("5 per 5s")


def lines(name: str) -> list[dict]:
    return [json.loads(line) for line in (SAMPLES / name).read_text().splitlines()]


def decided_by_k6() -> dict[bytes, int]:
    points = [row["data"] for row in lines("k6-instants.json") if row["type"] == "Point"]
    told = [point["tags"] for point in points if "ns" in (point["tags"] or {})]
    return {tags["of"].encode(): int(tags["ns"]) for tags in told}


def decided_by_vegeta() -> dict[bytes, int]:
    told = [row for row in lines("vegeta-instants.json") if row["headers"]]
    return {
        row["url"].partition("=")[2].encode(): int(row["headers"]["X-Decided-Ns"][0])
        for row in told
    }


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("k6-consistent.json", "consistent"),
        ("k6-violated.json", "violated"),
        ("vegeta-consistent.json", "consistent"),
        ("vegeta-violated.json", "violated"),
    ],
)
def test_a_sample_is_judged_by_what_its_server_did(name, outcome):
    log = read_log(SAMPLES / name)
    assert judge(log, POLICY, fresh_keys=True).outcome == outcome
    assert log.metadata["clock"] == "CLOCK_REALTIME"
    assert "this assumes that nobody set the clock" in "".join(judge(log, POLICY).reasons)


@pytest.mark.parametrize(
    ("name", "decided"),
    [
        ("k6-instants.json", decided_by_k6()),
        ("vegeta-instants.json", decided_by_vegeta()),
        ("vegeta-instants.csv", decided_by_vegeta()),
    ],
)
def test_the_decision_lies_in_the_interval(name, decided):
    answered = [event for event in read_log(SAMPLES / name) if event.received_ns is not None]
    assert len(answered) > 15
    for event in answered:
        assert event.sent_ns <= decided[event.key] <= event.received_ns
    assert {event.outcome for event in answered} == {"admitted", "rejected"}


def test_the_first_byte_that_k6_notes_may_precede_the_decision():
    """So an interval ends with the answer: an interim one comes first."""
    decided, early = decided_by_k6(), 0
    for row in lines("k6-instants.json"):
        if row["type"] == "Point" and row["metric"] == "http_req_receiving":
            data = row["data"]
            client = data["tags"]["url"].partition("=")[2].encode()
            first_byte_ns = instant_ns(data["time"]) - round(data["value"] * 1e6)
            early += first_byte_ns < decided.get(client, 0)
    assert early > 0


def test_what_was_never_answered_is_unknown_and_says_why():
    for name in ("k6-instants.json", "vegeta-instants.json"):
        lost = [event for event in read_log(SAMPLES / name) if event.status is None]
        assert {event.outcome for event in lost} == {"unknown"}
        assert "timeout" in {event.error for event in lost}
        assert all(event.received_ns is None for event in lost)
        assert all(event.done_ns >= event.sent_ns for event in lost)


def test_vegeta_writes_the_same_as_json_and_as_csv():
    as_json = read_log(SAMPLES / "vegeta-instants.json")
    assert list(as_json) == list(read_log(SAMPLES / "vegeta-instants.csv"))
    rejected = next(event for event in as_json if event.status == 429)
    assert (rejected.retry_after_s, rejected.ratelimit_remaining) == (3, 0)
    assert rejected.ratelimit_reset_s == 3
    assert sorted(as_json.column("sequence")) == list(range(len(as_json)))


def test_vegetas_own_encoding_is_named_with_what_to_do():
    with pytest.raises(LogError, match="vegeta encode --to json"):
        read_log(SAMPLES / "vegeta-violated.bin")


def test_a_compressed_log_is_read_as_it_is(tmp_path):
    path, plain = tmp_path / "log.json.gz", SAMPLES / "k6-violated.json"
    path.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_log(path).column("sent_ns") == read_log(plain).column("sent_ns")


def test_a_compressed_log_that_is_cut_off_is_named_with_what_to_do(tmp_path):
    path = tmp_path / "log.json"
    whole = gzip.compress((SAMPLES / "k6-violated.json").read_bytes())
    for content in (b"\x1f\x8b\x08\x00", whole[: len(whole) // 2], whole[:40] + b"x" * 99):
        path.write_bytes(content)
        with pytest.raises(LogError, match="damaged or cut off") as refused:
            read_log(path)
        assert "zcat" in str(refused.value)
    path.write_bytes(b"\x28\xb5\x2f\xfd")
    with pytest.raises(LogError, match="zstd -dc"):
        read_log(path)


def test_the_name_does_not_matter_but_the_first_line(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_bytes((SAMPLES / "vegeta-violated.json").read_bytes())
    assert read_log(path).metadata["imported_from"] == "vegeta"


@pytest.mark.parametrize(
    "name", ["k6-violated.json", "vegeta-violated.json", "vegeta-instants.csv"]
)
@settings(max_examples=samples(15))
@given(data=st.data())
def test_a_sample_with_damage_anywhere_is_read_or_refused(tmp_path_factory, name, data):
    lines = (SAMPLES / name).read_bytes().splitlines(keepends=True)[:20]
    content = bytearray(b"".join(lines))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content) - 1))
        stop = start + data.draw(st.integers(0, 3))
        content[start:stop] = data.draw(
            st.sampled_from([b"9" * 30, b"-", b'"', b"[", b"\xff", b""])
        )
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(content)
    with contextlib.suppress(LogError):
        read_log(path)


def k6(*points: tuple[str, str, float, dict]) -> list[bytes]:
    return [
        json.dumps(
            {"metric": m, "type": "Point", "data": {"time": t, "value": v, "tags": tags}}
        ).encode()
        + b"\n"
        for m, t, v, tags in points
    ]


TIME = "2030-01-01T00:00:01.5Z"
AT_NS = instant_ns(TIME)
TAGS = {"url": "http://127.0.0.1/?clientId=a", "status": "200"}
DURATION, SENDING = "http_req_duration", "http_req_sending"


def test_k6_notes_a_request_to_the_nanosecond():
    points = k6((DURATION, TIME, 7.383224, TAGS), (SENDING, TIME, 0.01, TAGS))
    (event,) = k6_importer.events(points, "k6")
    assert (event.sent_ns, event.received_ns) == (AT_NS - 7_383_224, AT_NS)
    assert (event.key, event.status, event.outcome) == (b"a", 200, "admitted")


def test_where_k6_did_not_note_the_writing_the_interval_begins_with_the_log():
    later = "2030-01-01T00:00:02Z"
    refused = TAGS | {"status": "0", "error_code": "1212"}
    points = k6(
        (DURATION, TIME, 3, TAGS),
        (SENDING, TIME, 1, TAGS),
        (DURATION, later, 0, refused),
        (SENDING, later, 0, refused),
        (DURATION, later, 2, TAGS),
        (SENDING, later, 0, TAGS),
    )
    first, second, third = k6_importer.events(points, "k6")
    assert first.sent_ns == second.sent_ns == third.sent_ns == AT_NS - 3_000_000
    assert (second.error, second.received_ns) == ("refused", None)
    assert third.received_ns == instant_ns(later)


@pytest.mark.parametrize(
    ("points", "problem"),
    [
        ([(DURATION, TIME, 1, TAGS)], "line 1: the request has no http_req_sending"),
        ([(DURATION, TIME, 1, TAGS)] * 2, "line 2: http_req_duration does not follow"),
        ([(SENDING, TIME, 1, TAGS)], "line 1: http_req_sending does not follow"),
        ([(DURATION, "now", 1, TAGS)], "line 1: time 'now'"),
        ([(DURATION, "2030-02-31T00:00:00Z", 1, TAGS)], "line 1: time '2030-02-31"),
        ([(DURATION, "9999-01-01T00:00:00Z", 1, TAGS)], r"less than 2\*\*62"),
        ([(DURATION, TIME, -1, TAGS)], "value is -1"),
        ([(DURATION, TIME, 1e15, TAGS)], r"less than 2\*\*62"),
        ([(DURATION, TIME, None, TAGS)], "value is None"),
        ([(DURATION, TIME, 1, None), (SENDING, TIME, 1, None)], "tags are None"),
        ([(m, TIME, 1, TAGS | {"status": "ok"}) for m in (DURATION, SENDING)], "status is 'ok'"),
        ([(m, TIME, 1, TAGS | {"url": "http://a/"}) for m in (DURATION, SENDING)], "has no query"),
        ([(m, TIME, 1, TAGS | {"url": "http://[a"}) for m in (DURATION, SENDING)], "is no URL"),
    ],
)
def test_a_log_that_k6_does_not_write_says_where_it_breaks(points, problem):
    with pytest.raises(LogError, match=problem):
        [*k6_importer.events(k6(*points), "k6")]


def test_a_log_of_k6_that_is_cut_off_says_so():
    whole = (SAMPLES / "k6-violated.json").read_bytes()
    for end in (len(whole) - 40, whole.index(b'"http_req_duration","type":"Point"') + 50):
        with pytest.raises(LogError, match="cut off"):
            [*k6_importer.events(whole[:end].splitlines(keepends=True), "k6")]


VEGETA = {
    "attack": "",
    "seq": 0,
    "code": 200,
    "timestamp": TIME,
    "latency": 5,
    "bytes_in": 2,
    "error": "",
    "method": "GET",
    "url": "http://127.0.0.1/?clientId=a",
    "headers": None,
}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"latency": -1}, "latency is -1"),
        ({"code": True}, "code is True"),
        ({"seq": None}, "seq is None"),
        ({"timestamp": "x"}, "time 'x'"),
        ({"timestamp": 2**63}, r"less than 2\*\*62"),
        ({"url": "http://127.0.0.1/"}, "has no query:clientId"),
    ],
)
def test_a_log_that_vegeta_does_not_write_says_where_it_breaks(change, problem):
    line = json.dumps(VEGETA | change).encode() + b"\n"
    with pytest.raises(LogError, match=f"line 1: .*{problem}"):
        [*vegeta.events([line], "vegeta")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"1,2,3\n", "has 3 columns"),
        (b"x,200,5,0,0,,,,0,GET,http://a/?clientId=a,\n", "invalid literal"),
        (b"1,200,5,0,0,,,,0,GET,http://a/?clientId=a,=x=\n", "line 1"),
        (b'1,200,5,0,0,"\n', "line 1"),
    ],
)
def test_csv_that_vegeta_does_not_write_says_where_it_breaks(line, problem):
    with pytest.raises(LogError, match=problem):
        [*vegeta.events([line], "vegeta")]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("dial tcp 127.0.0.1:1: connect: connection refused", "refused"),
        ("read: connection reset by peer", "reset"),
        ("context deadline exceeded (Client.Timeout exceeded while awaiting headers)", "timeout"),
        ("dial tcp: lookup nowhere.invalid: no such host", "dns"),
        ("x509: certificate signed by unknown authority", "tls"),
        ("EOF", "closed"),
        ("something new", "other"),
    ],
)
def test_the_words_of_go_become_a_kind_of_failure(error, kind):
    line = json.dumps(VEGETA | {"code": 0, "error": f"Get: {error}"}).encode()
    (event,) = vegeta.events([line], "vegeta")
    assert (event.error, event.outcome) == (kind, "unknown")


@pytest.mark.parametrize(
    ("key", "identity"),
    [
        ("query:id", b"a b"),
        ("query:none|query:id", b"a b"),
        ("header:X-Client-Id", b"h"),
        ("query:id+header:X-Client-Id", b'["a b", "h"]'),
        ("path", b"/p"),
        ("method", b"POST"),
    ],
)
def test_an_identity_is_found_in_the_url_or_among_the_tags(key, identity):
    url, tags = "http://127.0.0.1/p?id=a+b&id=c", {"X-Client-Id": "h"}
    assert identity_of(KeySpec.parse(key), url, "POST", tags) == identity


def test_joined_identities_do_not_collide():
    key = KeySpec.parse("query:a+query:b")
    first = identity_of(key, "http://h/?a=x%2By&b=z", None)
    assert first != identity_of(key, "http://h/?a=x&b=y%2Bz", None)


def test_instants_are_read_to_the_last_digit_in_every_zone():
    assert instant_ns("1970-01-01T00:00:01Z") == 1_000_000_000
    assert instant_ns("1970-01-01T01:00:00.000000001+01:00") == 1
    assert instant_ns("2026-11-24T22:16:18.333860003Z") % 1_000_000_000 == 333_860_003


CSV = b"%s,429,5,0,0,,,%s,%s,GET,http://a/?clientId=a,\n"


@pytest.mark.parametrize("timestamp", [b"1795558719", b"1795558719152", b"1795558719152550"])
def test_times_of_csv_in_other_units_than_nanoseconds_are_refused(tmp_path, timestamp):
    """Read as nanoseconds they put seconds into microseconds, and a limit looks broken."""
    path = tmp_path / "results.csv"
    path.write_bytes(CSV % (timestamp, b"", b"0"))
    problem = f"line 1: timestamp {timestamp.decode()} has {len(timestamp)} digits"
    with pytest.raises(LogError, match=problem) as caught:
        read_log(path)
    assert "microseconds have 16" in str(caught.value.hint)


@pytest.mark.parametrize("digits", [18, 19])
def test_times_of_csv_in_nanoseconds_are_read(tmp_path, digits):
    path = tmp_path / "results.csv"
    timestamp = b"1795558719152550686"[:digits]
    path.write_bytes(CSV % (timestamp, b"", b"0"))
    (event,) = read_log(path)
    assert event.sent_ns == int(timestamp)


def test_results_that_are_there_twice_are_refused():
    time = b"1795558719152550686"
    twice = [CSV % (time, b"x", b"4"), CSV % (time, b"x", b"5"), CSV % (time, b"x", b"4")]
    with pytest.raises(LogError, match="line 3: seq 4 of attack 'x' is there a second time"):
        [*vegeta.events(twice, "vegeta")]
    apart = [CSV % (time, b"x", b"4"), CSV % (time, b"y", b"4")]
    numbers = [event.sequence for event in vegeta.events(apart, "vegeta")]
    assert numbers == [4, 1_000_000_000_004]
    whole = (SAMPLES / "vegeta-consistent.json").read_bytes().splitlines(keepends=True)
    with pytest.raises(LogError, match="seq 0 of attack '' is there a second time"):
        [*vegeta.events(whole * 2, "vegeta")]
