"""Access logs: what a line says of when and for whom a request was decided, and what it does not."""

import random
from collections import deque
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rateproof.cli import main
from rateproof.errors import InvalidArgument, LogError
from rateproof.events.access_logs import (
    CLOCK_LAG_NS,
    FORMATS,
    Reading,
    Where,
    named,
    read_access_log,
)
from rateproof.events.access_logs.scan import begin, chunks
from rateproof.keyspec import KeySpec
from rateproof.policy import Policy
from rateproof.prove import judge
from tests.samples import samples

ROOT = Path(__file__).parents[2]
BEGIN = datetime(2026, 11, 30, 12, tzinfo=UTC)
BEGIN_NS = int(BEGIN.timestamp()) * 10**9
SECOND = 10**9
TIMED = "$remote_addr [$msec] $request_time $status"


def line(second=0, *, ip="192.0.2.1", status=200, path="/", agent="curl/8", zone=UTC):
    stamp = (BEGIN + timedelta(seconds=second)).astimezone(zone)
    return (
        f'{ip} - - [{stamp:%d/%b/%Y:%H:%M:%S %z}] "GET {path} HTTP/1.1" {status} 12 "-" "{agent}"\n'
    ).encode()


def read(lines, key="ip", **told):
    text = told.pop("text", "nginx")
    chosen = None if text is None else named(text)
    reading = Reading(key=KeySpec.parse(key, of_log=True), format=chosen, **told)
    return read_access_log(lines, "access.log", reading)


def limited(times, limit, window_s):
    """Answer as a sliding log: (instant, status) each."""
    taken, answers = deque(), []
    for time in times:
        while taken and taken[0] <= time - window_s:
            taken.popleft()
        admitted = len(taken) < limit
        if admitted:
            taken.append(time)
        answers.append((time, 200 if admitted else 429))
    return answers


def test_a_stamp_of_the_end_bounds_the_decision_by_the_longest_request():
    event = read([line(7)], longest_ns=5 * SECOND)[0]
    assert event.sent_ns == BEGIN_NS + 2 * SECOND - CLOCK_LAG_NS
    assert event.received_ns == BEGIN_NS + 8 * SECOND - 1 + CLOCK_LAG_NS


def test_a_stamp_of_the_start_bounds_it_on_the_other_side():
    event = read([line(7)], text="apache", longest_ns=5 * SECOND)[0]
    assert event.sent_ns == BEGIN_NS + 7 * SECOND - CLOCK_LAG_NS
    assert event.received_ns == BEGIN_NS + 13 * SECOND - 1 + CLOCK_LAG_NS


def test_a_line_that_nginx_and_apache_both_write_is_bounded_for_both(capsys):
    event = read([line(7)], text=None, longest_ns=5 * SECOND)[0]
    assert event.sent_ns == BEGIN_NS + 2 * SECOND - CLOCK_LAG_NS
    assert event.received_ns == BEGIN_NS + 13 * SECOND - 1 + CLOCK_LAG_NS
    assert "stamps of the start or end of a request" in capsys.readouterr().err


def test_a_duration_bounds_the_start_instead():
    epoch = BEGIN_NS // SECOND
    event = read([f"192.0.2.1 [{epoch}.500] 0.200 200\n".encode()], text=TIMED)[0]
    assert event.sent_ns == BEGIN_NS + 299_000_000 - CLOCK_LAG_NS
    assert event.received_ns == BEGIN_NS + 501_000_000 - 1 + CLOCK_LAG_NS


def test_the_same_instant_in_any_zone_is_one_instant():
    summer = timezone(timedelta(hours=2))
    winter, there = read([line(7)])[0], read([line(7, zone=summer)])[0]
    assert winter.sent_ns == there.sent_ns


def test_a_local_hour_that_comes_twice_is_told_apart_by_its_offset():
    zones = [timezone(timedelta(hours=2))] * 3 + [timezone(timedelta(hours=1))] * 3
    log = read([line(1200 * at, zone=zone) for at, zone in enumerate(zones)])
    sent = log.ints("sent_ns")
    assert [later - sooner for sooner, later in pairwise(sent)] == [1200 * SECOND] * 5


def test_check_names_what_whole_seconds_could_have_shown(tmp_path, capsys):
    draw = random.Random(1)
    times = sorted(draw.uniform(0, 300) for _ in range(1500))
    path = tmp_path / "access.log"
    path.write_bytes(b"".join(line(t, status=s) for t, s in limited(times, 100, 60)))
    asked = ["check", str(path), "--policy", "100 per 1m", "--key", "ip"]
    assert main([*asked, "--format", "nginx"]) == 0
    out, err = capsys.readouterr()
    assert "if no request lasts over 5 s, 101 stamped within 54 s would have been proven" in out
    assert "this assumes that no request lasted over 5s (--longest)" in out
    assert "format: nginx, stamps of the end of a request; first: ip 192.0.2.1" in err
    assert main(asked) == 0
    assert "101 stamped within 49 s would have been proven" in capsys.readouterr().out


def test_as_many_within_as_long_are_proven_and_one_second_more_are_not(tmp_path, capsys):
    path = tmp_path / "access.log"
    asked = ["check", str(path), "--policy", "3 per 1m", "--format", "nginx", "--longest", "5s"]
    path.write_bytes(b"".join(map(line, (0, 20, 40, 53))))
    assert main(asked) == 1
    out = capsys.readouterr().out
    assert "VIOLATED: 4 let through in 1 m, 3 promised" in out
    assert "4 stamped within 54 s would have been proven" in out
    assert "this assumes that no request lasted over 5s" in out
    path.write_bytes(b"".join(map(line, (0, 20, 40, 54))))
    assert main(asked) == 2


@settings(max_examples=samples(30))
@given(
    seed=st.integers(0, 2**32),
    limit=st.integers(1, 8),
    notation=st.sampled_from(["nginx", "apache", "combined", "timed"]),
)
def test_what_a_right_limiter_logged_is_never_called_violated(seed, limit, notation):
    draw = random.Random(seed)
    window_s = draw.choice([5, 10, 30])
    times = sorted(draw.uniform(0, 6 * window_s) for _ in range(draw.randrange(20, 120)))
    rows = []
    for decided, status in limited(times, limit, window_s):
        before, after = draw.choice([(0, 0), (0, 2.4), (2.4, 0), (1, 1)])
        begun, ended = decided - before, decided + after
        rows.append((ended, begun, status))
    rows.sort()
    cut = rows[len(rows) // 4 : len(rows) * 3 // 4]
    if notation == "timed":
        lines = []
        for ended, begun, status in cut:
            end_ms = int(BEGIN_NS // 10**6 + ended * 1000)
            took_ms = end_ms - int(BEGIN_NS // 10**6 + begun * 1000)
            stamp = f"{end_ms // 1000}.{end_ms % 1000:03}"
            lines.append(
                f"192.0.2.1 [{stamp}] {took_ms // 1000}.{took_ms % 1000:03} {status}\n".encode()
            )
        log = read(lines, text=TIMED)
    else:
        stamp = 1 if notation == "apache" or (notation == "combined" and seed % 2) else 0
        lines = [line(row[stamp], status=row[2]) for row in cut]
        log = read(lines, text=notation, longest_ns=2_400_000_000)
    policy = Policy.parse(f"{limit} per {window_s}s")
    verdict = judge(log, policy)
    assert verdict.outcome != "violated", verdict.describe()


def test_a_limiter_that_rejects_without_need_is_found():
    times = [0, 1, 2, 100, *range(200, 300, 10)]
    rows = [(t, 429 if t == 240 else 200) for t in times]
    log = read([line(t, status=s) for t, s in rows])
    assert judge(log, Policy.parse("5 per 10s")).outcome == "violated"


def test_a_rejection_that_a_request_under_way_may_explain_is_not_judged():
    rows = [(t, 200) for t in range(0, 200, 10)] + [(201, 429)]
    verdict = judge(read([line(t, status=s) for t, s in rows]), Policy.parse("1 per 5s"))
    assert verdict.outcome != "violated"
    after = [*rows, (260, 200)]
    verdict = judge(read([line(t, status=s) for t, s in after]), Policy.parse("1 per 2s"))
    assert verdict.outcome == "violated"


def test_a_rejection_as_the_log_begins_is_not_judged():
    rows = [(0, 200), (1, 429), (300, 200)]
    verdict = judge(read([line(t, status=s) for t, s in rows]), Policy.parse("5 per 1m"))
    assert verdict.outcome != "violated"
    assert verdict.counts.judged == 0


def test_a_failure_of_the_server_does_not_hide_what_comes_later():
    rows = [(0, 200), (1, 500), *((t, 200) for t in range(100, 200, 10)), (155, 429), (300, 200)]
    log = read([line(t, status=s) for t, s in sorted(rows)])
    assert judge(log, Policy.parse("5 per 10s")).outcome == "violated"


@pytest.mark.parametrize("status", [400, 408, 499, 500, 502])
def test_what_a_limiter_may_not_have_seen_is_no_admission(status):
    assert read([line(status=status)])[0].outcome == "unknown"


def test_rejected_statuses_are_those_that_are_told(tmp_path, capsys):
    path = tmp_path / "access.log"
    path.write_bytes(b"".join(line(t, status=403 if t % 2 else 499) for t in range(20)))
    asked = ["check", str(path), "--policy", "1 per 10s", "--rejected", "403", "--json"]
    main(asked)
    assert '"rejected": 10, "unknown": 10' in capsys.readouterr().out


def test_pieces_cut_anywhere_give_the_chunks_of_the_whole():
    lines = [line(at, ip=f"192.0.2.{at % 7}", status=200 + at % 3) for at in range(500)]
    lines[40] = line(40, ip="-")
    text = b"".join(lines)
    pieces = [text[at : at + 777] for at in range(0, len(text), 777)]
    reading = Reading(format=named("nginx"), where=Where.parse("status != 202"))
    whole = read_access_log(lines, "access.log", reading)
    for keep in (False, True):
        scan, files = begin([("access.log", iter(pieces))], "access.log", reading)
        rows, words = [], []
        for chunk in chunks(scan, files, size=5_000, keep=keep):
            words = [*words, *chunk.words] if keep else chunk.words
            rows += zip(chunk.line, chunk.sent_ns, map(words.__getitem__, chunk.keys), strict=True)
        assert rows == [(event.sequence, event.sent_ns, event.key) for event in whole]
        assert len(words) == 7 if keep else len(words) < 8
        assert scan.metadata()["complete_ns"] == whole.metadata["complete_ns"]
        assert scan.keyless == 1


def test_a_map_says_where_the_fields_of_a_json_line_lie():
    text = "json:ip=client.addr,start=at,duration:ms=took,status=code,path=uri,header:X-Key=h.0"
    one = b'{"client": {"addr": "192.0.2.1"}, "at": %s, "took": 20, "code": 200, "uri": "/a", "h": ["k"]}\n'
    epoch = BEGIN_NS // SECOND
    for stamp, step_ns in (
        (b"%d.5" % epoch, 100_000_000),
        (b'"2026-11-30T12:00:00.500Z"', 1_000_000),
        (b'"30/Nov/2026:13:00:00.500 +0100"', 1_000_000),
    ):
        event = read([one % stamp], "ip+path+header:x-key", text=text)[0]
        assert event.key == b'["192.0.2.1", "/a", "k"]'
        assert event.sent_ns == BEGIN_NS + SECOND // 2 - CLOCK_LAG_NS
        assert event.received_ns == event.sent_ns + step_ns + 21_000_000 - 1 + 2 * CLOCK_LAG_NS
    assert read([one % b"%d500" % epoch], text=text.replace("start", "start:ms"))[0].sent_ns == (
        BEGIN_NS + SECOND // 2 - CLOCK_LAG_NS
    )


def test_nginx_json_lines_are_read_by_their_log_format():
    text = '{"ip":"$remote_addr","at":"$msec","status":"$status","agent":"$http_user_agent"}'
    one = b'{"ip":"192.0.2.1","at":"1796000000.500","status":"200","agent":"a \\"b\\" \\u001b"}\n'
    assert read([one], "header:user-agent", text=text)[0].key == b'a "b" \x1b'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("json:ip=a", "has no time"),
        ("json:ip=a,time", "'time' is not a field of a JSON object"),
        ("json:ip=a,time:h=b", "'time:h=b' is not a field"),
        ("json:ip=a,ip=b,time=c,status=d", "has the field ip twice"),
    ],
)
def test_a_map_that_cannot_be_is_refused(text, problem):
    with pytest.raises(InvalidArgument, match=problem):
        named(text)


def test_json_that_no_server_writes_is_not_taken_for_an_access_log(tmp_path, capsys):
    path = tmp_path / "app.log"
    path.write_text('{"ts": 1796000000.5, "status": 200, "duration": 0.1}\n')
    assert main(["check", str(path)]) == 65
    assert "format:" not in capsys.readouterr().err


def test_an_argument_that_nginx_logs_is_decoded_as_in_a_request():
    text = "$remote_addr [$msec] $status $arg_id"
    assert (
        read([b"192.0.2.1 [1796000000.5] 200 a%20b+c\n"], "query:id", text=text)[0].key == b"a b c"
    )


def test_a_user_whose_name_has_a_bracket_is_read():
    row = line().replace(b"- - [", b"- a [b [", 1)
    assert read([row], "field:remote_user")[0].key == b"a [b"


def test_a_last_line_that_is_being_written_is_left_out(capsys):
    lines = [line(0), line(1)[:60]]
    assert len(read(lines)) == 1
    assert "ends within a line" in capsys.readouterr().err


def test_a_key_is_found_where_the_notation_says():
    one = line(path="/a/b?id=x%20y&z=1", agent='a \\"b\\" c')
    assert read([one], "query:id")[0].key == b"x y"
    assert read([one], "path")[0].key == b"/a/b"
    assert read([one], "path:2")[0].key == b"b"
    assert read([one], "method")[0].key == b"GET"
    assert read([one], "header:User-Agent")[0].key == b'a "b" c'
    assert read([one], "ip+path")[0].key == b'["192.0.2.1", "/a/b"]'
    assert read([one], "query:none|ip")[0].key == b"192.0.2.1"
    assert read([one], "field:remote_user|field:body_bytes_sent")[0].key == b"12"


def test_a_request_without_the_key_is_left_out_and_counted(capsys):
    log = read([line(path="/?id=a"), line(path="/"), line(path="/?id=b")], "query:id")
    assert [event.key for event in log] == [b"a", b"b"]
    assert [event.sequence for event in log] == [1, 3]
    assert "1 of 3 requests have no query:id: left out" in capsys.readouterr().err


def test_a_key_that_the_format_cannot_have_is_refused_with_what_it_has():
    with pytest.raises(InvalidArgument, match="has no header:X-Api-Key"):
        read([line()], "header:X-Api-Key")
    with pytest.raises(InvalidArgument, match="header:user-agent"):
        read([line()], "field:upstream_addr")


def test_addresses_behind_trusted_proxies_count_by_prefix(tmp_path, capsys):
    path = tmp_path / "access.log"
    hops = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]
    path.write_text("".join(f'{line().decode().rstrip()} "{hop}"\n' for hop in hops))
    asked = ["check", str(path), "--policy", "5 per 1m", "--by-key"]
    main([*asked, "--proxies", "1", "--ipv6-prefix", "64"])
    out, err = capsys.readouterr()
    assert "'2001:db8::/64': " in out
    assert "'2001:db8:0:1::/64': " in out
    assert "format: nginx-main" in err


def test_few_lines_that_are_not_understood_are_left_out_and_shown(capsys):
    lines = [line(t) for t in range(200)]
    lines[7] = b"\x16\x03\x01 garbage\n"
    lines[9] = b"\n"
    log = read(lines)
    assert len(log) == 198
    err = capsys.readouterr().err
    assert "1 of 199 lines are not of the format nginx: line 8: " in err
    assert "\x16" not in err


def test_many_of_them_are_refused_unless_that_was_asked_for():
    lines = [line(t) for t in range(20)]
    lines[3:6] = [b"nonsense\n"] * 3
    with pytest.raises(LogError, match=r"3 of 20 lines .* line 4: 'nonsense'; line 5") as refused:
        read(lines)
    assert refused.value.exit_code == 65
    assert "two formats in one file" in str(refused.value)
    assert len(read(lines, skip_bad=True)) == 17


def test_a_clock_that_was_set_back_is_refused():
    lines = [line(t) for t in (0, 3600, 30)]
    with pytest.raises(LogError, match="line 3: its request ended 3570s before"):
        read(lines)


def test_lines_of_workers_out_of_order_are_read():
    assert len(read([line(t) for t in (0, 3, 1, 2, 4)])) == 5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nonsense", "is not a format"),
        ("$remote_addr$status [$msec]", "nothing stands between ip and status"),
        ("$remote_addr $status", "has no time"),
        ("%h %{%d/%b}t %s", "is not read"),
    ],
)
def test_a_format_that_cannot_be_is_refused(text, problem):
    with pytest.raises(InvalidArgument, match=problem):
        named(text)


def test_a_format_of_which_no_line_is_is_said_to_be_the_wrong_one():
    with pytest.raises(LogError, match="3 of 3 lines are not of the format") as refused:
        read([line(at) for at in range(3)], text="%h %{usec}t %s")
    assert "leave --format out" in refused.value.hint


def test_a_format_without_a_status_is_judged_by_nothing():
    with pytest.raises(InvalidArgument, match="has no status"):
        read([b"192.0.2.1 [30/Nov/2026:12:00:00 +0000]\n"], text="%h %t")


def test_a_format_of_apache_is_read_as_it_stands_in_a_configuration():
    text = '%v:%p %h %u %{usec}t \\"%r\\" %>s %D \\"%{X-Api-Key}i\\" %{UNIQUE_ID}e'
    one = f'a.test:80 192.0.2.1 joe {BEGIN_NS // 1000} "GET / HTTP/1.1" 429 250 "k" Z9\n'.encode()
    [event] = read([one], "header:x-api-key+field:request_id+field:user", text=text)
    assert event.key == b'["k", "Z9", "joe"]'
    assert event.sent_ns == BEGIN_NS - CLOCK_LAG_NS
    assert event.received_ns == BEGIN_NS + 252_000 - 1 + CLOCK_LAG_NS


def test_a_log_of_no_known_format_is_refused_with_its_first_line():
    with pytest.raises(LogError, match=r"no known format: 'hello \\\\x1b world'"):
        read([b"hello \x1b world\n"], text=None)


def test_without_the_native_core_it_says_what_to_install(monkeypatch):
    monkeypatch.setenv("RATEPROOF_CORE", "python")
    with pytest.raises(InvalidArgument, match="reading an access log needs the native core"):
        read([line()])


def test_evidence_of_an_access_log_carries_its_assumption(tmp_path, capsys):
    path, document = tmp_path / "access.log", tmp_path / "evidence.json"
    path.write_bytes(b"".join(map(line, (0, 1, 2, 3))))
    asked = ["check", str(path), "--policy", "3 per 1m", "--evidence", str(document)]
    assert main(asked) == 1
    capsys.readouterr()
    assert main(["check", str(document)]) == 1
    assert "assuming that no request lasted over 5s (--longest)" in capsys.readouterr().out


SAMPLES = ROOT / "tests/histories/access-logs"
BURST = [b"burst"] * 8 + [b"a", b"b", b"c", b"d&e"]


@pytest.mark.parametrize(
    ("name", "text", "key", "keys"),
    [
        ("nginx-combined", None, "query:client", BURST),
        ("nginx-main", None, "header:x-forwarded-for", [b"198.51.100.7, 2001:db8::1"]),
        (
            "nginx-timed",
            '$remote_addr $msec $request_time $status "$request" "$http_x_api_key" $request_id',
            "header:x-api-key",
            [b"k-1", b"k 2"],
        ),
        ("apache-common", None, "query:client", BURST),
        (
            "apache-combined",
            None,
            "header:user-agent",
            [b"burst/1"] * 8 + [b'quoted "agent" \\ back', b"\xe4\xf6/1"],
        ),
        (
            "apache-timed",
            '%a %{usec}t %D %>s \\"%r\\" \\"%{X-Api-Key}i\\"',
            "header:x-api-key",
            [b"k-1", b"k 2"],
        ),
        ("haproxy", None, "query:client", BURST),
        (
            "envoy",
            None,
            "header:user-agent",
            [b"burst/1"] * 8 + [b'quoted "agent" \\ back', b"\xe4\xf6/1"],
        ),
        ("traefik", None, "ip", [b"111.111.133.18", b"127.0.0.1", b"10.0.0.2"]),
        ("alb", None, "ip+path", [b'["192.168.131.39", "/"]'] * 2 + [b'["10.0.1.252", "/"]']),
        ("cloudfront", None, "ip+path", [b'["192.0.2.100", "/index.html"]'] * 2),
        ("iis", None, "query:id|ip", [b"7", b"198.51.100.21"]),
        (
            "caddy",
            None,
            "ip+query:id|header:x-api-key",
            [b'["127.0.0.1", "7"]', 'k "1" ä'.encode()],
        ),
        (
            "caddy",
            None,
            "header:User-Agent+field:request.proto",
            [b'["curl/7.82.0", "HTTP/2.0"]', b'["a\\\\b", "HTTP/1.1"]'],
        ),
        (
            "traefik-json",
            None,
            "ip+header:user-agent+field:ServiceName|path",
            [b'["198.51.100.7", "Mozilla/5.0", "bk-bk@docker"]', b"/dav/"],
        ),
        (
            "envoy-json",
            None,
            "header:x-forwarded-for|header:user-agent",
            [
                *[b"burst/1"] * 8,
                b'quoted "agent" \\ back',
                b"198.51.100.7, 2001:db8::1",
                "\xe4\xf6/1".encode(),
            ],
        ),
    ],
)
def test_what_a_real_program_wrote_is_understood_to_the_last_line(name, text, key, keys, capsys):
    lines = (SAMPLES / f"{name}.log").read_bytes().splitlines(keepends=True)
    log = read(lines, key, text=text)
    assert [event.key for event in log] == keys
    assert "lines are not of the format" not in capsys.readouterr().err


@pytest.mark.parametrize("program", ["nginx", "apache"])
def test_the_coarse_log_of_a_program_bounds_what_its_fine_log_says(program):
    timed = {
        "nginx": '$remote_addr $msec $request_time $status "$request" "$x" $id',
        "apache": '%a %{usec}t %D %>s "%r" "%{X}i"',
    }
    wide, narrow = (
        read((SAMPLES / f"{program}-{name}.log").read_bytes().splitlines(keepends=True), text=text)
        for name, text in (("combined", program), ("timed", timed[program]))
    )
    assert len(wide) == len(narrow) == 13
    for one, other in zip(wide, narrow, strict=True):
        assert one.status == other.status
        assert one.sent_ns <= other.received_ns
        assert other.sent_ns <= one.received_ns
        assert one.received_ns - one.sent_ns > other.received_ns - other.sent_ns


def test_the_table_names_a_source_and_a_sample_for_each_format():
    for format_ in FORMATS.values():
        assert format_.source
        assert format_.sample


@pytest.mark.parametrize("path", ["/a,", "/a,b,", "/,"])
def test_a_path_that_ends_in_a_comma_is_no_list(path):
    envoy = f'[2026-11-30T12:00:00.000Z] "GET {path} HTTP/1.1" 200 - 0 12 2 1 "-" "a" "i" "h" "-"\n'
    assert len(read([envoy.encode()], "path", text="envoy")) == 1
    fields = b"#Fields: date time cs-method cs-uri-stem cs-uri-query c-ip sc-status\n"
    row = f"2026-11-30 12:00:00 GET {path} - 192.0.2.1 200\n".encode()
    assert read([fields, row], "path", text=None)[0].key == path.encode()


def test_columns_that_change_in_mid_file_are_refused_and_the_same_again_are_not():
    """A restart of IIS with other columns made a port pass for a status."""
    fields = b"#Fields: date time c-ip sc-status s-port\n"
    row, turned = (
        b"2026-11-30 12:00:00 192.0.2.1 200 443\n",
        fields.replace(b"sc-status s-port", b"s-port sc-status"),
    )
    assert len(read([fields, row, fields, row], text=None)) == 2
    with pytest.raises(
        LogError, match="other columns from here on: '#Fields: date time c-ip s-port"
    ):
        read([fields, row, turned, row], text=None)


def test_a_list_of_addresses_without_quotes_is_one_field():
    text = "$http_x_forwarded_for [$msec] $upstream_addr $status"
    log = read([b"192.0.2.9, 10.0.0.1 [1796000000.5] 10.0.0.2:80, 10.0.0.3:80 200\n"],
               "header:x-forwarded-for", text=text)  # fmt: skip
    assert log[0].key == b"192.0.2.9, 10.0.0.1"


@pytest.mark.parametrize("status", [400, 408, 413, 421, 444, 499])
def test_what_a_server_refuses_before_its_limiter_is_no_admission(status):
    log = read([line(second, status=status) for second in (0, 1, 2)])
    assert {event.outcome for event in log} == {"unknown"}


def test_a_rejection_after_summer_time_began_in_stamps_without_a_zone_is_not_judged():
    def row(minute, status):
        return f"192.0.2.1 [29/Mar/2026:{minute // 60:02}:{minute % 60:02}:00{{}}] {status}\n"

    rows = [row(minute, 200) for minute in (*range(10, 120), *range(180, 400))]
    rows[115:115] = [row(184, 429)]
    policy, text = Policy.parse("20 per 10m"), "$remote_addr [$time_local] $status"
    local = read([one.format("").encode() for one in rows], text=text)
    assert judge(local, policy).outcome != "violated"
    later = [*rows[:-100], row(300, 429), *rows[-99:]]
    for log, zone in ((later, ""), (rows, " +0000")):
        told = read([one.format(zone).encode() for one in log], text=text)
        assert judge(told, policy).outcome == "violated"


def test_one_stamp_without_a_zone_anywhere_is_enough_for_doubt():
    text, policy = "$remote_addr [$time_local] $status", Policy.parse("20 per 10m")
    rows = [(minute, 200) for minute in range(10, 120)]
    rows += [(184, 429), *((minute, 200) for minute in range(185, 400))]
    lines = [
        f"192.0.2.1 [29/Mar/2026:{minute // 60:02}:{minute % 60:02}:00 +0000] {status}\n".encode()
        for minute, status in rows
    ]
    assert judge(read(lines, text=text), policy).outcome == "violated"
    lines[70] = lines[70].replace(b" +0000", b"")
    assert judge(read(lines, text=text), policy).outcome != "violated"


def test_the_server_that_traefik_did_not_ask_has_no_quotes():
    one = b'10.0.0.2 - - [08/Jan/2023:12:28:57 +0000] "GET / HTTP/1.0" 429 - "-" "-" 7 "-" - 0ms\n'
    assert read([one], text=None)[0].status == 429


def test_that_a_503_is_the_limiters_is_an_assumption_where_no_answer_is_429():
    def named_in(*statuses):
        log = read([line(at, status=status) for at, status in enumerate(statuses)])
        return any("503" in one for one in log.metadata["assumptions"])

    assert named_in(200, 503)
    assert not named_in(200, 503, 429)
    assert not named_in(200, 200)


def test_a_stamp_of_1970_and_a_duration_of_years_are_not_understood():
    text = "$remote_addr [$msec] $request_time $status"
    right = b"192.0.2.1 [1796000000.5] 0.5 200\n"
    wrong = b"192.0.2.1 [0.000] 0.0 200\n192.0.2.1 [1796000000.5] 4611686018.4 200\n"
    assert len(read([right, wrong], text=text, skip_bad=True)) == 1


def rows(text, lines=None, **told):
    lines = lines or [
        line(0, path="/api/a", status=200),
        line(1, path="/api/b", status=429, agent="a (b) 'c'"),
        line(2, path="/", ip="2001:db8::1"),
    ]
    return [event.sequence for event in read(lines, where=Where.parse(text), **told)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path ~ ^/api/ and method = GET", [1, 2]),
        ("path ~ ^/(api|x)/a$", [1]),
        ("(path ~ ^/(api|x)/b)", [2]),
        ("not path ~ ^/api/", [3]),
        ("not not path ~ ^/api/", [1, 2]),
        ("path !~ b and path != /", [1]),
        ("path = / or path = /api/a and status = 429", [3]),
        ("(path = / or path = /api/a) and status = 200", [1, 3]),
        ("status=429", [2]),
        ("ip = 2001:db8::1", [3]),
        ("header:User-Agent = \"a (b) 'c'\"", [2]),
        ("header:user-agent = 'a (b) \\'c\\''", [2]),
        ("query:id = '' and not(path = /)", [1, 2]),
        ("body_bytes_sent ~ ^12$ and field:remote_user = ''", [1, 2, 3]),
    ],
)
def test_a_condition_chooses_the_requests_that_it_says(text, expected):
    assert rows(text) == expected


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("", 1, "expected a field"),
        ("path", 5, "expected = != ~ or !~"),
        ("path == /", 7, "expected a value"),
        ("path = ", 8, r"expected a value \(''"),
        ("path = 'a", 8, "the quote has no end"),
        ("(path = a", 10, r"expected \)"),
        ("path = a)", 9, "expected and, or, or the end"),
        ("path = a method = b", 10, "expected and, or, or the end"),
        ("path = a and", 13, "expected a field"),
        ("path ~ a(", 8, "no regular expression"),
        ("a+b = c", 1, "no field"),
        ("ip:x = c", 1, "no field"),
        ("json:a = c", 1, "no field"),
    ],
)
def test_an_error_of_a_condition_names_the_place(text, place, problem):
    with pytest.raises(InvalidArgument, match=rf"character {place}: ({problem})"):
        Where.parse(text)


def test_a_condition_on_what_the_format_has_not_is_refused():
    with pytest.raises(InvalidArgument, match="has no header:X-Api-Key"):
        rows("header:X-Api-Key = a")
    with pytest.raises(LogError, match="none of its 3 requests is of those asked for"):
        rows("path = /none")


def test_check_judges_the_requests_that_the_policy_counts_and_says_so(tmp_path, capsys):
    path = tmp_path / "access.log"
    lines = [line(t, path="/api/" if t % 2 else "/") for t in range(6)]
    path.write_bytes(b"".join(lines))
    asked = ["check", str(path), "--policy", "3 per 1m", "--format", "nginx"]
    assert main(asked) == 1
    assert main([*asked, "--where", "path ~ ^/api/"]) == 2
    out, err = capsys.readouterr()
    assert "the policy counts requests where path ~ ^/api/, and no others" in out
    assert "3 of 6 requests are of those asked for" in err


def test_since_and_until_leave_out_what_was_decided_before_and_after(tmp_path, capsys):
    path = tmp_path / "access.log"
    path.write_bytes(b"".join(line(60 * t) for t in range(10)))
    asked = ["check", str(path), "--policy", "3 per 1m", "--format", "nginx", "--json"]
    for since in ("2026-11-30T12:03:00Z", "2026-11-30T13:03:00+01:00"):
        main([*asked, "--since", since, "--until", "2026-11-30T12:06:00.5Z"])
        assert "4 of 10 requests are of those asked for" in capsys.readouterr().err


def test_a_rejection_whose_reason_lies_before_since_or_after_until_is_not_judged():
    times = [(0, 200), (1, 200), (2, 429), (100, 200), (200, 429), (300, 200)]
    lines = [line(t, status=status) for t, status in times]
    policy = Policy.parse("5 per 50s")
    assert judge(read(lines), policy).outcome == "violated"
    since = BEGIN_NS + 180 * SECOND
    assert judge(read(lines, since_ns=since), policy).outcome != "violated"
    until = BEGIN_NS + 198 * SECOND
    assert judge(read(lines, until_ns=until), policy).outcome != "violated"
    assert judge(read(lines, since_ns=since - 60 * SECOND), policy).outcome == "violated"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--since", "2026-11-30T12:00:00"], "--since '2026-11-30T12:00:00' is not an instant"),
        (["--until", "noon"], "--until 'noon' is not an instant"),
        (
            ["--since", "2026-11-30T12:00:00Z", "--until", "2026-11-30T12:00:00Z"],
            "is not after --since",
        ),
        (["--where", "path"], "character 5"),
    ],
)
def test_an_instant_without_a_zone_or_a_condition_that_is_none_is_refused(
    words, problem, tmp_path, capsys
):
    path = tmp_path / "access.log"
    path.write_bytes(line())
    assert main(["check", str(path), *words]) == 64
    assert problem in capsys.readouterr().err


def test_lines_are_chosen_in_access_logs_alone(capsys):
    log = next((ROOT / "tests/histories").rglob("*.jsonl"))
    assert main(["check", str(log), "--where", "path = /"]) == 64
    assert "chooses lines of access logs" in capsys.readouterr().err


def test_what_counts_neither_way_is_not_named_as_an_admission():
    rows = [line(at, status=status) for at, status in enumerate((200, 499, 404, 429))]
    told = judge(read(rows), Policy.parse("1 per 1s")).describe()
    assert "some answers that count as admitted were redirects or client errors (404: 1)" in told
