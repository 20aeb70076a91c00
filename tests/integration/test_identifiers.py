"""Identifiers that no client should send: answered, counted, and never shown."""

import contextlib
import os
import re
import select
import signal
import socket

import pytest

from tests.samples import quick_first

LONG = b"x" * 65_536
MARK = b"m4rk"

# What is sent, and whether the server takes it for an identity of its own: the rest counts
# under the client's address.
QUERIES = {
    "empty": (b"", False),
    "long": (LONG[:60_000], True),
    "not UTF-8": (b"%ff%fe" + MARK, True),
    "zero byte": (b"%00" + MARK, True),
    "line break": (b"a%0d%0aX-Injected:%201" + MARK, True),
    "escape sequence": (b"%1b[31m" + MARK, True),
    "every control character": (b"".join(b"%%%02x" % c for c in range(32)) + MARK, True),
    "broken percent": (b"%zz%" + MARK, True),
}
HEADERS = {
    "empty": b"",
    "long": LONG,
    "not UTF-8": b"\xff\xfe" + MARK,
    "zero byte": b"\x00" + MARK,
    "bare line feed": b"a\nX-Injected: 1" + MARK,
    "bare carriage return": b"a\rb" + MARK,
    "escape sequence": b"\x1b[31m" + MARK,
    "tab": b"a\tb" + MARK,
}


@pytest.fixture(params=quick_first(["granian", "bare"]))
def server(request, spawn, hide):
    """A port that is served, and a function that stops it and returns all that it said."""
    bare = {"RATEPROOF_CORE": "python"} | hide("granian") if request.param == "bare" else {}
    process = spawn(
        *("-m", "rateproof", "serve", "--port", 0, "--policy", "2 per 1h"),
        env=os.environ | bare,
    )
    out, err = process.stdout.buffer, process.stderr.buffer
    said = [b""]
    while b"listening at" not in said[-1]:
        said.append(err.readline())
        assert said[-1], said

    def stop():
        assert process.poll() is None, "it died"
        process.terminate()
        assert process.wait(60) == 0
        return b"".join([*said, *err, *out])

    return int(re.search(rb":(\d+)\n$", said[-1])[1]), stop


def ask(port, target=b"/", *fields, method=b"GET"):
    """The whole answer to a request that no well-behaved client could send, as bytes."""
    head = [method + b" " + target + b" HTTP/1.1", b"Host: a", b"Connection: close", *fields]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as raw:
        with contextlib.suppress(ConnectionError):  # refused before it was all sent
            raw.sendall(b"\r\n".join([*head, b"", b""]))
        answer = b""
        with contextlib.suppress(ConnectionError):
            while select.select([raw], [], [], 60)[0] and (data := raw.recv(65_536)):
                answer += data
    return answer


def status(answer):
    return int(re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)[1])


def check_shown_nowhere(text):
    assert MARK not in text
    assert b"X-Injected" not in text
    assert LONG[:100] not in text
    assert re.search(rb"[^\x20-\x7e\r\n]", text) is None


def test_no_identifier_in_a_query_crashes_the_server_or_is_shown(server):
    port, stop = server
    for name, (value, own) in QUERIES.items():
        answers = [ask(port, b"/?clientId=" + value) for _ in range(3)]
        expected = [200, 200, 503] if own or name == "empty" else [503] * 3
        assert [status(answer) for answer in answers] == expected, name
        for answer in answers:
            check_shown_nowhere(answer)
    assert status(ask(port, b"/healthz")) == 200
    check_shown_nowhere(stop())


def test_a_target_too_long_or_malformed_is_refused_and_the_server_goes_on(server):
    port, stop = server
    assert status(ask(port, b"/?clientId=" + LONG)) == 414
    assert status(ask(port, b"//%0a" + MARK)) in {404, 308}
    for raw in (b"\xff\xfe", b"\x00", b"\x1b[31m", b"a\tb", b"a\nb"):
        answer = ask(port, b"/?clientId=" + raw)
        # After a line feed the rest is not HTTP: no answer, or one to a request of HTTP/0.9.
        assert not answer.startswith(b"HTTP/") or status(answer) in {200, 400}
        check_shown_nowhere(answer)
    assert status(ask(port, b"/?clientId=after")) == 200
    check_shown_nowhere(stop())


def test_no_identifier_in_a_header_crashes_the_server_or_is_shown(server):
    """Refused as malformed, taken as it is, or taken for none: the server's parser decides."""
    port, stop = server
    for name, value in HEADERS.items():
        answers = [ask(port, b"/", b"X-Client-Id: " + value) for _ in range(3)]
        assert {status(answer) for answer in answers} <= {200, 400, 431, 503}, name
        for answer in answers:
            check_shown_nowhere(answer)
    assert status(ask(port, b"/healthz")) == 200
    assert status(ask(port, b"/?clientId=after")) == 200
    check_shown_nowhere(stop())


def test_identifiers_that_differ_in_one_odd_byte_are_different_clients(server):
    port, _ = server
    for value in (b"a", b"a%00", b"a%0a", b"a%ff", b"a%20", b"A"):
        answers = [ask(port, b"/?clientId=" + value) for _ in range(3)]
        assert [status(answer) for answer in answers] == [200, 200, 503], value
    assert status(ask(port, b"/?clientId=%61")) == 503


KEYS = """
from rateproof import ClientAddress, KeySpec
from rateproof.enforce.http import AsgiRequest, WsgiRequest, key_of

SPECS = ("path", "method", "query:q", "query:z", "header:X-A", "header:Content-Type", "cookie:id")
BEHIND = (ClientAddress(1), ClientAddress(["127.0.0.0/8"], "Forwarded", ipv6_prefix=64))

def answer(request):
    keys = [key_of(request, KeySpec.parse(f"{spec}|method")) for spec in SPECS]
    keys += [key_of(request, KeySpec.parse("ip"), address) for address in BEHIND]
    return repr(keys).encode()

def wsgi(environ, start_response):
    body = answer(WsgiRequest(environ))
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = answer(AsgiRequest(scope))
    fields = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})
"""
SERVERS = {
    "gunicorn": ("gunicorn", "--log-level", "critical", "--bind", "127.0.0.1:{port}", "keys:wsgi"),
    "granian, WSGI": (
        "granian",
        "--no-log",
        "--interface",
        "wsgi",
        "--port",
        "{port}",
        "keys:wsgi",
    ),
    "granian, ASGI": (
        "granian",
        "--no-log",
        "--interface",
        "asgi",
        "--port",
        "{port}",
        "keys:asgi",
    ),
}
REQUESTS = (
    (b"GET", b"/"),
    (b"PURGE", b"/a%2Fb/%ff/c%20d;x=1//e?q=%ff+a&z=%zz"),
    (b"GET", b"/?q=&q=1", b"X-A:  a\tb ", b"Cookie: a=1; id = 7 ;id=8"),
    (b"GET", b"/", b"X-A: a=1:;b", b"Content-Type: a/b", b"X-Forwarded-For: 6.6.6.6, 192.0.2.1"),
    (b"GET", b"/", b"X-Forwarded-For: 192.0.2.1, junk", b'Forwarded: for="[2001:db8::1]:80"'),
    (b"GET", b"/", b"Forwarded: for=6.6.6.6, for=192.0.2.1, for=127.0.0.9"),
)


NOT_ASCII = (b"\xff", b"\xfe", b"\xc3\xa9", b"a\xffb")


def keys_of(name, requests, spawn, port, wait_for_port, folder):
    """The keys that a server sees in requests."""
    (folder / "keys.py").write_text(KEYS)
    process = spawn("-m", *(word.format(port=port) for word in SERVERS[name]), cwd=folder)
    wait_for_port(port, process)
    answers = [ask(port, target, *fields, method=method) for method, target, *fields in requests]
    assert {status(answer) for answer in answers} == {200}
    return [answer.partition(b"\r\n\r\n")[2] for answer in answers]


def test_a_field_beyond_ascii_counts_by_its_bytes(spawn, unused_port, wait_for_port, tmp_path):
    """A value that granian over WSGI does not show is as empty, as the page on middleware says."""
    requests = [(b"GET", b"/", b"X-A: " + value) for value in (*NOT_ASCII, b"")]
    keys = {
        name: keys_of(name, requests, spawn, unused_port(), wait_for_port, tmp_path)
        for name in SERVERS
    }
    assert keys["gunicorn"] == keys["granian, ASGI"]
    assert len(set(keys["gunicorn"])) == len(requests)
    assert set(keys["granian, WSGI"]) == {keys["gunicorn"][-1]}


@pytest.mark.parametrize(
    "key", ["header:X-Api-Key|ip", pytest.param("query:id|cookie:id", marks=pytest.mark.slow)]
)
def test_the_server_counts_fields_beyond_ascii_by_their_bytes(spawn, key):
    process = spawn(
        *("-m", "rateproof", "serve", "--port", 0, "--workers", 1),
        *("--policy", "2 per 1h", "--key", key),
    )
    port = int(re.search(r":(\d+)\n$", process.stderr.readline())[1])
    field = b"X-Api-Key: " if "header" in key else b"Cookie: a=b; id="
    for value in (b"\xff" + MARK, b"\xfe", b"\xc3\xa9", b"plain"):
        answers = [ask(port, b"/", field + value) for _ in range(3)]
        assert [status(answer) for answer in answers] == [200, 200, 503]
    process.terminate()
    said = process.stderr.read()
    assert said == ""


def test_a_server_that_was_told_to_read_fields_later_says_which_it_cannot_read(spawn, tmp_path):
    """Such clients count under their address until a restart, and the operator can know."""
    settings = tmp_path / "server.toml"
    settings.write_text('policy = "2 per 1h"\nkey = "ip"\nworkers = 1\n')
    process = spawn("-m", "rateproof", "serve", "--port", 0, "--config", settings)
    assert process.stderr.readline().startswith("settings ")
    port = int(re.search(r":(\d+)\n$", process.stderr.readline())[1])
    settings.write_text('policy = "2 per 1h"\nkey = "header:X-Api-Key|ip"\nworkers = 1\n')
    process.send_signal(signal.SIGHUP)
    assert "reloaded, changed: key" in process.stderr.readline()
    sent = (b"\xff" + MARK, b"\xfe", b"\xfd", b"plain")
    answers = [ask(port, b"/", b"X-Api-Key: " + value) for value in sent]
    assert [status(answer) for answer in answers] == [200, 200, 503, 200]
    process.terminate()
    said = process.stderr.read()
    assert said.count("X-Api-Key") == 1
    assert "beyond ASCII" in said
    check_shown_nowhere(said.encode())


def test_a_request_has_the_same_key_whichever_server_presents_it(
    spawn, unused_port, wait_for_port, tmp_path
):
    keys = [
        keys_of(name, REQUESTS, spawn, unused_port(), wait_for_port, tmp_path) for name in SERVERS
    ]
    assert keys[0] == keys[1] == keys[2]
