"""Claims about identities: fresh, random-looking, and carried unchanged."""

import pytest

from rateproof.errors import InvalidArgument
from rateproof.keyspec import Part
from rateproof.simulate.identities import check_place, identity_of, place_identity
from rateproof.simulate.target import Target

TARGET = Target.parse("http://127.0.0.1:8080/api?page=1")
QUERY, HEADER, COOKIE = Part("query", "clientId"), Part("header", "X-Id"), Part("cookie", "id")


def test_ten_thousand_clients_of_two_runs_have_twenty_thousand_identities() -> None:
    found = {identity_of(run, number) for run in ("a", "b") for number in range(10_000)}
    assert len(found) == 20_000


def test_an_identity_is_plain_text_that_the_namespace_and_number_fix() -> None:
    assert identity_of("n", 1) == identity_of("n", 1) != identity_of("n", 2)
    assert identity_of("n", 1).startswith(b"c-")
    assert len(identity_of("n", 1)) == 18
    assert identity_of("n", 1)[2:].isalnum()


def test_each_place_carries_the_identity_beside_what_the_url_has() -> None:
    assert place_identity(TARGET, QUERY, "c-1") == (TARGET.url + "&clientId=c-1", {}, b"")
    assert place_identity(TARGET, HEADER, "c-1") == (TARGET.url, {"X-Id": "c-1"}, b"")
    assert place_identity(TARGET, COOKIE, "c-1") == (TARGET.url, {"Cookie": "id=c-1"}, b"")


def test_a_url_without_a_query_gets_one() -> None:
    url = place_identity(Target.parse("http://a.b/x"), QUERY, "c-1").url
    assert url == "http://a.b/x?clientId=c-1"


@pytest.mark.parametrize(
    "part",
    [Part("ip"), Part("path"), Part("method"), Part("header", "Host"), Part("query", "page")],
)
def test_a_place_that_is_taken_or_no_place_at_all_is_refused(part: Part) -> None:
    with pytest.raises(InvalidArgument):
        check_place(TARGET, part)


@pytest.mark.parametrize("part", [QUERY, HEADER, COOKIE])
def test_the_three_places_are_accepted(part: Part) -> None:
    check_place(TARGET, part)
