"""Needs of those who run the decision service: figures, a token, TLS, sockets handed over, bounds."""

import contextlib
import http.client
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import time

import pytest
import redis
import trustme
from redis.backoff import NoBackoff
from redis.retry import Retry

from rateproof.enforce.service import PROGRAM
from rateproof.enforce.stores.location import directory_of
from tests.service import LIMITS

ONCE = Retry(NoBackoff(), 0)
SHADOWED = LIMITS + '[limits.new]\npolicy = "1 per hour"\nkey = "header:X-Api-Key"\nshadow = true\n'


def figures(service, **fields):
    """The page of figures: each series, and its value."""
    status, told, body = service.ask("/metrics", **fields)
    assert (status, told["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines)}


def test_figures_tell_decisions_their_time_the_room_and_who_was_denied_most(start_service):
    service = start_service(SHADOWED, "--show-keys", "true", "--capacity", "50")
    for key, times in {"a": 8, "b": 6, 'quo"ted': 6}.items():
        for _ in range(times):
            service.ask(X_Api_Key=key)
    for _ in range(3):
        assert service.ask("/check/new", X_Api_Key="a")[0] == 200
    service.ask("/check/unknown")
    found = figures(service)
    family = "rateproof_service_"
    decisions = {
        tuple(re.findall(r'"(\w+)"', series)): value
        for series, value in found.items()
        if series.startswith(family + "decisions_total") and value
    }
    assert decisions == {
        ("api", "admitted"): 15,
        ("api", "denied"): 5,
        ("new", "admitted"): 1,
        ("new", "shadow"): 2,
    }
    assert found[family + 'decision_seconds_count{limit="api"}'] == 20
    assert found[family + 'decision_seconds_bucket{limit="api",le="+Inf"}'] == 20
    assert found[family + 'decision_seconds_sum{limit="api"}'] > 0
    assert 0 < found[family + 'table_fill{limit="api",quota="5 per 1h"}'] < 0.1
    denied = {s: value for s, value in found.items() if "most_denied" in s}
    assert denied == {
        family + 'most_denied{limit="api",key="header:x-api-key=1:a"}': 3,
        family + 'most_denied{limit="api",key="header:x-api-key=1:b"}': 1,
        family + r'most_denied{limit="api",key="header:x-api-key=7:quo\"ted"}': 1,
    }
    assert found[family + "refused_total"] == 1
    assert found[family + "connections"] >= 1


def test_keys_are_digests_unless_they_are_asked_for_and_counts_outlive_a_reload(start_service):
    service = start_service()
    for _ in range(7):
        service.ask(X_Api_Key="secret-name")
    found = figures(service)
    (series,) = (series for series in found if "most_denied" in series)
    assert re.fullmatch(
        r'rateproof_service_most_denied\{limit="api",key="k-[0-9a-f]{16}"\}', series
    )
    assert "read again" in service.reload(LIMITS.replace("5 per hour", "6 per hour"))
    service.ask(X_Api_Key="secret-name")
    assert figures(service)[series] == found[series] + 1
    assert "secret-name" not in str(found)


def test_at_most_20_denied_keys_are_told_however_many_there_are(start_service):
    service = start_service(LIMITS.replace("5 per hour", "1 per hour"))
    ask = b"".join(
        b"GET /check/api HTTP/1.1\r\nHost: x\r\nX-Api-Key: %d\r\n\r\n" % number
        for number in range(1_000)
        for _ in range(2)
    )
    service.raw(ask + b"GET /healthz HTTP/1.0\r\n\r\n")
    found = figures(service)
    assert found['rateproof_service_decisions_total{limit="api",outcome="denied"}'] == 1_000
    assert len([series for series in found if "most_denied" in series]) <= 20


def test_it_is_ready_as_long_as_it_can_decide(start_service):
    service = start_service()
    assert [service.ask(path)[::2] for path in ("/healthz", "/readyz")] == [
        (200, b"ok\n"),
        (200, b"ready\n"),
    ]


def test_without_the_token_nothing_is_told_or_counted(start_service, tmp_path):
    secret = tmp_path / "token"
    secret.write_text("first-one\n")
    service = start_service(LIMITS, "--token", f"@{secret}", "--resp", "127.0.0.1:0")
    for wrong in ({}, {"Authorization": "Bearer first-on"}, {"Authorization": "first-one"}):
        for path in ("/check/api", "/check/unknown", "/metrics", "/"):
            status, fields, _ = service.ask(path, **wrong)
            assert (status, fields["www-authenticate"]) == (401, "Bearer")
    assert [service.ask(path)[0] for path in ("/healthz", "/readyz")] == [200, 200]
    right = {"Authorization": "Bearer first-one"}
    assert service.ask(X_Api_Key="a", **right)[1]["ratelimit"].startswith('"api";r=4')
    for protocol in (2, 3):
        for told in (None, "first-on", "first-one!"):
            client = redis.Redis(
                port=service.resp_port, protocol=protocol, password=told, retry=ONCE
            )
            with client, pytest.raises(redis.AuthenticationError):
                client.execute_command("RP.HIT", "a", "api")
        with redis.Redis(port=service.resp_port, protocol=protocol, password="first-one") as client:
            assert client.execute_command("RP.PEEK", "a", "api")[2] == 5
    with socket.create_connection(("127.0.0.1", service.resp_port), timeout=60) as sock:
        sock.sendall(b"AUTH first-one\r\nRESET\r\nRP.PEEK a api\r\n")
        answers = sock.makefile("rb")
        assert [answers.readline() for _ in "12"] == [b"+OK\r\n", b"+RESET\r\n"]
        assert answers.readline().startswith(b"-NOAUTH")
        sock.sendall(b"HELLO 3 AUTH default first-one NOTHING\r\nRP.PEEK a api\r\n")
        assert answers.readline().startswith(b"-ERR Syntax error in HELLO option 'NOTHING'")
        assert answers.readline().startswith(b"-NOAUTH"), "it was no HELLO"
    secret.write_text("second-one")
    assert "read again" in service.reload(LIMITS)
    assert service.ask(**right)[0] == 401
    for right in ("Bearer second-one", "bearer second-one", "BEARER  second-one"):
        assert service.ask(Authorization=right)[0] == 200
    for wrong in ("", "Bearer", "Bearersecond-one", "Basic second-one"):
        assert service.ask(Authorization=wrong)[0] == 401
    secret.write_text("")
    assert "kept the settings" in service.reload(LIMITS)
    assert service.ask(Authorization="Bearer second-one")[0] == 200


def test_a_token_does_not_stand_on_a_command_line_nor_in_a_message(tmp_path, monkeypatch):
    said = refused(tmp_path, "--token", "plain")
    assert "token is told as @FILE or @env:NAME" in said
    assert "plain" not in said
    monkeypatch.setitem(os.environb, b"TOLD", b"plain\xff")
    said = refused(tmp_path, "--token", "@env:TOLD")
    assert "token @env:TOLD is not one word of visible ASCII" in said
    assert "plain" not in said


def refused(folder, *words, code=64):
    """The words of a service that does not start."""
    file = folder / "limits.toml"
    file.write_text(LIMITS)
    command = [PROGRAM, "--config", file, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def certified(authority, folder):
    """A certificate and its key in a folder: the words that name them."""
    made = authority.issue_cert("127.0.0.1")
    with (folder / "cert.pem").open("wb") as file:
        for each in made.cert_chain_pems:
            file.write(each.bytes())
    made.private_key_pem.write_to_path(folder / "key.pem")
    return "--tls-cert", folder / "cert.pem", "--tls-key", folder / "key.pem"


def over_tls(service, authority, path="/check/api"):
    """The answer, and the number of the certificate by which the service showed itself."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    connection = http.client.HTTPSConnection("127.0.0.1", service.port, timeout=60, context=context)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"X-Api-Key": "a"})
        number = connection.sock.getpeercert()["serialNumber"]
        answer = connection.getresponse()
        return answer.status, answer.read(), number


def test_tls_is_spoken_and_a_new_certificate_is_taken_with_the_settings(
    start_service, tmp_path, authority
):
    words = certified(authority, tmp_path)
    service = start_service(LIMITS, *words, "--resp", "127.0.0.1:0")
    told = [over_tls(service, authority) for _ in range(6)]
    assert [status for status, _, _ in told] == [200] * 5 + [429]
    authority_file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(authority_file)
    with redis.Redis(
        port=service.resp_port, host="127.0.0.1", ssl=True, ssl_ca_certs=str(authority_file)
    ) as client:
        assert client.execute_command("RP.PEEK", "x", "api")[2] == 5
    # A page of many packets, and what is no TLS at all.
    assert over_tls(service, authority, "/metrics")[1].count(b"\n") > 20
    with contextlib.suppress(ConnectionError):
        assert not service.raw(b"GET /check/api HTTP/1.0\r\n\r\n").startswith(b"HTTP/")
    certified(authority, tmp_path)
    assert "read again" in service.reload(LIMITS)
    assert over_tls(service, authority)[2] != told[0][2]
    (tmp_path / "key.pem").write_text("no key")
    said = service.reload(LIMITS)
    assert "kept the settings" in said
    assert "key.pem" in said
    assert over_tls(service, authority)[0] == 429


def test_what_cannot_be_a_certificate_is_named(tmp_path, authority):
    words = certified(authority, tmp_path)
    for (option, file), lacking in ((words[:2], "tls_key"), (words[2:], "tls_cert")):
        named = f'{option[2:].replace("-", "_")} is "{file}", and there is no {lacking}: '
        assert named in refused(tmp_path, option, file)
    assert "/no/such" in refused(tmp_path, "--tls-cert", "/no/such", *words[2:])
    (tmp_path / "cert.pem").write_text("")
    assert "cert.pem: no certificate" in refused(tmp_path, *words)


def test_what_it_says_and_nobody_reads_ends_nothing(start_service):
    service = start_service()
    service.process.stderr.close()
    for limit in (6, 7, 8):
        service.file.write_text(LIMITS.replace("5 per hour", f"{limit} per hour"))
        service.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while f"q={limit};" not in service.ask(X_Api_Key="a")[1]["ratelimit-policy"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_place_that_is_taken_is_named_before_a_table_is_made(tmp_path, store):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refused(tmp_path, "--store", store, "--port", port, code=69)
        elsewhere = ("--port", "0", "--resp", f"127.0.0.1:{port}")
        beside = refused(tmp_path, "--store", store, *elsewhere, code=69)
    for told, option in ((said, "--port"), (beside, "--resp")):
        assert f"cannot listen at 127.0.0.1, port {port}: " in told
        hint = f"hint: stop what listens there, or choose another place: {option}"
        assert told.endswith(f"\n\n{hint}\n")
    assert not directory_of(store.removeprefix("shm://")).exists()
    said = refused(tmp_path, "--host", "unix:/no/such/x.sock", code=69)
    assert "cannot listen at unix:/no/such/x.sock: " in said
    assert "hint" not in said, "it is not taken"
    file = tmp_path / "no.sock"
    file.write_text("precious")
    for link in (file, tmp_path / "link"):
        if link != file:
            link.symlink_to(file)
        assert f"cannot listen at unix:{link}: " in refused(
            tmp_path, "--host", f"unix:{link}", code=69
        )
        assert link.exists()
    assert file.read_text() == "precious"


def test_a_large_table_is_spoken_of_before_it_is_made(tmp_path, store):
    """The file system refuses it, so that none is made here."""
    file = tmp_path / "limits.toml"
    file.write_text(LIMITS.replace("5 per hour", "1000 per hour"))
    script = 'ulimit -f 1024; exec "$0" "$@"'
    words = ("--config", file, "--port", "0", "--store", store)
    done = subprocess.run(
        ["bash", "-c", script, PROGRAM, *words],
        restore_signals=False,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    first, *rest = done.stderr.splitlines()
    assert first == "rateproof: making a table of 926 MB for 1000 per 1h"
    assert (done.returncode, len(rest)) == (73, 1), done.stderr


def test_a_limit_that_lets_everything_pass_is_named_as_such(start_service):
    service = start_service(SHADOWED, wait=False)
    assert [service.said(), service.said()] == [
        "  /check/api: 5 per 1h\n",
        "  /check/new: 1 per 1h (shadow)\n",
    ]


def test_it_says_when_other_machines_may_ask(start_service):
    service = start_service(LIMITS, "--host", "0.0.0.0")
    assert "WARNING: other machines may ask, and none needs a token" in service.said()


def test_it_says_when_all_are_one_client_by_a_unix_socket(start_service, tmp_path):
    text = LIMITS + '[limits.named]\npolicy = "1 per hour"\nkey = "header:X-Api-Key"\n'
    said = []
    for proxies in ("0", "1"):
        words = ("--host", f"unix:{tmp_path}/service.sock", "--proxies", proxies)
        service = start_service(text, *words)
        service.process.terminate()
        said.append(service.process.stderr.read())
    warning = (
        "rateproof: WARNING: a Unix socket tells no address, so the key ip is one for all clients "
        "(api): proxies = 1 takes it from X-Forwarded-For (proxy_header)\n"
    )
    assert said == [warning, ""]


def test_connections_that_find_no_descriptor_are_served_once_there_is_one(start_service):
    service = start_service(LIMITS, "--threads", "1")
    resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (24, 24))
    crowd = [socket.create_connection(("127.0.0.1", service.port), 60) for _ in range(40)]
    try:
        crowd[-1].sendall(b"GET /check/api HTTP/1.0\r\n\r\n")
        crowd[-1].settimeout(0.3)
        with pytest.raises(TimeoutError):
            crowd[-1].recv(1)
        for sock in crowd[:30]:
            sock.close()
        crowd[-1].settimeout(60)
        assert crowd[-1].recv(100).startswith(b"HTTP/1.1 200 ")
    finally:
        for sock in crowd:
            sock.close()


def test_a_table_of_another_layout_is_named_and_left_as_it_is(start_service, store, tmp_path):
    words = ("--store", store, "--capacity", "10")
    assert start_service(LIMITS, *words).stop() == 0
    (table,) = directory_of(store.removeprefix("shm://")).glob("sliding-log-*")
    other = bytearray(table.read_bytes())
    other[:8] = b"another!"
    table.write_bytes(other)
    assert str(table) in refused(tmp_path, *words, code=73)
    assert table.read_bytes() == other
