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


def test_a_client_writes_its_identity_into_the_first_place_it_can():
    assert KeySpec.parse("ip+header:X-Key|cookie:c").writable == Part("header", "X-Key")
    with pytest.raises(InvalidArgument, match="no place for an identity"):
        _ = KeySpec.parse("ip+path").writable
