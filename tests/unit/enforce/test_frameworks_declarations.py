"""A limit that cannot be is refused where it is declared, by every framework alike."""

import re

import pytest

from rateproof.errors import InvalidArgument, NeverPossible
from rateproof.fastapi import RateLimit as FastApiRateLimit
from rateproof.flask import RateLimit as FlaskRateLimit


@pytest.fixture(params=[FlaskRateLimit, FastApiRateLimit], ids=["flask", "fastapi"])
def make(request):
    return request.param


async def waiting(_):
    return None


@pytest.mark.parametrize("cost", [0, -1, "1", True, 1.5, None])
def test_a_cost_is_a_whole_number_from_1(make, cost):
    limits = make(key="ip")
    expected = f"cost {re.escape(repr(cost))} .*a whole number, 1 or more"
    for declare in (limits.limit, lambda *a, **b: limits.shared_limit(*a, "all", **b)):
        with pytest.raises(InvalidArgument, match=expected):
            declare("5 per 5s", cost=cost)


def test_a_cost_above_any_limit_of_the_policy_could_never_pass(make):
    limits = make(key="ip")
    limits.limit("5 per 5s; 9 per 1h", cost=5)
    limits.limit("token-bucket 1 per 1s burst 9", cost=9)
    with pytest.raises(NeverPossible, match="cost 6 is above a limit of '5 per 5s; 9 per 1h'"):
        limits.limit("5 per 5s; 9 per 1h", cost=6)


@pytest.mark.parametrize("methods", [7, [7], b"GET"])
def test_methods_are_texts(make, methods):
    with pytest.raises(InvalidArgument, match=r"methods .*a text, or a list of texts"):
        make(key="ip").limit("5 per 5s", methods=methods)


@pytest.mark.parametrize("methods", ["get,post", "GE T", "", [], ["GET", ""], "GÉT"])
def test_a_method_that_no_request_has_is_refused(make, methods):
    with pytest.raises(InvalidArgument, match=r"methods .*such as 'GET' or \['GET', 'POST'\]"):
        make(key="ip").limit("5 per 5s", methods=methods)


@pytest.mark.parametrize("what", ["key", "policy", "cost", "exempt_when"])
def test_nothing_is_waited_for(make, what):
    """A coroutine is true: an exemption that is one would exempt everybody."""
    given = {"policy": "5 per 5s"} | {what: waiting}
    with pytest.raises(InvalidArgument, match=f"{what} waiting is a coroutine function"):
        make(key="ip").limit(**given)


@pytest.mark.parametrize("what", ["key", "policy", "cost", "exempt_when"])
def test_a_function_takes_the_request(make, what):
    given = {"policy": "5 per 5s"} | {what: lambda: 1}
    with pytest.raises(InvalidArgument, match=rf"{what} .*too many .*\(a function of request\)"):
        make(key="ip").limit(**given)


@pytest.mark.parametrize("scope", ["", 5, None])
def test_a_scope_is_a_text(make, scope):
    with pytest.raises(InvalidArgument, match=f"scope {scope!r} "):
        make(key="ip").shared_limit("5 per 5s", scope)


@pytest.mark.parametrize("flag", ["per_method", "override"])
def test_a_flag_is_true_or_false(make, flag):
    with pytest.raises(InvalidArgument, match=rf"{flag} 'x' \(True or False\)"):
        make(key="ip").limit("5 per 5s", **{flag: "x"})


def test_what_is_no_policy_is_said_by_its_kind(make):
    with pytest.raises(TypeError, match="policy is list, not str, Quota or Policy"):
        make(key="ip").limit([])


def test_an_exemption_is_a_function(make):
    with pytest.raises(InvalidArgument, match=r"exempt_when True .*a function of the request"):
        make(key="ip").limit("5 per 5s", exempt_when=True)
    with pytest.raises(InvalidArgument, match=r"exempt_when '/' "):
        make(key="ip", exempt_when="/")


@pytest.mark.parametrize("key", [None, 5])
def test_a_key_is_a_specification_or_a_function(make, key):
    with pytest.raises(InvalidArgument, match=f"key {key} .*or a function"):
        make(key=key)


def test_dependencies_of_fastapi_override_nothing():
    limits = FastApiRateLimit(key="ip")
    with pytest.raises(InvalidArgument, match="override"):
        limits.limit("5 per 5s", override=False)
