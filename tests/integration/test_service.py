"""The decision service over real sockets: HTTP, settings, keys, and tables shared with Python."""

import http.client
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from itertools import chain
from pathlib import Path

import pytest

from rateproof import EventLog, Limiter, Policy, judge
from rateproof.enforce.algorithms import RULES
from rateproof.enforce.http.keys import part
from rateproof.enforce.service import PROGRAM
from rateproof.enforce.stores import remove
from rateproof.enforce.stores.location import directory_of
from rateproof.enforce.stores.tables import check_quota
from rateproof.errors import InvalidArgument
from rateproof.events import ADMITTED, REJECTED, Event
from rateproof.prove import CONSISTENT
from rateproof.units import UNIT_NS
from tests.samples import samples
from tests.service import LIMITS


def test_what_passes_is_200_and_what_does_not_is_429_with_what_a_client_needs(start_service):
    service = start_service()
    told = [service.ask(X_Api_Key="a") for _ in range(6)]
    assert [status for status, _, _ in told] == [200] * 5 + [429]
    assert {fields["ratelimit-policy"] for _, fields, _ in told} == {'"api";q=5;w=3600'}
    left = [fields["ratelimit"].split(";")[1] for _, fields, _ in told]
    assert left == ["r=4", "r=3", "r=2", "r=1", "r=0", "r=0"]
    _, fields, body = told[-1]
    assert fields["content-type"] == "application/problem+json"
    assert 3000 < int(fields["retry-after"]) <= 3600
    problem = json.loads(body)
    assert problem["type"].endswith("#quota-exceeded")
    assert problem["violated-policies"] == ["api"]
    assert problem["detail"].startswith("at most 5 per 1h; try again in ")
    assert service.ask(X_Api_Key="b")[0] == 200
    assert service.ask("/healthz")[0] == 200
    assert service.stop() == 0


@pytest.mark.parametrize(
    ("key", "request_of"),
    [
        ("query:id", lambda name: ("/check/api?x=1&id=" + name, {})),
        ("header:X-Id", lambda name: ("/check/api", {"X-Id": name})),
        ("cookie:id", lambda name: ("/check/api", {"Cookie": f"a=b; id={name}"})),
        ("path:2", lambda name: (f"/check/api/users/{name}", {})),
        ("query:id+method", lambda name: ("/check/api?id=" + name, {})),
    ],
)
def test_a_key_of_any_place_is_that_of_python_applications_on_the_store(
    start_service, key, request_of
):
    """One counts what the other admitted: by the same bytes in the same tables."""
    name = f"service-{os.getpid()}-{key.translate({ord(c): '-' for c in ':+'})}"
    try:
        service = start_service(
            f'[limits.api]\npolicy = "5 per hour; token-bucket 9 per hour"\nkey = "{key}"\n',
            "--store", f"shm://{name}",
        )  # fmt: skip
        path, fields = request_of("a%20b" if "query" in key or "path" in key else "a b")
        assert service.ask(path, **fields)[0] == 200
        label = key.partition("+")[0].lower()
        written = part(label, b"a b") + (part("method", b"GET") if "+" in key else b"")
        with Limiter("5 per hour; token-bucket 9 per hour", store=f"shm://{name}") as limiter:
            assert limiter.hit(written, cost=4).admitted
        assert service.ask(path, **fields)[0] == 429
        other, fields = request_of("other")
        assert service.ask(other, **fields)[0] == 200
    finally:
        remove(name)


def test_one_key_in_several_spellings_is_counted_as_by_the_middlewares(start_service):
    """A method in any case; a cookie beside further lines of Cookie."""
    limit = '[limits.api]\npolicy = "2 per hour"\nkey = "cookie:sid+method"\n'
    service = start_service(limit)
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as sock:
        for head in (
            b"GET /check/api HTTP/1.1\r\nCookie: sid=a\r\n",
            b"get /check/api HTTP/1.1\r\nCookie: sid=a\r\nCookie: z=1\r\n",
            b"gEt /check/api HTTP/1.1\r\ncookie: z=2\r\nCookie: sid=a\r\nCookie: z=3\r\n",
        ):
            sock.sendall(head + b"Host: x\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        told = sock.makefile("rb").read()
    found = [line[9:12] for line in told.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert found == [b"200", b"200", b"429"]


def test_whoever_waits_before_it_sends_a_body_is_told_that_the_connection_ends(start_service):
    """The body may come or not (RFC 9110 10.1.1), so what follows cannot be told from it."""
    service = start_service()
    ask = b"POST /check/api HTTP/1.1\r\nHost: x\r\nX-Api-Key: a\r\nContent-Length: 9\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as sock:
        sock.sendall(ask + b"Expect: x, 100-Continue\r\n\r\n")
        told = sock.makefile("rb").read()
    assert told.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close\r\n" in told


def test_an_address_counts_behind_as_many_hops_as_are_trusted(start_service):
    service = start_service('[limits.api]\npolicy = "1 per hour"\nkey = "ip"\n', "--proxies", "2")
    for forwarded, status in [
        ("203.0.113.7, 10.0.0.1", 200),
        ("203.0.113.7:80, 10.0.0.2", 429),
        ("1.1.1.1, 203.0.113.7, 10.0.0.1", 429),
        ("::ffff:203.0.113.7, 10.0.0.1", 429),
        ("203.0.113.8, 10.0.0.1", 200),
    ]:
        assert service.ask(X_Forwarded_For=forwarded)[0] == status, forwarded


def test_requests_in_one_write_are_answered_in_order_on_one_connection(start_service):
    service = start_service()
    one = b"POST /check/api HTTP/1.1\r\nHost: x\r\nX-Api-Key: a\r\nContent-Length: 3\r\n\r\nabc"
    last = one.replace(b"Content-Length", b"Connection: close\r\nContent-Length")
    found = service.raw(one * 6 + last)
    statuses = re.findall(rb"HTTP/1.1 (\d{3}) ", found)
    assert statuses == [b"200"] * 5 + [b"429"] * 2
    assert found.count(b"Connection: close") == 1
    head = b"HEAD /check/api HTTP/1.0\r\nX-Api-Key: a\r\n\r\n"
    answer = service.raw(head)
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert answer.endswith(b"\r\n\r\n"), "the answer to HEAD has no body"


@pytest.mark.parametrize("before", [b"http://x:80", b"HTTPS://x"])
def test_a_target_may_have_a_scheme_and_an_authority(start_service, before):
    key = '[limits.api]\npolicy = "1 per hour"\nkey = "query:id"\n'
    service = start_service(key)
    statuses = [
        service.raw(b"GET %s/check/api?id=a HTTP/1.0\r\n\r\n" % target)[:13]
        for target in (before, b"", before)
    ]
    assert statuses == [b"HTTP/1.1 200 ", b"HTTP/1.1 429 ", b"HTTP/1.1 429 "]
    assert service.raw(before + b" HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 4")


def test_a_request_that_comes_byte_by_byte_is_a_request(start_service):
    service = start_service()
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for (
            byte
        ) in b"GET /check/api HTTP/1.1\r\nHost: x\r\nX-Api-Key: a\r\nConnection: close\r\n\r\n":
            sock.sendall(bytes([byte]))
        assert sock.makefile("rb").readline().startswith(b"HTTP/1.1 200 ")


def test_a_later_minor_version_of_http_1_is_read_as_http_1_1(start_service):
    service = start_service()
    ask = b"GET /check/api HTTP/1.%d\r\nHost: x\r\nX-Api-Key: a\r\n"
    found = service.raw(
        ask % 2 + b"\r\n" + ask % 9 + b"\r\n" + ask % 1 + b"Connection: close\r\n\r\n"
    )
    assert [line[:12] for line in found.split(b"\r\n") if line.startswith(b"HTTP/")] == [
        b"HTTP/1.1 200"
    ] * 3
    assert b'"api";r=2' in found
    assert b"no Host" in service.raw(b"GET /check/api HTTP/1.2\r\n\r\n")


def test_an_answer_to_head_has_no_body_refused_or_not(start_service):
    service = start_service()
    for path, status in ((b"/check/api", 200), (b"/else", 404), (b"/check/api?\x01", 400)):
        head = service.raw(b"HEAD %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path)
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("data", "status", "named"),
    [
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400, r"the method is '\x16\x03\x01\x02\x00' (a token"),
        (b"CONNECT /check/api HTTP/1.1\r\nHost: x\r\n\r\n", 501, "CONNECT asks for a tunnel"),
        (b"GET / HTTP/9.9\r\n\r\n", 400, "the version is 'HTTP/9.9' (HTTP/1.1 or HTTP/1.0)"),
        (b"GET / HTTP/1.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "is '1' and '2': more"),
        (b'GET / HTTP/1.0\r\nContent-Length: -"1\r\n\r\n', 400, "Content-Length is '-\\\"1' (a whole"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411, "is 'chunked': a body needs"),
        (b"POST / HTTP/1.0\r\nContent-Length: 9" + b"9" * 19 + b"\r\n\r\n", 413, "'" + "9" * 20),
        (b"GET /check/api HTTP/1.1\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", 431, "32 KiB"),
        (b"GET /check/api HTTP/1.1\r\n" + b"x: y\r\n" * 200 + b"\r\n", 431, "128 fields"),
        (
            b"GET /check/api HTTP/1.0\r\nX-Api-Key: " + b"k" * 5_000 + b"\r\n\r\n",
            400,
            f"header:x-api-key has 5000 bytes (at most 4096): '{'k' * 64}...'",
        ),
        (b"GET /check/api HTTP/1.1\r\n\r\n", 400, "no Host"),
        (b"GET /check/api HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Host is 'a' and 'b'"),
        (b"GET /check/api HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "Host is 'a/b' (a name"),
        (b"GET /check/api HTTP/1.1\r\nHost: a\r\n X-Api-Key: b\r\n\r\n", 400, "is ' X-Api-Key'"),
        (b"GET /check/nothing HTTP/1.0\r\n\r\n", 404, "no limit 'nothing'; one of api"),
        (b"GET /check/" + b"%FF" * 99 + b" HTTP/1.0\r\n\r\n", 404, "no limit '%FF%FF"),
        (b"GET /else\\where HTTP/1.0\r\n\r\n", 404, "no path '/else\\\\where'; ask for /check/NAME"),
    ],
)  # fmt: skip
def test_what_is_malformed_too_large_or_unknown_is_refused_and_admits_nothing(
    start_service, data, status, named
):
    service = start_service()
    head, _, body = service.raw(data).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert named in json.loads(body)["detail"]
    assert service.ask(X_Api_Key="a")[1]["ratelimit"].startswith('"api";r=4')


def test_answers_to_any_bytes_and_what_the_start_tells_are_json(start_service, tmp_path):
    rng = random.Random(4)
    service = start_service()
    for _ in range(samples(100)):
        name = bytes(rng.choices([*range(256), *b"\"\\%'"], k=rng.randint(1, 20)))
        data = rng.choice([b"GET /%b HTTP/1.0\r\n\r\n", b"GET /check/%b HTTP/1.0\r\n\r\n",
                           b"%b / HTTP/1.0\r\n\r\n", b"GET / %b\r\n\r\n", b"GET / HTTP/1.0\r\n%b\r\n\r\n",
                           b"GET / HTTP/1.0\r\nHost: %b\r\n\r\n"]) % name  # fmt: skip
        found = service.raw(data + b"\r\n" * 3)
        assert json.loads(found.partition(b"\r\n\r\n")[2])["status"] in {400, 404}, data
    names = ["a\u200db", 'q"\\', "line\nbreak\t\x01\x1f", "é\u2028"]
    limit = {"unit": "day", "requests_per_unit": 1}
    rules = {"domain": "d", "descriptors": [{"key": name, "rate_limit": limit} for name in names]}
    (tmp_path / "rules.yaml").write_text(json.dumps(rules, ensure_ascii=False))
    words = [PROGRAM, "--config", service.file, "--port", "0", "--json", "true"]
    words += ["--rls", "127.0.0.1:0", "--rls-config", tmp_path / "rules.yaml"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        told = json.loads(process.stdout.readline())
        process.kill()
    assert [*told["limits"]] == ["api", *(f"d>{name}" for name in names)]


def test_settings_are_read_again_whole_or_not_at_all_and_nothing_is_lost(start_service):
    service = start_service()
    assert [service.ask(X_Api_Key="a")[0] for _ in range(4)] == [200] * 4
    said = service.reload(LIMITS + '\n[limits.more]\npolicy = "5 per fortnight"\n')
    assert "kept the settings" in said
    assert "line 7" in said
    assert "fortnight" in said
    assert service.ask("/check/more")[0] == 404
    more = LIMITS + '\n[limits.more]\npolicy = "sliding-blocks 2 per hour"\n'
    assert "read again" in service.reload(more)
    assert [service.ask("/check/more")[0] for _ in range(3)] == [200, 200, 429]
    assert [service.ask(X_Api_Key="a")[0] for _ in range(2)] == [200, 429]
    # A wider promise counts beside the former one until that can matter no more.
    assert "read again" in service.reload(LIMITS.replace("5 per hour", "9 per hour"))
    assert service.ask(X_Api_Key="a")[0] == 429
    assert service.ask(X_Api_Key="c")[0] == 200
    # Nor does a promise that is back forget what was admitted before it left, and meanwhile.
    assert "read again" in service.reload(LIMITS)
    assert service.ask(X_Api_Key="a")[0] == 429
    assert service.ask(X_Api_Key="c")[1]["ratelimit"].startswith('"api";r=3')


def test_a_reload_says_what_it_changed_and_what_only_a_restart_changes(start_service):
    begun = '[service]\nconnections = 100\nresp = "127.0.0.1:0"\n' + LIMITS
    service = start_service(begun)
    kept = f"rateproof: kept the settings: {service.file}: "
    only = ": that changes with a restart only\n"
    changed = begun.replace("100", "200").replace("127.0.0.1:0", "unix:/x.sock")
    assert service.reload(changed) == (
        f"{kept}line 3: resp is unix:/x.sock, was 127.0.0.1, port 0; "
        f"line 2: connections is 200, was 100{only}"
    )
    gone = begun.replace("connections = 100\n", "")
    assert service.reload(gone) == f"{kept}connections is 10000, was 100{only}"
    more = begun + '[limits.more]\npolicy = "1 per hour"\n'
    read = "rateproof: settings read again: "
    assert service.reload(more.replace("|ip", "")) == f"{read}added more; changed api\n"
    assert service.reload(begun.replace("|ip", "")) == f"{read}removed more\n"
    assert service.reload(begun.replace("|ip", "")) == f"{read}no limit changed\n"


@pytest.mark.slow
def test_tables_of_quotas_that_left_are_unmapped_once_they_matter_no_more(start_service, store):
    text = LIMITS.replace("5 per hour", "{} per 10ms")
    service = start_service(text.format(5), "--store", store)
    folder = str(directory_of(store.removeprefix("shm://")))

    def mapped():
        maps = Path(f"/proc/{service.process.pid}/maps").read_text().splitlines()
        return {Path(line.split()[5]).name for line in maps if folder in line}

    for limit in range(6, 18):
        assert "read again: changed api" in service.reload(text.format(limit))
        assert service.ask(X_Api_Key=str(limit))[0] == 200
    deadline = time.monotonic() + 60
    while mapped() != {"counters.native", "sliding-log-17-10000000.native"}:
        assert time.monotonic() < deadline, mapped()
        time.sleep(0.05)
    assert service.ask(X_Api_Key="a")[1]["ratelimit-policy"] == '"api";q=17;w=1'


@pytest.mark.parametrize("limit", [5, 7])
def test_a_limit_that_is_back_goes_on_from_what_was_admitted_before(start_service, limit):
    service = start_service()
    assert [service.ask(X_Api_Key="a")[0] for _ in range(5)] == [200] * 5
    for _ in range(2):
        assert "read again" in service.reload(LIMITS.replace("limits.api", "limits.other"))
        assert service.ask(X_Api_Key="a")[0] == 404
    assert "read again" in service.reload(LIMITS.replace("5 per hour", f"{limit} per hour"))
    assert service.ask(X_Api_Key="a")[0] == 429
    assert [service.ask(X_Api_Key="b")[0] for _ in range(6)] == [200] * 5 + [429]


def test_a_cost_above_a_former_limit_is_denied_until_that_has_left(start_service):
    service = start_service()
    assert service.ask(X_Api_Key="a")[0] == 200
    wider = LIMITS.replace("5 per hour", "14 per hour")
    assert "read again" in service.reload(wider + "cost = 7\n")
    status, fields, body = service.ask(X_Api_Key="a")
    assert status == 429
    assert 3000 < int(fields["retry-after"]) <= 3601
    assert b"a former limit is still in force" in body
    assert fields["ratelimit"].startswith('"api";r=14')
    # What is not above it is decided by both.
    assert "read again" in service.reload(wider)
    assert [service.ask(X_Api_Key="a")[0] for _ in range(5)] == [200] * 4 + [429]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no limit"),
        ('[limits.api]\nkey = "ip"\n', "line 1: a limit without a policy"),
        ('[limits.api]\npolicy = "5 per 5s"\nkey = "body:x"\n', "line 3: 'body:x'"),
        ('[limits.api]\npolicy = "5 per 5s"\nkey = "ip\\u001c"\n', r"'ip\x1c' in key 'ip\x1c' is"),
        ('[limits.api]\npolicy = "5 per 5s"\ncost = 6\n', "cost 6 is above the limit: at most 5"),
        ('[limits.api]\npolicy = "leaky-queue 5 per 5s"\n', 'line 2: algorithm is "leaky-queue"'),
        ('[limits.api]\npolicy = "5 per 5s"\npolicy = "6 per 5s"\n', "line 3"),
        ('[limits.api]\npolicy = "5 per 5s"\ncolour = 1\n', "line 3: no option 'colour'"),
        (
            '[limits.api]\npolicy = "5 per 5s"\ncost = 1.5\n',
            "line 3: cost is '1.5' (a text, a whole",
        ),
        ('[limits.api]\npolicy = "sliding-blocks 5 per 5s blocks 0"\n', "blocks is 0 (at least 1)"),
        ('[limits.api]\n# \xff\npolicy = "5 per 5s"\n', "limits.toml: line 2: not UTF-8"),
        ('[service]\nport = 99999\n[limits.api]\npolicy = "5 per 5s"\n', "line 2: port is"),
        ('[service]\nport = "+80"\n', 'line 2: port is "+80" (0 to 65535)'),
        ("[service]\nthreads = 99999999999999999999\n", '"99999999999999999999" (1 to 256)'),
        (
            f'[limits.api]\npolicy = "{"9" * 20} per 5s"\n',
            f"line 2: '{'9' * 20}' is too large a number",
        ),
        (
            '[limits.api]\npolicy = "token-bucket 5 per 5s burst 18446744073709551616"\n',
            "'18446744073709551616' is",
        ),
        *(
            (f'[service]\nhost = "{host}"\n', f'line 2: host is "{host}" (a name, an address or')
            for host in ("", "unix:", "unix:@name", "a b", "localhost:80", "[localhost]", "::1:x")
        ),
        *(
            (f'[service]\nresp = "{place}"\n', f'line 2: resp is "{place}" (HOST:PORT or')
            for place in (
                "x",
                "unix:",
                "unix:@x",
                ":80",
                "a b:80",
                "x:65536",
                "x:+80",
                "x:abc",
                "::x:1",
            )
        ),
        *(
            ('[service]\nport = 0\nhost = "unix:/x.sock"\n', f"limits.toml: line {told}")
            for told in (
                '3: host is "unix:/x.sock", and',
                "2: port is 0: a Unix socket has no port",
            )
        ),
        (
            '[service]\ntls_key = "x"\n',
            'limits.toml: line 2: tls_key is "x", and there is no tls_cert: ',
        ),
        ('[service]\nrls_config = "x"\n', "limits.toml: line 2: rls_config needs an address"),
        ('[service]\nrls = "x:1"\n', "limits.toml: line 2: an address or a socket for rls needs"),
        ('[service]\nstore = "redis://x"\n[limits.api]\npolicy = "5 per 5s"\n', "redis://x"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(tmp_path, text, named):
    file = tmp_path / "limits.toml"
    file.write_text(text, encoding="latin-1")
    done = subprocess.run(
        [PROGRAM, "--config", file], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 64
    assert named in done.stderr


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--host", b"a\xff"), rb'--host: "a\xFF" is not UTF-8'),
        (("--host", "a b"), b'--host: host is "a b" (a name, an address'),
        (("--rls_config", "x"), b"error: rls_config needs an address"),
        (("--proxy_header", "a b"), b'--proxy-header: proxy_header is "a b"'),
    ],
)
def test_a_mistake_on_the_command_line_is_named_with_its_option(tmp_path, words, named):
    (tmp_path / "rateproof.toml").write_text(LIMITS)
    done = subprocess.run(
        [PROGRAM, *words], cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 64
    assert named in done.stderr


UNITS = (*UNIT_NS, "seconds", "mins", "HOURS", "month", "years")


def written(rng):
    """A policy as somebody might write it, right or not."""
    names = ["", "", *RULES, "leaky-queue", "Sliding-Log", "sliding-log5"]
    parts = []
    for _ in range(rng.choice([1, 1, 2])):
        unit = rng.choice(UNITS)
        per = rng.choice([" per ", "/", " / ", "per", " PER "])
        multiple = rng.choice(["", "", "5", "5 ", "90000 ", "0"])
        tail = rng.choice(
            ["", "", "", " burst 7", " blocks 9", " blocks 0", " burst  3 blocks 4", "s"]
        )
        limit = rng.choice([1, 5, 1000, 70_000, 10**9, 10**21, ""])
        parts.append(f"{rng.choice(names)} {limit}{per}{multiple}{unit}{tail}")
    return rng.choice(["; ", ",", " | "]).join(parts)


def enforced(text):
    """The policy as Python reads it; None if it cannot be enforced."""
    try:
        quotas = list(dict.fromkeys(Policy.parse(text).quotas))
        for quota in quotas:
            check_quota(quota, 1)
    except InvalidArgument:
        return None
    return "; ".join(map(str, quotas))


def test_policies_are_read_as_python_reads_them(start_service):
    """The accepted ones in one file, which tells them back; each other one is refused."""
    rng = random.Random(1)
    texts = list(dict.fromkeys(written(rng) for _ in range(1_500)))
    accepted = {text: told for text in texts if (told := enforced(text))}
    refused = [text for text in texts if text not in accepted]
    assert len(accepted) > 150
    limits = [f"[limits.l{n:04}]\npolicy = '{text}'\n" for n, text in enumerate(accepted)]
    service = start_service("".join(limits), "--capacity", "1", wait=False)
    found = [service.said().partition(": ")[2].strip() for _ in accepted]
    assert found == list(accepted.values())
    for text in ["5\u00a0per\u00a05s", "\u20035 per 5s", *rng.sample(refused, 60)]:
        assert "kept the settings" in service.reload(f"[limits.x]\npolicy = '{text}'\n"), text


def test_the_command_executes_the_program_and_names_what_builds_it(tmp_path):
    """Whatever the reason why it cannot be executed."""
    file = tmp_path / "rateproof.toml"
    file.write_text(LIMITS + '[service]\nstore = "memory://"\n')
    command = [sys.executable, "-m", "rateproof", "service", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert "http://127.0.0.1:" in process.stderr.readline()
            assert "/check/api: 5 per 1h" in process.stderr.readline()
        finally:
            process.terminate()
    assert process.returncode == 0
    for name, content in {"absent": None, "foreign": b"\x7fELF\x01", "forbidden": b""}.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
            (tmp_path / name).chmod(0o644 if name == "forbidden" else 0o755)
        hidden = (
            f"import rateproof.enforce.service as s, pathlib, sys; s.PROGRAM = pathlib.Path('{name}');"
            "from rateproof.cli import main; sys.exit(main(['service']))"
        )
        done = subprocess.run(
            [sys.executable, "-c", hidden],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 64
        assert f"cannot execute {name}: " in done.stderr
        assert "make service" in done.stderr


def test_a_unix_socket_is_served_and_removed(start_service, tmp_path):
    path = tmp_path / "service.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    service = start_service(LIMITS, "--host", f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(str(path))
        sock.sendall(b"GET /check/api HTTP/1.0\r\n\r\n")
        assert sock.makefile("rb").readline().startswith(b"HTTP/1.1 200 ")
    assert service.stop() == 0
    assert not path.exists()


def test_a_socket_that_another_process_put_in_its_place_is_left_there(start_service, tmp_path):
    path = tmp_path / "service.sock"
    first = start_service(LIMITS, "--host", f"unix:{path}")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        assert first.stop() == 0
        assert path.exists()


FLASK = """
import sys
from flask import Flask
from werkzeug.serving import make_server
from rateproof import Limiter, RateLimitMiddleware
app = Flask(__name__)
app.add_url_rule("/", view_func=lambda: "ok")
limiter = Limiter("5 per 5s", store=sys.argv[1])
app.wsgi_app = RateLimitMiddleware(app.wsgi_app, limiter, key="header:X-Api-Key")
server = make_server("127.0.0.1", 0, app, threaded=True)
print(server.port, flush=True)
server.serve_forever()
"""


def hammered(port, path, logs, log, statuses):
    """Ask for one key until two limits were admitted in all; log when each was sent and answered, and how."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    until_s = time.monotonic() + 60
    while admissions(logs) < 2 * 5 and time.monotonic() < until_s:
        sent_ns = time.monotonic_ns()
        connection.request("GET", path, headers={"X-Api-Key": "a"})
        answer = connection.getresponse()
        answer.read()
        statuses.add(answer.status)
        admitted = answer.status == 200
        event = Event(
            key=b"a",
            sent_ns=sent_ns,
            received_ns=time.monotonic_ns(),
            status=answer.status,
            outcome=ADMITTED if admitted else REJECTED,
        )
        log.append(event)
        time.sleep(0.002 if admitted else 0.02)
    connection.close()


def admissions(logs):
    return sum(event.outcome == ADMITTED for events in logs for event in list(events))


def test_two_flask_applications_and_two_services_never_admit_a_sixth_in_any_5_s(
    start_service, spawn, store
):
    text = '[limits.api]\npolicy = "5 per 5s"\nkey = "header:X-Api-Key"\n'
    services = [start_service(text, "--store", store) for _ in range(2)]
    flasks = [spawn("-c", FLASK, store, stderr=subprocess.DEVNULL) for _ in range(2)]
    targets = [(service.port, "/check/api") for service in services]
    targets += [(int(flask.stdout.readline()), "/") for flask in flasks]
    logs, statuses = [[] for _ in targets], set()
    threads = [
        threading.Thread(target=hammered, args=(*target, logs, log, statuses))
        for target, log in zip(targets, logs, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log = EventLog({"fresh_keys": True})
    log.extend(sorted(chain(*logs), key=lambda event: event.sent_ns))
    verdict = judge(log, Policy.parse("5 per 5s"))
    assert statuses == {200, 429}
    assert verdict.outcome == CONSISTENT, verdict.describe()
    assert admissions(logs) >= 10, "the limit comes back"
