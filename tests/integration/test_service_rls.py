"""Envoy's rate limit service: its YAML, and its answers to a real client of gRPC."""

import os
import re
import socket
from pathlib import Path

import grpc
import pytest
import trustme

from rateproof import Limiter
from rateproof.enforce.http.keys import part
from rateproof.enforce.stores import remove
from tests.rls import (
    DATA,
    GOAWAY,
    HEAD,
    HEADERS,
    OK,
    OVER_LIMIT,
    PING,
    PREFACE,
    SETTINGS,
    WINDOW_UPDATE,
    Client,
    descriptor,
    field,
    frame,
    frames,
)

RULES = """
domain: shop
descriptors:
- key: user
  rate_limit: {unit: hour, requests_per_unit: 3}
- key: user
  value: vip
  rate_limit: {unlimited: true}
- key: user
  value: banned
  rate_limit: {unit: second, requests_per_unit: 0}
- key: user
  value: new
  shadow_mode: true
  rate_limit: {unit: hour, requests_per_unit: 1}
- key: route
  value: /files/*
  share_threshold: true
  rate_limit: {name: files, unit: day, requests_per_unit: 2}
- key: route
  descriptors:
  - key: user
    rate_limit: {unit: minute, requests_per_unit: 1, replaces: [{name: files}]}
- key: many
  rate_limit: {unit: minute, requests_per_unit: 1001}
"""
USER, ROUTE = ("user", "a"), ("route", "/files/1")


@pytest.fixture
def start_rls(start_service, tmp_path):
    """Start a service with these rules; its client, too."""

    def begin(rules=RULES, *words, settings="", **options):
        path = tmp_path / "rules.yaml"
        path.write_text(rules)
        words = ("--rls", "127.0.0.1:0", "--rls-config", str(path), *words)
        return start_service(settings, *words, **options)

    return begin


@pytest.fixture
def client(start_rls):
    with Client(start_rls().rls_port) as client:
        yield client


def test_each_descriptor_is_told_its_limit_what_is_left_and_when_it_is_reset(client):
    told = [client.ask(descriptor(USER)) for _ in range(4)]
    assert [answer.code for answer in told] == [OK] * 3 + [OVER_LIMIT]
    left = [answer.statuses[0] for answer in told]
    assert [status[:3] for status in left] == [
        (OK, 3, 2), (OK, 3, 1), (OK, 3, 0), (OVER_LIMIT, 3, 0),
    ]  # fmt: skip
    assert {3_590 < seconds <= 3_600 for *_, seconds, _ in left} == {True}
    headers = told[-1].headers
    assert headers["RateLimit-Policy"] == '"user";q=3;w=3600'
    assert re.fullmatch(r'"user";r=0;t=3[56]\d\d', headers["RateLimit"])
    assert 3_590 < int(headers["Retry-After"]) <= 3_600
    assert "Retry-After" not in told[0].headers
    assert client.ask(descriptor(("user", "b"))).code == OK


def test_a_value_wins_over_a_pattern_and_a_pattern_over_the_key(client):
    unlimited = client.ask(descriptor(("user", "vip")))
    assert (unlimited.code, unlimited.statuses[0][2]) == (OK, 2**32 - 1)
    banned = client.ask(descriptor(("user", "banned")))
    assert banned.statuses == [(OVER_LIMIT, None, 0, 1, "")]
    shared = [client.ask(descriptor(("route", f"/files/{n}"))) for n in range(3)]
    assert [answer.code for answer in shared] == [OK, OK, OVER_LIMIT]
    assert shared[0].statuses[0][4] == "files"
    assert shared[0].headers["RateLimit-Policy"] == '"files";q=2;w=86400'
    # As many levels as entries: neither more nor fewer meet a limit.
    nothing = client.ask(descriptor(USER, ("more", "1")), descriptor(("route", "/other")))
    assert (nothing.code, nothing.headers) == (OK, {})
    assert [status[1] for status in nothing.statuses] == [None, None]
    assert client.ask(descriptor(USER), domain="none").code == OK


def test_what_is_denied_takes_nothing_of_other_limits(client):
    both = descriptor(USER), descriptor(("route", "/files/1"))
    codes = [client.ask(*both) for _ in range(3)]
    assert [answer.code for answer in codes] == [OK, OK, OVER_LIMIT]
    assert [status[:3] for status in codes[2].statuses] == [(OK, 3, 1), (OVER_LIMIT, 2, 0)]
    assert client.ask(descriptor(USER)).statuses[0][:3] == (OK, 3, 0)


def test_descriptors_that_are_alike_have_to_fit_together(client):
    """Told as by envoyproxy/ratelimit, but that what is denied takes nothing."""
    user, route = descriptor(USER), descriptor(ROUTE)
    assert [status[:3] for status in client.ask(user, user).statuses] == [(OK, 3, 2), (OK, 3, 1)]
    for _ in range(2):
        answer = client.ask(user, user, route)
        assert answer.code == OVER_LIMIT
        assert [status[:2] for status in answer.statuses] == [(OK, 3), (OVER_LIMIT, 3), (OK, 2)]
        assert 3_590 < int(answer.headers["Retry-After"]) <= 3_600
    assert client.ask(user, route).statuses[1][:3] == (OK, 2, 1)
    alike = [descriptor(("user", "b"), limit=(4, "hour"))] * 5
    answer = client.ask(*alike)
    assert [status[0] for status in answer.statuses] == [OK] * 4 + [OVER_LIMIT]
    assert "Retry-After" not in answer.headers, "no wait helps"
    assert [client.ask(*alike[:2]).code for _ in range(3)] == [OK, OK, OVER_LIMIT]


def test_a_rule_replaces_one_by_name_where_both_are_met(client):
    nested = descriptor(("route", "/x"), USER)
    answer = client.ask(descriptor(ROUTE), nested)
    assert [status[1] for status in answer.statuses] == [None, 1]
    assert client.ask(descriptor(ROUTE)).statuses[0][2] == 1, "it was not charged"


def test_shadow_mode_counts_and_lets_everything_pass(client):
    new = descriptor(("user", "new"))
    told = [client.ask(new) for _ in range(3)]
    assert [(answer.code, answer.statuses[0][:3]) for answer in told] == [(OK, (OK, 1, 0))] * 3
    assert "Retry-After" not in told[-1].headers


def test_rules_in_quota_mode_deny_where_all_that_are_met_are_over(start_rls):
    """As envoyproxy/ratelimit's own example has them."""
    rules = "domain: shop\ndescriptors:\n" + "".join(
        f"- {{key: service, value: {name}, quota_mode: {mode}, "
        f"rate_limit: {{unit: {unit}, requests_per_unit: {count}}}}}\n"
        for name, mode, unit, count in (
            ("one", "true", "minute", 1), ("two", "true", "hour", 2), ("own", "false", "day", 4),
        )
    )  # fmt: skip
    one, two, own = (descriptor(("service", name)) for name in ("one", "two", "own"))
    with Client(start_rls(rules).rls_port) as client:
        told = [client.ask(one, two, own) for _ in range(4)]
        codes = [(answer.code, *(status[0] for status in answer.statuses)) for answer in told]
        assert codes == [
            (OK, OK, OK, OK),
            (OK, OVER_LIMIT, OK, OK),
            (OVER_LIMIT, OVER_LIMIT, OVER_LIMIT, OK),
            (OVER_LIMIT, OVER_LIMIT, OVER_LIMIT, OK),
        ]
        assert [answer.statuses[2][2] for answer in told] == [3, 2, 2, 2], "denied: nothing taken"
        assert "Retry-After" not in told[1].headers
        assert int(told[2].headers["Retry-After"]) <= 60, "one of them is enough"
        assert client.ask(own, hits=2).code == OK
        assert client.ask(own, descriptor(("service", "none"))).code == OVER_LIMIT
        assert client.ask(two).code == OVER_LIMIT


def test_hits_addend_of_a_request_and_of_a_descriptor(client):
    assert client.ask(descriptor(USER), hits=2).statuses[0][2] == 1
    for hits in (2, 4, 2**32 - 1):
        answer = client.ask(descriptor(USER), hits=hits)
        assert answer.statuses[0][:3] == (OVER_LIMIT, 3, 1)
        assert ("Retry-After" in answer.headers) == (hits <= 3), "no wait helps"
    assert client.ask(descriptor(USER, hits=0), hits=9).statuses[0][:3] == (OK, 3, 1)
    assert client.ask(descriptor(USER, hits=1), hits=9).statuses[0][:3] == (OK, 3, 0)
    assert client.ask(descriptor(USER, hits=0)).statuses[0][:3] == (OVER_LIMIT, 3, 0)
    assert client.ask(descriptor(USER, hits=2**63)).code == OVER_LIMIT


def test_a_request_may_tell_a_limit_of_its_own(client):
    own = descriptor(("any", "x"), ("user", "a"), limit=(2, "minute"))
    told = [client.ask(own) for _ in range(3)]
    assert [answer.statuses[0][:3] for answer in told] == [
        (OK, 2, 1),
        (OK, 2, 0),
        (OVER_LIMIT, 2, 0),
    ]
    assert client.ask(descriptor(USER, limit=(0, "day"))).code == OVER_LIMIT
    many = client.ask(descriptor(USER, limit=(10**9, "second")))
    assert many.statuses[0][:3] == (OK, 10**9, 10**9 - 1)
    assert client.ask(own, domain="none").code == OK
    for limit in ((2, 99), (2**32 - 1, "second")):
        with pytest.raises(grpc.RpcError) as error:
            client.ask(descriptor(USER, limit=limit))
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_limits_of_requests_open_so_many_tables(start_rls):
    with Client(start_rls(RULES, "--resp-tables", "1").rls_port) as client:
        assert client.ask(descriptor(USER, limit=(2, "minute"))).code == OK
        with pytest.raises(grpc.RpcError) as error:
            client.ask(descriptor(USER, limit=(4, "minute")))
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert re.fullmatch(r"1 tables are open .*\(resp_tables\)", error.value.details())
        assert client.ask(descriptor(USER, limit=(2, "minute"))).code == OK


def test_a_python_limiter_on_the_store_counts_the_same(start_rls):
    name = f"rls-{os.getpid()}"
    try:
        service = start_rls(RULES, "--store", f"shm://{name}")
        key = part("domain", b"shop") + part("key", b"user") + part("value", b"a")
        with Limiter("3 per hour", store=f"shm://{name}") as limiter:
            assert limiter.hit(key, cost=2).admitted
            with Client(service.rls_port) as client:
                assert [client.ask(descriptor(USER)).code for _ in range(2)] == [OK, OVER_LIMIT]
    finally:
        remove(name)


def test_the_start_says_which_limits_are_kept_by_blocks(start_rls):
    service = start_rls(wait=False)
    said = [service.said().strip() for _ in range(7)]
    assert said[0] == "rls shop>user: 3 per 1h"
    assert said[1:4] == [
        "rls shop>user_vip: unlimited",
        "rls shop>user_banned: nothing passes",
        "rls shop>user_new: 1 per 1h (shadow)",
    ]
    assert said[-1] == "rls shop>many: sliding-blocks 1001 per 1m"


def test_health_is_told_without_a_token_and_limits_only_with_it(start_rls, tmp_path):
    (tmp_path / "token").write_text("secret\n")
    service = start_rls(RULES, "--token", f"@{tmp_path / 'token'}")
    for token in (None, "secre", "secret1"):
        with Client(service.rls_port, token) as client:
            assert client.health() == 1
            with pytest.raises(grpc.RpcError) as error:
                client.ask(descriptor(USER))
            assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
    with Client(service.rls_port, "secret") as client:
        assert client.ask(descriptor(USER)).code == OK
        client.metadata = [("authorization", "bearer secret")]
        assert client.ask(descriptor(USER)).code == OK
        assert client.health("envoy.service.ratelimit.v3.RateLimitService") == 1
        with pytest.raises(grpc.RpcError) as error:
            client.health("other")
        assert error.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_client_by_tls_is_told_that_this_is_http_2(start_rls, tmp_path):
    authority = trustme.CA()
    pair = authority.issue_cert("localhost").private_key_and_cert_chain_pem
    pair.write_to_path(tmp_path / "both.pem")
    words = ("--tls-cert", str(tmp_path / "both.pem"), "--tls-key", str(tmp_path / "both.pem"))
    service = start_rls(RULES, *words)
    with Client(service.rls_port, certificate=authority.cert_pem.bytes()) as client:
        assert client.ask(descriptor(USER)).code == OK


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        (field(2, descriptor(USER)), "INVALID_ARGUMENT", "domain must not be empty"),
        (field(1, "shop"), "INVALID_ARGUMENT", "descriptor list must not be empty"),
        (b"\xff\xff", "INVALID_ARGUMENT", "decode"),
        (field(1, 7), "INVALID_ARGUMENT", "wire type"),
        (field(1, "shop") + field(2, descriptor(USER, negative=True)), "UNIMPLEMENTED", "negative"),
        (field(1, "x" * 70_000), "RESOURCE_EXHAUSTED", "65536 bytes"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_reason(client, message, code, reason):
    with pytest.raises(grpc.RpcError) as error:
        client.send(message)
    assert (error.value.code().name, reason in error.value.details()) == (code, True)
    assert client.ask(descriptor(USER)).statuses[0][2] == 2, "nothing was taken"


def test_unknown_methods_and_compressed_messages_are_not_implemented(client):
    for options, named in (
        ({"method": "/a%20b"}, "unknown method '/a%20b'"),
        ({"compression": grpc.Compression.Gzip}, "not compressed"),
    ):
        with pytest.raises(grpc.RpcError) as error:
            client.send(field(1, "shop" * 99), **options)
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert named in error.value.details()


def test_values_of_any_bytes_are_limited_and_too_long_ones_denied(client):
    for value in (b"\xff\xfe", b"", "é".encode(), b"*", b"a\0b"):
        codes = [client.ask(descriptor(("user", value))).code for _ in range(4)]
        assert codes == [OK] * 3 + [OVER_LIMIT], value
    assert client.ask(descriptor(("user", b"x" * 5_000))).code == OVER_LIMIT


@pytest.mark.parametrize(
    "data",
    [
        b"GET /check/api HTTP/1.1\r\n\r\n",
        b"\0" * 100,
        PREFACE + b"\xff" * 100,
        PREFACE + frame(SETTINGS) + frame(HEADERS, 4, 1, b"\xff"),
    ],
)
def test_bytes_that_are_no_http_2_end_the_connection_only(start_rls, data):
    service = start_rls()
    with socket.create_connection(("127.0.0.1", service.rls_port), timeout=60) as sock:
        sock.sendall(data)
        while sock.recv(65_536):
            pass
    with Client(service.rls_port) as client:
        assert client.ask(descriptor(USER)).code == OK


def test_rules_are_read_again_whole_or_not_at_all(start_rls, tmp_path):
    service = start_rls(wait=False)
    for _ in range(7):
        service.said()
    rules = tmp_path / "rules.yaml"
    with Client(service.rls_port) as client:
        assert client.ask(descriptor(USER), hits=3).code == OK
        rules.write_text(RULES.replace("unit: hour, requests_per_unit: 3", "unit: eon", 1))
        assert "kept the settings" in (said := service.reload("")), said
        assert 'rules.yaml, line 5: unit "eon" (one of second, ' in said
        assert client.ask(descriptor(USER)).code == OVER_LIMIT
        rules.write_text(RULES.replace("requests_per_unit: 3", "requests_per_unit: 5", 1))
        assert service.reload("") == "rateproof: settings read again: changed shop>user\n"
        # What the former limit admitted still counts by it.
        assert client.ask(descriptor(USER)).code == OVER_LIMIT
        assert client.ask(descriptor(("user", "z"))).statuses[0][1] == 5
    assert service.stop() == 0


@pytest.mark.parametrize("without", ["unit: hour, requests_per_unit: 0", "unlimited: true", ""])
def test_a_rule_that_is_back_goes_on_from_what_was_admitted_before(start_rls, tmp_path, without):
    service = start_rls(wait=False)
    for _ in range(7):
        service.said()
    told = "  rate_limit: {unit: hour, requests_per_unit: 3}\n"
    gone = without and f"  rate_limit: {{{without}}}\n"
    rules = tmp_path / "rules.yaml"
    with Client(service.rls_port) as client:
        assert client.ask(descriptor(USER), hits=3).code == OK
        for _ in range(2):
            rules.write_text(RULES.replace(told, gone, 1))
            assert "settings read again" in service.reload("")
        rules.write_text(RULES.replace("requests_per_unit: 3", "requests_per_unit: 5", 1))
        assert "settings read again" in service.reload("")
        assert client.ask(descriptor(USER)).code == OVER_LIMIT
        # The former one counts beside it.
        assert client.ask(descriptor(("user", "z"))).statuses[0][:3] == (OK, 5, 2)
    assert service.stop() == 0


def test_long_answers_all_come_to_a_client_that_sends_no_more(start_rls):
    """They are more than is kept at once: the rest is written when those before it were read."""
    name = "x" * 2_000
    rules = "domain: shop\ndescriptors:\n- key: user\n  rate_limit: "
    service = start_rls(rules + f"{{unit: hour, requests_per_unit: 3, name: {name}}}\n")
    message = field(1, "shop") + field(2, descriptor(USER)) * 20
    most = (2**31 - 1).to_bytes(4)
    sent = PREFACE + frame(SETTINGS, 0, 0, b"\0\x04" + most)
    sent += frame(WINDOW_UPDATE, 0, 0, (2**30).to_bytes(4))
    for stream in range(1, 41, 2):
        sent += frame(HEADERS, 4, stream, HEAD)
        sent += frame(DATA, 1, stream, b"\0" + len(message).to_bytes(4) + message)
    with socket.create_connection(("127.0.0.1", service.rls_port), timeout=60) as sock:
        sock.sendall(sent)
        ended = 0
        for kind, flags, *_ in frames(sock):
            ended += kind == HEADERS and flags & 1
            if ended == 20:
                return
    pytest.fail(f"{ended} answers")


def test_what_was_taken_of_a_message_is_told_before_the_rest_of_it_came(start_rls):
    """Otherwise a client whose window is full would wait for ever."""
    service = start_rls()
    with socket.create_connection(("127.0.0.1", service.rls_port), timeout=60) as sock:
        begun = frame(DATA, 0, 1, b"\0" + (60_000).to_bytes(4))
        sock.sendall(PREFACE + frame(SETTINGS) + frame(HEADERS, 4, 1, HEAD) + begun)
        # Too little to be told of, all taken once the ping is answered; then more, in one go.
        sock.sendall(frame(DATA, 0, 1, bytes(16_000)) + frame(PING, 0, 0, bytes(8)))
        for kind, *_ in frames(sock):
            if kind == PING:
                sock.sendall(frame(DATA, 0, 1, bytes(8_000)))
            if kind == WINDOW_UPDATE:
                return
    pytest.fail("the connection ended")


def test_a_client_with_little_room_gets_its_answers_bit_by_bit(start_rls):
    """The call keeps the rest of its answer, and no further one is decided meanwhile."""
    name = "x" * 2_000
    rules = "domain: shop\ndescriptors:\n- key: user\n  rate_limit: "
    service = start_rls(rules + f"{{unit: hour, requests_per_unit: 3, name: {name}}}\n")
    message = field(1, "shop") + field(2, descriptor(USER)) * 70
    sent = PREFACE + frame(SETTINGS, 0, 0, b"\0\x04" + bytes(4))
    sent += frame(WINDOW_UPDATE, 0, 0, (2**30).to_bytes(4))
    for stream in range(1, 11, 2):
        sent += frame(HEADERS, 4, stream, HEAD)
        sent += frame(DATA, 1, stream, b"\0" + len(message).to_bytes(4) + message)
    sent += frame(PING, 0, 0, bytes(8))
    answers, ended = dict.fromkeys(range(1, 11, 2), b""), []

    def decided():
        told = service.ask("/metrics")[2].decode()
        return sum(map(int, re.findall(r'limit="shop>user",outcome="\w+"} (\d+)', told)))

    with socket.create_connection(("127.0.0.1", service.rls_port), timeout=60) as sock:
        sock.sendall(sent)
        found = frames(sock)
        while len(ended) < len(answers):
            kind, flags, stream, payload = next(found)
            if kind == PING:
                decided_first = decided()
                for each in answers:
                    sock.sendall(frame(WINDOW_UPDATE, 0, each, (60_000).to_bytes(4)))
            if kind == DATA:
                answers[stream] += payload
                sock.sendall(frame(WINDOW_UPDATE, 0, stream, (60_000).to_bytes(4)))
            if kind == HEADERS and flags & 1:
                ended.append(stream)
    assert 5 * decided_first == decided() > 0, "one answer is more than is kept"
    for answer in answers.values():
        assert int.from_bytes(answer[1:5]) == len(answer) - 5 > 140_000


def resident_mb(service):
    """The memory that a service has, in MB."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1_000


def test_what_a_client_makes_no_room_for_is_not_kept(start_rls):
    """Its calls wait for their decisions: their 128 answers would take over 100 MB."""
    name = "x" * 60_000
    rules = "domain: shop\ndescriptors:\n- key: user\n  rate_limit: "
    service = start_rls(rules + f"{{unit: hour, requests_per_unit: 3, name: {name}}}\n")
    message = field(1, "shop") + field(2, descriptor(USER)) * 5
    sent = PREFACE + frame(SETTINGS, 0, 0, b"\0\x04" + bytes(4))
    for stream in range(1, 256, 2):
        sent += frame(HEADERS, 4, stream, HEAD)
        sent += frame(DATA, 1, stream, b"\0" + len(message).to_bytes(4) + message)
    with socket.create_connection(("127.0.0.1", service.rls_port), timeout=60) as sock:
        before_mb = resident_mb(service)
        sock.sendall(sent + frame(PING, 0, 0, bytes(8)))
        assert any(kind == PING for kind, *_ in frames(sock))
        assert resident_mb(service) - before_mb < 40


class Sender:
    """A client of HTTP/2 by hand, which sends as much as there is room for."""

    def __init__(self, sock):
        self.sock, self.found = sock, frames(sock)
        self.room, self.answered, self.refused = 65_535, set(), set()
        sock.sendall(PREFACE + frame(SETTINGS))

    def take(self):
        """The kind of the next frame."""
        kind, flags, stream, payload = next(self.found)
        if kind == WINDOW_UPDATE and stream == 0:
            self.room += int.from_bytes(payload)
        if kind == HEADERS and stream not in self.answered:
            (self.refused if flags & 1 else self.answered).add(stream)
        return kind

    def send(self, stream, data, *, last=False):
        while self.room < len(data):
            self.take()
        self.sock.sendall(frame(DATA, last, stream, data))
        self.room -= len(data)

    def is_heard(self):
        """Wait until all that was sent was taken."""
        self.sock.sendall(frame(PING, 0, 0, bytes(8)))
        while self.take() != PING:
            pass


def test_half_sent_messages_of_a_client_are_bounded_together(start_rls):
    """A message above it is refused, and each that was kept may still be ended."""
    service = start_rls()
    message = field(1, "shop") + field(2, descriptor(("user", "x" * 60_000)))
    message = b"\0" + len(message).to_bytes(4) + message
    streams = range(1, 81, 2)
    with socket.create_connection(("127.0.0.1", service.rls_port), timeout=60) as sock:
        sender = Sender(sock)
        for stream in streams:
            sock.sendall(frame(HEADERS, 4, stream, HEAD))
            for begin in range(0, 56_000, 14_000):
                if stream not in sender.refused:
                    sender.send(stream, message[begin : begin + 14_000])
            sender.is_heard()
        kept = set(streams) - sender.refused
        assert 1 < len(kept) <= 5, "256 KiB are kept"
        for stream in kept:
            sender.send(stream, message[56_000:], last=True)
        while sender.answered != kept:
            sender.take()


def test_a_client_hears_which_call_was_the_last_before_the_service_ends(start_rls):
    service = start_rls()
    with socket.create_connection(("127.0.0.1", service.rls_port), timeout=60) as sock:
        sock.sendall(PREFACE + frame(SETTINGS))
        found = frames(sock)
        assert next(found)[0] == SETTINGS
        service.process.terminate()
        kinds = []
        for kind, _, _, payload in found:
            kinds.append(kind)
            if kind == PING:
                sock.sendall(frame(PING, 1, 0, payload))
        assert kinds.count(GOAWAY) == 2, "one that warns, and one that tells the last"
    assert service.process.wait(60) == 0


def test_health_and_figures_show_the_rules(start_rls):
    service = start_rls()
    with Client(service.rls_port) as client:
        for _ in range(5):
            client.ask(descriptor(USER), descriptor(("route", "/x"), ("user", "b")))
        client.ask(descriptor(("user", "new")), hits=1)
        client.ask(descriptor(("user", "new")))
        client.ask(descriptor(("user", "banned")))
        assert client.ask(descriptor(("many", b"x" * 5_000))).code == OVER_LIMIT
    _, _, page = service.ask("/metrics")
    for series in (
        b'{limit="shop>user",outcome="admitted"} 1',
        b'{limit="shop>route>user",outcome="admitted"} 1',
        b'{limit="shop>route>user",outcome="denied"} 4',
        b'{limit="shop>user_new",outcome="shadow"} 1',
        b'{limit="shop>user_banned",outcome="denied"} 1',
        b'{limit="shop>many",outcome="denied"} 1',
    ):
        assert series in page, page.decode()
    assert service.ask("/readyz")[0] == 200
