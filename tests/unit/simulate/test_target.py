"""Claims about targets: what a URL must look like, and whose machine it names."""

import socket

import pytest

from rateproof.errors import InvalidArgument
from rateproof.simulate.target import Target


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8080", Target("http", "127.0.0.1", 8080, "/")),
        ("http://127.0.0.1:8080/", Target("http", "127.0.0.1", 8080, "/")),
        ("http://example.com", Target("http", "example.com", 80, "/")),
        ("https://example.com/a/b?c=d&e", Target("https", "example.com", 443, "/a/b?c=d&e")),
        ("HTTP://LocalHost:1?x=1", Target("http", "localhost", 1, "/?x=1")),
        ("http://[::1]:65535/p%20q", Target("http", "::1", 65535, "/p%20q")),
    ],
)
def test_a_url_is_read_with_its_path_and_query_kept(url: str, expected: Target) -> None:
    assert Target.parse(url) == expected


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/", "http://[::1]/x?y=z", "https://a.b:8443/", "http://a.b/"]
)
def test_the_url_of_a_target_is_read_back_as_the_same_target(url: str) -> None:
    target = Target.parse(url)
    assert target.url == url == str(target)
    assert Target.parse(target.url) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "http:///path",
        "http://:80",
        "http:/x",
        "ftp://example.com",
        "file:///etc/passwd",
        "http://example.com:0",
        "http://example.com:65536",
        "http://example.com:-1",
        "http://example.com:eighty",
        "http://[::1",
        "http://[1.2.3.4]/",
        "http://[fe80::1%25eth0]/",
        "http://1.2.3",
        "http://999.1.1.1",
        "http://-a.com",
        "http://a..com",
        "http://" + "a" * 64 + ".com",
        "http://" + "a." * 127 + "toolong",
        "http://exa mple.com",
        "http://example.com/a b",
        "http://example.com/\n",
        "http://example.com/\x00",
        "http://exämple.com",
        "http://example.com\\@evil.com",
    ],
)
def test_anything_else_is_refused_with_the_accepted_form(url: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Target.parse(url)
    assert "http://HOST[:PORT][/PATH]" in str(caught.value) or "1 to 65535" in str(caught.value)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8080", "localhost", "localhost:8080/x?y", "[::1]:80", "example.com:80"]
)
def test_an_address_without_a_scheme_gets_the_url_that_was_meant(url: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Target.parse(url)
    assert caught.value.hint == f"write http://{url}"


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidArgument) as caught:
        Target.parse("http://me:secret@127.0.0.1/")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://a.b/#top", "http://a.b/#", "http://a.b#x"])
def test_a_fragment_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgument, match="fragment"):
        Target.parse(url)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.255.0.9", "[::1]", "[::ffff:127.0.0.1]", "localhost"]
)
def test_this_machine_is_loopback(host: str) -> None:
    assert Target.parse(f"http://{host}:8080/").is_loopback


@pytest.mark.parametrize(
    "host", ["128.0.0.1", "10.0.0.1", "0.0.0.0", "[::]", "[::ffff:8.8.8.8]", "[fe80::1]"]
)
def test_every_other_machine_is_not(host: str) -> None:
    assert not Target.parse(f"http://{host}:8080/").is_loopback


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [(["127.0.0.1", "::1"], True), (["127.0.0.1", "93.184.216.34"], False), ([], False)],
)
def test_a_name_is_loopback_when_all_its_addresses_are(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], expected: object
) -> None:
    found = [(0, 0, 0, "", (address, 80)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
    assert Target.parse("http://name/").is_loopback is expected


def test_a_name_that_cannot_be_resolved_is_not_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert not Target.parse("http://nowhere.invalid/").is_loopback


def test_a_target_answers_while_something_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = Target("http", "127.0.0.1", server.getsockname()[1])
        assert target.answers(1)
    assert not target.answers(1)
