"""Key specifications: one notation for who reads an identity and who writes it."""

import pytest

from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec, Part


def test_alternatives_and_joined_parts_keep_their_order():
    spec = KeySpec.parse("query:clientId|header:X-Client-Id+path|ip")
    assert spec.alternatives == (
        (Part("query", "clientId"),),
        (Part("header", "X-Client-Id"), Part("path")),
        (Part("ip"),),
    )
    assert str(spec) == "query:clientId|header:X-Client-Id+path|ip"


@pytest.mark.parametrize(
    "text", ["", "query", "query:", "ip:x", "header:a b", "body:x", "query:a||ip", "header:a\r\nb"]
)
def test_a_place_that_requests_do_not_have_is_refused_by_name(text):
    with pytest.raises(InvalidArgument, match="is not a place in a request") as caught:
        KeySpec.parse(text)
    assert "query:NAME" in str(caught.value)


def test_a_segment_of_the_path_and_a_field_of_the_body_are_places():
    spec = KeySpec.parse("path:2|json:user.id")
    assert spec.alternatives == ((Part("path", "2"),), (Part("json", "user.id"),))
    assert spec.writable == Part("path", "2")
    assert Part("path", "2").of_path("/a/b/c") == "b"
    assert Part("path", "2").of_path("/a") == ""
    with pytest.raises(InvalidArgument, match="reads no bodies"):
        KeySpec.to_read("ip|json:user.id")
    for text in ("path:0", "path:x", "path:", "path:100", "json:"):
        with pytest.raises(InvalidArgument, match="not a place"):
            KeySpec.parse(text)


def test_a_client_writes_its_identity_into_the_first_place_it_can():
    assert KeySpec.parse("ip+header:X-Key|cookie:c").writable == Part("header", "X-Key")
    with pytest.raises(InvalidArgument, match="no place for an identity"):
        _ = KeySpec.parse("ip+path").writable
