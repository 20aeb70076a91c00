"""A key says which client sent a request, and nothing a client sends makes two keys collide.

Each key is found twice, in the request as WSGI and as ASGI presents it: they never differ.
"""

import itertools
from urllib.parse import quote_from_bytes

import pytest

from rateproof import Limiter, RateLimitMiddleware
from rateproof.enforce.http import AsgiRequest, WsgiRequest, key_of
from rateproof.enforce.http.views import _say_hidden, cgi_variable
from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec

ADDRESS = b"ip=9:192.0.2.7"


def environ(query="", **variables):
    return {
        "QUERY_STRING": query,
        "REMOTE_ADDR": "192.0.2.7",
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
    } | variables


def scope(environ):
    """The same request as an ASGI server presents it."""
    raw = {name: str(value).encode("latin-1") for name, value in environ.items()}
    names = {name: name.removeprefix("HTTP_") for name in raw if name.startswith("HTTP_")}
    names |= {name: name for name in raw if name.startswith("CONTENT_")}
    path = raw["SCRIPT_NAME"] + raw["PATH_INFO"]
    return {
        "type": "http",
        "method": environ["REQUEST_METHOD"],
        "path": path.decode("utf-8", "replace"),
        "raw_path": quote_from_bytes(path).encode(),
        "query_string": raw["QUERY_STRING"],
        "client": (environ["REMOTE_ADDR"], 4711) if environ["REMOTE_ADDR"] else None,
        "headers": [
            (name.lower().replace("_", "-").encode(), raw[variable])
            for variable, name in names.items()
        ],
    }


def key(spec, *arguments, **variables):
    found = environ(*arguments, **variables)
    parsed = KeySpec.parse(spec)
    by_wsgi = key_of(WsgiRequest(found), parsed)
    assert key_of(AsgiRequest(scope(found)), parsed) == by_wsgi
    return by_wsgi


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("clientId=a", b"a"),
        ("x=1&clientId=a&y=2", b"a"),
        ("clientId=a&clientId=b", b"a"),
        ("clientId=a+b%2Bc", b"a b+c"),
        ("client%49d=a", b"a"),
        ("clientId=%ff%00%0a%1b", b"\xff\x00\n\x1b"),
        ("clientId=a=b", b"a=b"),
        ("clientId=%zz%", b"%zz%"),
        ("clientId=\xe9", b"\xe9"),
        ("clientId=%C3%A9", b"\xc3\xa9"),
    ],
)
def test_a_query_value_is_read_as_raw_bytes(query, value):
    assert key("query:clientId", query) == b"query:clientId=%d:%s" % (len(value), value)


@pytest.mark.parametrize(
    "query",
    ["", "clientId", "clientId=", "clientId=&clientId=a", "clientid=a", "&&=&", "xclientId=a"],
)
def test_a_missing_or_empty_value_counts_under_the_address(query):
    assert key("query:clientId", query) == b"ip=9:192.0.2.7"


def test_the_first_alternative_that_is_present_is_taken():
    spec = "query:clientId|header:X-Client-Id|ip"
    header = {"HTTP_X_CLIENT_ID": "h"}
    assert key(spec, "clientId=q", **header) == b"query:clientId=1:q"
    assert key(spec, "clientId=", **header) == b"header:x-client-id=1:h"
    assert key(spec, "clientId=", HTTP_X_CLIENT_ID="") == b"ip=9:192.0.2.7"


def test_header_names_are_case_insensitive():
    assert key("header:x-client-ID", HTTP_X_CLIENT_ID="h") == key(
        "header:X-CLIENT-id", HTTP_X_CLIENT_ID="h"
    )


def test_headers_with_variables_of_their_own_are_found():
    assert key("header:Content-Type", CONTENT_TYPE="a/b") == b"header:content-type=3:a/b"
    assert key("header:Content-Length", CONTENT_LENGTH="7") == b"header:content-length=1:7"


@pytest.mark.parametrize(
    ("cookies", "value"),
    [("id=a", b"a"), ("x=1; id=a; id=b", b"a"), ("x=1;id=a=b ", b"a=b"), ('id="a b"', b'"a b"')],
)
def test_a_cookie_is_found_by_its_exact_name(cookies, value):
    assert key("cookie:id", HTTP_COOKIE=cookies) == b"cookie:id=%d:%s" % (len(value), value)


@pytest.mark.parametrize("cookies", ["", "ID=a", "xid=a", "id", "id=;id=a", ";;="])
def test_a_cookie_that_is_missing_or_empty_counts_under_the_address(cookies):
    assert key("cookie:id", HTTP_COOKIE=cookies) == b"ip=9:192.0.2.7"


@pytest.mark.parametrize(("spec", "field"), [("header:X-Key", "X-Key"), ("cookie:id", "cookie")])
def test_a_field_that_granian_empties_counts_as_missing_and_is_named_once(spec, field, caplog):
    """granian over WSGI shows a value with bytes beyond ASCII as an empty one."""
    _say_hidden.cache_clear()
    variables = {cgi_variable(field): "", "SERVER_SOFTWARE": "Granian"}
    asked = RateLimitMiddleware(lambda *_: [], Limiter("9 per 1s"), key=f"{spec}|ip")
    assert key_of(WsgiRequest(environ(**variables)), KeySpec.parse(f"{spec}|ip")) == ADDRESS
    for _ in range(3):
        asked(environ(**variables), lambda *_: None)
    assert [field in said for said in caplog.messages] == [True]


def test_a_field_that_is_missing_or_empty_elsewhere_is_nothing_to_report(caplog):
    _say_hidden.cache_clear()
    for variables in ({"SERVER_SOFTWARE": "Granian"}, {"HTTP_X_KEY": ""}):
        assert key_of(WsgiRequest(environ(**variables)), KeySpec.parse("header:X-Key")) == ADDRESS
    assert not caplog.messages


def test_path_method_and_address_are_keys_too():
    assert key("path", SCRIPT_NAME="/a", PATH_INFO="/b\xff") == b"path=5:/a/b\xff"
    assert key("path", PATH_INFO="") == b"path=1:/"
    assert key("path:2", PATH_INFO="/a/b/c") == b"path:2=1:b"
    assert key("path:1", SCRIPT_NAME="/a", PATH_INFO="/b") == b"path:1=1:a"
    for path in ("/a/", "/a", "", "/a//c"):
        assert key("path:2", PATH_INFO=path) == ADDRESS
    assert key("method") == b"method=3:GET"
    assert key("ip", REMOTE_ADDR="::1") == b"ip=3:::1"


def test_a_segment_of_the_path_is_the_key_over_native_wsgi_too():
    app = RateLimitMiddleware(
        lambda _, start: start("200 OK", []) or [b""], Limiter("1/h"), key="path:2"
    )

    def status(path):
        said = []
        list(app(environ(PATH_INFO=path), lambda line, *_: said.append(line[:3])))
        return said[0]

    assert [status(path) for path in ("/u/1/x", "/u/2/x", "/u/1/y", "/u/2/z")] == [
        *("200", "200", "429", "429")
    ]


def test_a_field_of_a_body_is_refused_by_name():
    for spec in ("json:user", "ip|json:user.id"):
        with pytest.raises(InvalidArgument, match="a limiter reads no bodies"):
            RateLimitMiddleware(None, Limiter("1/h"), key=spec)


def test_a_composite_is_skipped_when_a_part_is_missing():
    spec = "query:a+query:b|method"
    assert key(spec, "a=1&b=2") == b"query:a=1:1query:b=1:2"
    assert key(spec, "a=1&b=") == b"method=3:GET"


def test_requests_that_know_no_address_share_a_key():
    assert key_of(WsgiRequest({}), KeySpec.parse("query:clientId|ip")) == b"ip=0:"
    assert key("query:clientId|ip", REMOTE_ADDR="") == b"ip=0:"


def test_a_server_that_decoded_its_strings_does_not_crash_it():
    decoded = WsgiRequest(environ("a=\u20ac\ud800"))
    expected = b"query:a=6:\xe2\x82\xac\xed\xa0\x80"
    assert key_of(decoded, KeySpec.parse("query:a")) == expected
    bare = AsgiRequest({"type": "http", "path": "/\u20ac", "headers": []})
    assert key_of(bare, KeySpec.parse("path")) == b"path=4:/\xe2\x82\xac"


def test_lines_of_one_field_are_one_value():
    lines = [(b"x-a", b" one"), (b"cookie", b"a=1"), (b"x-a", b"two\t"), (b"cookie", b"id=7")]
    request = AsgiRequest({"type": "http", "path": "/", "headers": lines})
    assert key_of(request, KeySpec.parse("header:X-A")) == b"header:x-a=7:one,two"
    assert key_of(request, KeySpec.parse("cookie:id")) == b"cookie:id=1:7"


def test_a_websocket_is_a_get():
    request = AsgiRequest({"type": "websocket", "path": "/", "headers": []})
    assert key_of(request, KeySpec.parse("method")) == b"method=3:GET"


def test_an_ipv6_address_has_one_form():
    for text in ("2001:db8::1", "2001:0DB8:0:0:0:0:0:1", "2001:db8::1%eth0"):
        assert key("ip", REMOTE_ADDR=text) == b"ip=11:2001:db8::1"
    assert key("ip", REMOTE_ADDR="::ffff:192.0.2.7") == key("ip", REMOTE_ADDR="192.0.2.7")


def test_different_parts_never_make_equal_keys():
    """Every pair of values, some made to look like the encoding, under every alternative."""
    spec = KeySpec.parse("query:a+query:b|query:b|query:a|ip")
    values = [b"", b"1", b"11", b"=1:1", b"1query:b=1:1", b"query:b=0:", b"\x00", b"1:", b"ip=1:1"]
    keys = {}
    for a, b in itertools.product(values, repeat=2):
        query = f"a={quote_from_bytes(a)}&b={quote_from_bytes(b)}"
        keys.setdefault(key_of(WsgiRequest(environ(query)), spec), set()).add((a, b))
    assert [pairs for pairs in keys.values() if len(pairs) > 1] == []


def test_a_huge_identifier_is_a_key_like_any_other():
    assert key("query:a", "a=" + "x" * 65_536) == b"query:a=65536:" + b"x" * 65_536
