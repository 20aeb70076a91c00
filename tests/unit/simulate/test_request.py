"""Claims about requests as bytes: exactly these, whatever the scenario."""

from typing import Any

import pytest

from rateproof.errors import InvalidArgument
from rateproof.keyspec import Part
from rateproof.options.forms import BODY, FRAMING, METHOD, MOST_DATA
from rateproof.simulate.behaviours.think import Think
from rateproof.simulate.identities import IDENTITY_BYTES, identity_of, place_identity
from rateproof.simulate.request import RequestTemplate, check_headers
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.target import Target

IDENTITY = b"c-0123456789abcdef"
HEADER, COOKIE = Part("header", "X-Client-Id"), Part("cookie", "session")


def template(url: str, **options: Any) -> RequestTemplate:
    return Scenario(target=Target.parse(url), groups=(Group(Think()),), **options).template()


def lines(url: str, **options: Any) -> list[bytes]:
    return template(url, **options).fill(IDENTITY).split(b"\r\n")


def test_a_request_is_exactly_these_bytes() -> None:
    assert template("http://127.0.0.1:8080/").fill(IDENTITY) == (
        b"GET /?clientId=c-0123456789abcdef HTTP/1.1\r\n"
        b"Host: 127.0.0.1:8080\r\n"
        b"User-Agent: rateproof\r\n"
        b"Accept: */*\r\n"
        b"Accept-Encoding: identity\r\n"
        b"\r\n"
    )


def test_a_body_comes_last_after_its_length_and_the_identity() -> None:
    made = template(
        "https://api.example/login?next=%2F",
        key=HEADER,
        method="POST",
        headers=(("Content-Type", "application/json"), ("user-agent", "me/1")),
        body=b'{"a":"\xc3\xa4"}\r\n',
    )
    assert made.fill(IDENTITY) == (
        b"POST /login?next=%2F HTTP/1.1\r\n"
        b"Host: api.example\r\n"
        b"Accept: */*\r\n"
        b"Accept-Encoding: identity\r\n"
        b"Content-Type: application/json\r\n"
        b"user-agent: me/1\r\n"
        b"X-Client-Id: c-0123456789abcdef\r\n"
        b"Content-Length: 12\r\n"
        b"\r\n"
        b'{"a":"\xc3\xa4"}\r\n'
    )


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://h/", b"h"),
        ("http://h:80/", b"h"),
        ("http://h:443/", b"h:443"),
        ("https://h/", b"h"),
        ("https://h:443/", b"h"),
        ("https://h:80/", b"h:80"),
        ("http://H.Example:8080/", b"h.example:8080"),
        ("http://[::1]/", b"[::1]"),
        ("http://[::1]:8080/", b"[::1]:8080"),
        ("https://[2001:db8::0:1]:443/", b"[2001:db8::1]"),
    ],
)
def test_host_names_the_port_where_it_is_not_the_usual_one(url: str, host: bytes) -> None:
    assert lines(url)[1] == b"Host: " + host


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("", b"/?clientId="),
        ("/", b"/?clientId="),
        ("/a/b", b"/a/b?clientId="),
        ("/a?b=1", b"/a?b=1&clientId="),
        ("/a?", b"/a?clientId="),
        ("/%3Fa", b"/%3Fa?clientId="),
        ("/a;x=%20?b=%26&c", b"/a;x=%20?b=%26&c&clientId="),
        ("/c-0000000000000000?x=c-0000000000000000", None),
    ],
)
def test_the_identity_joins_the_query_that_is_there(path: str, sent: bytes | None) -> None:
    expected = path.encode() + b"&clientId=" if sent is None else sent
    made = template(f"http://h{path}")
    assert made.before == b"GET " + expected
    assert made.after.startswith(b" HTTP/1.1\r\nHost: h\r\n")


def test_an_awkward_name_of_a_query_parameter_is_percent_encoded() -> None:
    assert lines("http://h/", key=Part("query", "a&b#c"))[0].startswith(b"GET /?a%26b%23c=c-")


def test_a_header_or_a_cookie_carries_the_identity_and_the_path_stays_as_it_is() -> None:
    assert lines("http://h/a?b=1", key=HEADER)[0] == b"GET /a?b=1 HTTP/1.1"
    assert b"X-Client-Id: " + IDENTITY in lines("http://h/a?b=1", key=HEADER)
    assert b"Cookie: session=" + IDENTITY in lines("http://h/", key=COOKIE)


def test_what_looks_like_an_identity_elsewhere_is_left_alone() -> None:
    look = "c-0000000000000000"
    made = template(
        f"http://h/{look}", key=HEADER, headers=(("X-Other", look),), body=look.encode()
    )
    request = made.fill(IDENTITY)
    assert request.count(look.encode()) == 3
    assert request.count(b"X-Client-Id: " + IDENTITY) == 1


@pytest.mark.parametrize("key", [Part("query", "clientId"), HEADER, COOKIE])
@pytest.mark.parametrize("body", [b"", b"x" * 1_000])
def test_the_header_section_ends_where_it_is_said_to(key: Part, body: bytes) -> None:
    made = template("http://h/", key=key, method="PUT", body=body)
    request = made.fill(IDENTITY)
    assert request[made.head_bytes - 4 : made.head_bytes] == b"\r\n\r\n"
    assert request[made.head_bytes :] == body


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        ("GET", b"", None),
        ("HEAD", b"", None),
        ("DELETE", b"", None),
        ("POST", b"", b"0"),
        ("PUT", b"", b"0"),
        ("PATCH", b"", b"0"),
        ("GET", b"abc", b"3"),
        ("PROPFIND", b"abc", b"3"),
        ("POST", b"x" * MOST_DATA, b"1048576"),
    ],
)
def test_content_length_stands_where_a_server_waits_for_it(
    method: str, body: bytes, length: bytes | None
) -> None:
    found = [line for line in lines("http://h/", method=method, body=body) if b"Length" in line]
    assert found == ([] if length is None else [b"Content-Length: " + length])


def test_every_identity_is_as_long_as_the_template_expects() -> None:
    for number, alias in [(0, 0), (999_999, 0), (0, 1), (999_999, 2**31)]:
        assert len(identity_of("n", number, alias)) == IDENTITY_BYTES == len(IDENTITY)


@pytest.mark.parametrize("key", [Part("query", "a&b"), HEADER, COOKIE])
def test_both_transports_put_the_identity_at_the_same_place(key: Part) -> None:
    target = Target.parse("http://h/a?b=1")
    url, headers, _ = place_identity(target, key, IDENTITY.decode())
    request = template("http://h/a?b=1", key=key).fill(IDENTITY).decode()
    assert request.startswith(f"GET {url.removeprefix('http://h')} HTTP/1.1\r\n")
    for name, value in headers.items():
        assert f"\r\n{name}: {value}\r\n" in request


@pytest.mark.parametrize("method", ["GET", "M-SEARCH", "X" * 32, "A1!#$%&'*+.^_`|~-"])
def test_a_token_in_capital_letters_is_a_method(method: str) -> None:
    METHOD.hold("method", method)


@pytest.mark.parametrize(
    "method", ["", "get", "GET ", "GE T", "GET\r\n", "Ä", "CONNECT", "X" * 33, None, b"GET"]
)
def test_what_is_no_method_is_refused(method: Any) -> None:
    with pytest.raises(InvalidArgument, match="method"):
        METHOD.hold("method", method)


def test_headers_of_every_allowed_form_are_accepted() -> None:
    check_headers((), HEADER)
    check_headers((("A", ""), ("b!#$%&'*+-.^_`|~9", "x"), ("C", "a\t b \xe4\xff")), HEADER)
    check_headers(tuple((f"X-{number}", "v" * 8_192) for number in range(100)), HEADER)
    check_headers((("Cookie", "a=b"), ("X-Client-Id", "mine")), Part("query", "id"))


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ((("", "x"),), "header name"),
        ((("A B", "x"),), "header name"),
        ((("A:", "x"),), "header name"),
        ((("Ä", "x"),), "header name"),
        ((("A\r\nB", "x"),), "header name"),
        ((("A", "x\r\nEvil: 1"),), "value"),
        ((("A", "x\0"),), "value"),
        ((("A", " x"),), "value"),
        ((("A", "x "),), "value"),
        ((("A", "\u20ac"),), "value"),
        ((("A", "x" * 8_193),), "value"),
        ((("A", 5),), "value"),
        ((("A", "1"), ("a", "2")), "twice"),
        ((("x-client-id", "1"),), "carries the identity"),
        (tuple((f"X-{number}", "v") for number in range(101)), "headers"),
        ({"A": "b"}, "headers"),
    ],
)
def test_a_header_that_cannot_be_sent_as_it_is_is_refused(headers: Any, named: str) -> None:
    with pytest.raises(InvalidArgument, match=named):
        check_headers(headers, HEADER)


@pytest.mark.parametrize("name", sorted(FRAMING))
def test_a_header_that_frames_the_message_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="not free"):
        check_headers(((name.title(), "x"),), HEADER)


def test_a_cookie_of_the_scenario_would_hide_a_cookie_with_the_identity() -> None:
    with pytest.raises(InvalidArgument, match="carries the identity"):
        check_headers((("COOKIE", "a=b"),), COOKIE)


def test_a_body_is_bytes_up_to_a_mebibyte() -> None:
    BODY.hold("body", b"")
    BODY.hold("body", b"x" * MOST_DATA)
    with pytest.raises(InvalidArgument, match="1048577 bytes"):
        BODY.hold("body", b"x" * (MOST_DATA + 1))
    wrong: Any = "text"
    with pytest.raises(InvalidArgument, match="str"):
        BODY.hold("body", wrong)
