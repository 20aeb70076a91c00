"""Keys of a file in requests: which client sends which, how, and under what name."""

import json
from itertools import product

import pytest

from rateproof.errors import InvalidArgument
from rateproof.keyspec import Part
from rateproof.simulate.behaviours.think import Think
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.target import Target
from rateproof.simulate.tokens import Tokens

KEYS = (b"a", b"Bearer b", "\u00fc/?&\"'".encode(), b"d" * 100, b"e")
HEADER, COOKIE, JSON = Part("header", "X-Key"), Part("cookie", "id"), Part("json", "user.id")


def scenario(part: Part, tokens: Tokens | None, path: str = "/a/b", body: bytes = b"") -> Scenario:
    target = Target.parse(f"http://h{path}")
    return Scenario(target=target, groups=(Group(Think(), 4),), key=part, tokens=tokens, body=body)


def test_a_client_of_its_own_key_shares_it_with_nobody() -> None:
    for keys, own, clients in product(range(1, 8), range(6), range(1, 8)):
        tokens = Tokens(tuple(b"%d" % n for n in range(keys)), min(own, keys))
        places = {
            (client, alias): tokens.place(client, alias, clients)
            for client in range(clients)
            for alias in range(4)
        }
        assert set(places.values()) <= set(range(keys))
        if keys > tokens.own:
            for client in range(min(tokens.own, clients)):
                holders = {who for who, place in places.items() if place == client}
                assert holders == {(client, 0)}


@pytest.mark.parametrize("body", [b"", b'{"user": {"id": 7, "a": 1}, "b": [2]}'])
def test_a_key_in_json_is_a_field_and_every_body_as_long(body: bytes) -> None:
    made = scenario(JSON, Tokens(KEYS, 4), body=body)
    lengths = set()
    for key, written in zip(KEYS, made.written, strict=True):
        head, sent = made.template().split(written)
        assert json.loads(sent)["user"]["id"] == key.decode()
        assert f"Content-Length: {len(sent)}\r\n".encode() in head
        assert b"Content-Type: application/json\r\n" in head
        lengths.add(len(sent))
    assert len(lengths) == 1
    if body:
        assert json.loads(sent)["user"]["a"] == 1
        assert json.loads(sent)["b"] == [2]


def test_an_invented_identity_in_json_is_a_field() -> None:
    made = scenario(Part("json", "user"), None)
    head, sent = made.template().split(b"c-0123456789abcdef")
    assert json.loads(sent) == {"user": "c-0123456789abcdef"}
    assert f"Content-Length: {len(sent)}\r\n".encode() in head


@pytest.mark.parametrize(
    ("path", "number", "sent"),
    [
        ("/users/7/login?x=1", 2, "/users/ID/login?x=1"),
        ("/users", 2, "/users/ID"),
        ("/users/", 2, "/users/ID"),
        ("/", 1, "/ID"),
        ("/7/", 1, "/ID/"),
    ],
)
def test_a_segment_of_the_path_is_replaced_or_comes_behind_the_last(
    path: str, number: int, sent: str
) -> None:
    made = scenario(Part("path", str(number)), None, path)
    head, _ = made.template().split(b"ID")
    assert head.split(b" ")[1] == sent.encode()


@pytest.mark.parametrize(
    ("part", "path", "body", "what"),
    [
        (Part("path", "3"), "/a", b"", "has 1 segments"),
        (Part("path"), "/a", b"", "no place for an identity"),
        (JSON, "/a", b"no json", "not a JSON object"),
        (JSON, "/a", b"[]", "not a JSON object"),
        (JSON, "/a", b'{"user": 1}', "not a JSON object"),
    ],
)
def test_a_place_that_the_request_does_not_have_is_refused(
    part: Part, path: str, body: bytes, what: str
) -> None:
    with pytest.raises(InvalidArgument, match=what):
        scenario(part, None, path, body)


@pytest.mark.parametrize("part", [HEADER, COOKIE, Part("path", "1")])
def test_a_key_that_cannot_stand_there_is_named_by_its_number(part: Part) -> None:
    for strange in {HEADER: ["\u00fc"], COOKIE: ["a;b", "a b"]}.get(part, ["..", "."]):
        with pytest.raises(InvalidArgument, match="key number 2 of the file") as caught:
            scenario(part, Tokens((b"a", strange.encode())))
        assert strange not in str(caught.value) or len(strange) < 3


def test_a_name_is_a_digest_that_nobody_can_find_the_key_of() -> None:
    made = scenario(HEADER, Tokens((b"s3cret", b"b"), 2))
    names = [client.identity() for client in made.clients()]
    assert len(set(names)) == 2
    assert all(name.startswith(b"k-") and len(name) == 18 for name in names)
    assert names[:2] == [name.encode() for name in made.as_dict()["own_keys"]]
    assert "s3cret" not in f"{made!r} {made.as_dict()}"
    assert Tokens((b"s3cret",), salt=b"1").names([b"s3cret"]) != names[:1]


def test_a_crowd_has_as_many_keys_as_it_has_identities() -> None:
    for own, lanes, each in product(range(4), range(1, 5), range(1, 4)):
        tokens = Tokens(tuple(b"%d" % n for n in range(own + lanes * each)), own)
        crowd = range(own, own + lanes)
        places = [tokens.place(n, alias, own + lanes) for n in crowd for alias in range(each)]
        assert sorted(places) == list(range(own, own + lanes * each))
