"""Settings of Django that cannot be are named by its system checks, each by itself."""

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from rateproof import KeySpec, ManualClock


@pytest.fixture(scope="module", autouse=True)
def _project(django_project):
    """The project of all tests of Django."""


def found(*, deploy=False, others=None, **told):
    """The findings of ours, as text with their hints."""
    with override_settings(RATEPROOF=told, **(others or {})):
        findings = run_checks(include_deployment_checks=deploy)
    return [
        f"{each.id.removeprefix('rateproof.')} {each.msg} ({each.hint})"
        for each in findings
        if each.id.startswith("rateproof.")
    ]


def test_settings_that_can_be_are_found_right():
    told = {
        "KEY": KeySpec.parse("header:X-Key|ip"),
        "POLICY": "5/5s; 100/h",
        "STORE": "shm://never-opened",
        "STATUS": 503,
        "PROXIES": ["10.0.0.0/8"],
        "PROXY_HEADER": "Forwarded",
        "IPV6_PREFIX": 64,
        "FLOOD_EXEMPT": ["10.0.0.0/8"],
        "EXEMPT_WHEN": "rateproof.django.user",
        "DENIED_VIEW": lambda *_: None,
        "ON_FULL": "admit",
        "ON_ERROR": "local",
        "CAPACITY": 1000,
        "CLOCK": ManualClock(),
        "SHADOW": True,
        "X_RATELIMIT": True,
        "ENABLED": False,
    }
    assert found(deploy=True, **told) == []
    assert found() == []


async def later(_request):
    return None


BAD = [
    ("KEY", "headers:X", "'headers:X' in key 'headers:X' is not a place in a request"),
    ("KEY", "no.such.function", "KEY 'no.such.function': No module named 'no'"),
    ("KEY", later, "key later is a coroutine function"),
    ("KEY", 5, "key 5 (such as 'header:X-Api-Key|ip', or a function)"),
    ("POLICY", "5 per fortnight", "'fortnight'"),
    ("POLICY", "1000000/s", "limit 1000000 of '1000000 per 1s' is more than a sliding-log counts"),
    ("POLICY", 5, "policy is int, not str, Quota or Policy (such as '10/s; 1000/day')"),
    ("POLICY", [], "policy is list, not str, Quota or Policy"),
    ("POLICY", lambda: "1/h", "too many positional arguments (a function of request)"),
    ("STORE", "cache://default", "'cache://default'"),
    ("STORE", None, "store None (such as 'shm://my-site')"),
    ("STATUS", 42, "status 42 (a whole number from 400 to 599)"),
    ("STATUS", "503", "status '503' (a whole number from 400 to 599)"),
    ("PROXIES", -1, "-1 proxies (0 or more)"),
    ("PROXIES", "10.0.0.0/8", "proxies '10.0.0.0/8' (a number, or a list of networks)"),
    ("PROXIES", ["10.0.0.0/99"], "10.0.0.0/99"),
    ("PROXY_HEADER", "X Real IP", "header 'X Real IP'"),
    ("IPV6_PREFIX", 0, "ipv6_prefix 0 (a whole number from 1 to 128)"),
    ("FLOOD_EXEMPT", "nobody", "flood_exempt: 'nobody'"),
    ("EXEMPT_WHEN", True, "exempt_when True (a function of the request)"),
    ("DENIED_VIEW", "slow_down", "denied_view 'slow_down' (a view, or its dotted path)"),
    ("DENIED_VIEW", lambda _: None, "(a function of request and refusal)"),
    ("DENIED_VIEW", later, "denied_view later is a coroutine function"),
    ("ON_FULL", "reject", "on_full is 'reject' ('deny' or 'admit')"),
    ("ON_ERROR", "reject", "on_error is 'reject' ('deny', 'admit' or 'local')"),
    ("CAPACITY", 0, "capacity 0 (a whole number from 1 to 67108864)"),
    ("CAPACITY", "1000", "capacity '1000' (a whole number from 1 to 67108864)"),
    ("CLOCK", 5, "clock is int, not a Clock (such as ManualClock())"),
    ("SHADOW", "false", "shadow 'false' (True or False)"),
    ("X_RATELIMIT", 1, "x_ratelimit 1 (True or False)"),
    ("ENABLED", "no", "enabled 'no' (True or False)"),
    ("STROE", "memory://", "there is no 'STROE' (one of CAPACITY, CLOCK, DENIED_VIEW,"),
    ("store", "memory://", "there is no 'store' (one of CAPACITY,"),
]


@pytest.mark.parametrize(("name", "value", "said"), BAD)
def test_a_setting_that_cannot_be_is_an_error(name, value, said):
    (error,) = found(**{name: value})
    assert error.startswith("E001 RATEPROOF: ")
    assert said in error


def test_all_errors_are_said_at_once():
    assert len(found(STATUS=42, SHADOW="no", STROE=1, POLICY="5/5s")) == 3


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"POLICY": "1000/d", "CAPACITY": 10**7}, "capacity"),
        ({"STORE": "redis://h", "CLOCK": ManualClock()}, "clock= cannot be used with redis://"),
    ],
)
def test_settings_that_cannot_be_together_are_an_error(told, said):
    (error,) = found(**told)
    assert said in error


@pytest.mark.parametrize(
    "rest",
    [
        None,
        {"DEFAULT_THROTTLE_CLASSES": None},
        {
            "DEFAULT_THROTTLE_CLASSES": ["rateproof.django.throttling.UserRateThrottle"],
            "DEFAULT_THROTTLE_RATES": None,
        },
    ],
)
def test_throttles_need_not_be_set(rest):
    assert found(others={"REST_FRAMEWORK": rest}) == []


def test_settings_that_are_no_dict_are_an_error():
    with override_settings(RATEPROOF=["shm://site"]):
        (error,) = [each for each in run_checks() if each.id == "rateproof.E001"]
    assert error.msg == "RATEPROOF: RATEPROOF is ['shm://site']"


def test_a_deployment_is_warned_of_a_store_that_workers_do_not_share():
    assert found(STORE="memory://") == []
    (warning,) = found(deploy=True)
    assert warning.startswith("W001 RATEPROOF: store memory://: each worker process counts")
    assert "shm://NAME" in warning
    (error,) = found(deploy=True, STATUS=42)
    assert error.startswith("E001")


@pytest.mark.parametrize(
    "others",
    [{"USE_X_FORWARDED_HOST": True}, {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_PROTO", "https")}],
)
def test_a_deployment_is_warned_of_a_proxy_that_it_does_not_count(others):
    (warning,) = found(deploy=True, others=others, STORE="shm://site")
    assert warning.startswith("W002")
    assert "PROXIES" in warning
    assert found(deploy=True, others=others, STORE="shm://site", PROXIES=1) == []


@pytest.mark.parametrize("rate", ["5/fortnight", "0/s", 5])
def test_a_rate_of_our_throttles_that_cannot_be_is_an_error(rate):
    ours = ["rateproof.django.throttling.UserRateThrottle"]
    rates = {"user": rate, "anon": None, "uploads": "20/day; 5/m"}
    rest = {"DEFAULT_THROTTLE_CLASSES": ours, "DEFAULT_THROTTLE_RATES": rates}
    (error,) = found(others={"REST_FRAMEWORK": rest})
    assert error.startswith("E002 DEFAULT_THROTTLE_RATES['user']: ")
    theirs = rest | {"DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle"]}
    assert found(others={"REST_FRAMEWORK": theirs}) == []
