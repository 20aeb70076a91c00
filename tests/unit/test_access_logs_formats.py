"""Access logs: the lines that each format has, and the key that lies in them."""

from pathlib import Path

import pytest

from rateproof.cli import main
from rateproof.errors import InvalidArgument, LogError
from rateproof.events.access_logs import CLOCK_LAG_NS, FORMATS, named
from tests.access_lines import BEGIN_NS, SECOND, line, read

ROOT = Path(__file__).parents[2]


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


def test_stamps_of_1970_are_asked_for_their_unit(capsys):
    """Seconds that are read as milliseconds would make a thousandth of each pause."""
    one = b'{"ip": "192.0.2.1", "at": %d, "code": 200}\n' % (BEGIN_NS // SECOND)
    for unit, asked in ((":ms", True), ("", False)):
        read([one], text=f"json:ip=ip,end{unit}=at,status=code")
        assert ("in another unit?" in capsys.readouterr().err) is asked


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


def test_a_log_of_which_no_request_has_the_key_is_refused():
    """Not judged as a log without any request."""
    with pytest.raises(LogError, match="none of 2 requests has query:id"):
        read([line(path="/?user=a"), line()], "query:id")


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


def test_the_server_that_traefik_did_not_ask_has_no_quotes():
    one = b'10.0.0.2 - - [08/Jan/2023:12:28:57 +0000] "GET / HTTP/1.0" 429 - "-" "-" 7 "-" - 0ms\n'
    assert read([one], text=None)[0].status == 429


def test_a_stamp_of_1970_and_a_duration_of_years_are_not_understood():
    text = "$remote_addr [$msec] $request_time $status"
    right = b"192.0.2.1 [1796000000.5] 0.5 200\n"
    wrong = b"192.0.2.1 [0.000] 0.0 200\n192.0.2.1 [1796000000.5] 4611686018.4 200\n"
    assert len(read([right, wrong], text=text, skip_bad=True)) == 1
