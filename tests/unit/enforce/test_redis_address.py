"""Every form of a store's URL, and that no message repeats a password."""

import pytest
import redis

from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores import open_store
from rateproof.enforce.stores.redis.address import parse_address
from rateproof.errors import InvalidArgument

SECRET = "hush"


@pytest.mark.parametrize(
    ("url", "shown", "parsed"),
    [
        ("redis://", "redis://", {}),
        ("redis://host", "redis://host", {"host": "host"}),
        ("redis://host:1/2", "redis://host:1/2", {"host": "host", "port": 1, "db": 2}),
        ("redis://[::1]:7/", "redis://[::1]:7/", {"host": "::1", "port": 7}),
        ("redis://:hush@host", "redis://host", {"host": "host", "password": SECRET}),
        ("redis://me:hu%2Fsh@h", "redis://h", {"host": "h", "username": "me", "password": "hu/sh"}),
        ("redis://host?password=hush", "redis://host", {"host": "host", "password": SECRET}),
        ("redis://host?socket_timeout=2", "redis://host", {"host": "host", "socket_timeout": 2.0}),
        ("unix:///run/v.sock?db=3", "unix:///run/v.sock", {"path": "/run/v.sock", "db": 3}),
        ("unix://me@/v.sock", "unix:///v.sock", {"path": "/v.sock", "username": "me"}),
    ],
)
def test_a_server_is_what_redis_py_reads_in_the_url(url, shown, parsed):
    address = parse_address(url)
    assert address.shown == shown
    assert address.nodes == ()
    read = redis.connection.parse_url(address.url)
    read.pop("connection_class", None)
    assert read == parsed
    assert SECRET not in repr(address)


def test_tls_is_asked_for_by_the_scheme():
    read = redis.connection.parse_url(parse_address("rediss://host?ssl_cert_reqs=none").url)
    assert read["connection_class"] is redis.SSLConnection
    assert read["ssl_cert_reqs"] == "none"


def test_a_cluster_is_a_list_of_nodes():
    address = parse_address("redis+cluster://me:hush@a:1,b,[::1]:3/0?timeout=1s")
    assert address.nodes == (("a", 1), ("b", 6379), ("::1", 3))
    assert address.shown == "redis+cluster://a:1,b,[::1]:3/0"
    assert redis.connection.parse_url(address.url)["password"] == SECRET
    assert parse_address("rediss+cluster://a").url.startswith("rediss://a")


@pytest.mark.parametrize(
    ("option", "seconds"),
    [("", 0.25), ("?timeout=200ms", 0.2), ("?timeout=1.5s", 1.5), ("?timeout=200ms&db=1", 0.2)],
)
def test_every_wait_is_bounded(option, seconds):
    address = parse_address(f"redis://host{option}")
    options = address.options(redis.connection.parse_url(address.url))
    assert options["socket_timeout"] == options["socket_connect_timeout"] == seconds
    assert "timeout" not in options


def test_what_the_url_says_comes_before_what_we_want():
    address = parse_address("redis://host?socket_timeout=3")
    options = address.options(redis.connection.parse_url(address.url))
    assert options["socket_timeout"] == 3
    assert options["socket_connect_timeout"] == 0.25


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hush@host:port",
        "redis://:hu/sh@host",
        "redis://:hu?sh@host",
        "redis://:hu#sh@host",
        "redis://user:hush@host/zero",
        "redis://user:hush@host/0/1",
        "redis://user:hush@host:0",
        "redis://user:hush@host:65536",
        "redis://[::1",
        "unix://",
        "unix://user:hush@",
        "redis+cluster://:hush@host/1",
        "redis+cluster://:hush@host:port,host",
        "redis://:hush@host?timeout=0s",
        "redis://:hush@host?timeout=5",
        "redis://:hush@host?prefix={x}",
        "redis://:hush@host?prefix=",
        "redis://:hush@host?db=zero",
        "redis://:hush@host?no_such_option=1",
        "redis+cluster://:hush@host?no_such_option=1",
    ],
)
def test_what_cannot_be_is_refused_before_anything_connects(url):
    with pytest.raises(InvalidArgument) as caught:
        open_store(url)
    said = str(caught.value)
    assert caught.value.hint
    assert not any(part in said for part in ("hush", "hu/", "hu?", "hu#", "sh@"))


def test_a_limit_that_no_table_counts_is_refused_here_too():
    with pytest.raises(InvalidArgument, match="65536"):
        Limiter("65537 per day", store="redis://127.0.0.1:1")


def test_without_redis_py_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "redis", None)
    with pytest.raises(InvalidArgument, match=r"pip install redis"):
        open_store("redis://:hush@host")
