"""Throttles of Django REST framework count exactly, by its classes, scopes and rates."""

import pytest
from django.test import Client, override_settings
from django.urls import path

from rateproof import ManualClock
from rateproof.enforce.limiter import Limiter
from rateproof.errors import InvalidPolicy, StoreError

S = 1_000_000_000
RATES = {"anon": "2/m", "user": "3/m", "uploads": "1/5s; 2/h", "off": None}


class Somebody:
    is_authenticated = True

    def __init__(self, pk):
        self.pk = pk


@pytest.fixture(scope="module")
def throttles(django_project):  # noqa: ARG001 - Django is set up
    """The throttles, in a project with these rates."""
    with override_settings(REST_FRAMEWORK={"DEFAULT_THROTTLE_RATES": RATES}):
        from rateproof.django import throttling

        yield throttling


@pytest.fixture
def clock():
    return ManualClock(10**12)


@pytest.fixture
def ask(throttles, clock):  # noqa: ARG001 - the rates are those of its project
    """Ask a view that has these throttles; the answers. An `X-User` is believed."""
    from rest_framework.authentication import BaseAuthentication
    from rest_framework.response import Response
    from rest_framework.views import APIView

    class Believed(BaseAuthentication):
        def authenticate(self, request):
            name = request.headers.get("X-User")
            return name and (Somebody(name), None)

    views = {}

    def asked(number, *classes, scope=None, peer="192.0.2.1", **fields):
        view = views.setdefault(
            (classes, scope),
            type(
                "Asked",
                (APIView,),
                {
                    "authentication_classes": [Believed],
                    "permission_classes": [],
                    "throttle_classes": classes,
                    "get": lambda *_: Response("hello"),
                }
                | ({"throttle_scope": scope} if scope else {}),
            ).as_view(),
        )
        changed = override_settings(
            ROOT_URLCONF=(path("", view),),
            MIDDLEWARE=("rateproof.django.RateLimitMiddleware",),
        )
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        with changed:
            client = Client(REMOTE_ADDR=peer)
            return [client.get("/", headers=headers) for _ in range(number)]

    with override_settings(RATEPROOF={"CLOCK": clock, "PROXIES": 1}):
        yield asked


def statuses(answers):
    return [answer.status_code for answer in answers]


def test_users_are_counted_wherever_they_are_and_others_by_address(ask, throttles):
    ours = throttles.UserRateThrottle
    assert statuses(ask(3, ours, X_User="a")) == [200] * 3
    assert statuses(ask(1, ours, X_User="a", peer="192.0.2.9")) == [429]
    assert statuses(ask(4, ours, X_User="b")) == [200, 200, 200, 429]
    assert statuses(ask(4, ours)) == [200, 200, 200, 429]
    assert statuses(ask(1, ours, peer="192.0.2.2")) == [200]


def test_only_those_who_are_not_logged_in_are_anonymous(ask, throttles):
    ours = throttles.AnonRateThrottle
    assert statuses(ask(3, ours)) == [200, 200, 429]
    assert statuses(ask(9, ours, X_User="a")) == [200] * 9


def test_what_a_client_writes_in_front_of_its_address_changes_nothing(ask, throttles):
    ours = throttles.AnonRateThrottle
    written = [f"198.51.100.{each}, 192.0.2.7" for each in range(3)]
    asked = [ask(1, ours, X_Forwarded_For=each)[0] for each in written]
    assert statuses(asked) == [200, 200, 429]


def test_a_scope_is_counted_for_all_its_views_and_may_have_several_quotas(ask, throttles, clock):
    ours = throttles.ScopedRateThrottle
    assert statuses(ask(2, ours, scope="uploads")) == [200, 429]
    clock.advance(5 * S)
    assert statuses(ask(1, ours, throttles.AnonRateThrottle, scope="uploads")) == [200]
    clock.advance(5 * S)
    denied = ask(1, ours, scope="uploads")[0]
    assert (denied.status_code, denied.headers["Retry-After"]) == (429, "3590")


def test_a_view_without_a_scope_or_a_scope_without_a_rate_is_not_limited(ask, throttles):
    assert statuses(ask(9, throttles.ScopedRateThrottle)) == [200] * 9
    assert statuses(ask(9, throttles.ScopedRateThrottle, scope="off")) == [200] * 9


def test_the_answer_says_what_holds_and_how_long_to_wait(ask, throttles, clock):
    first, *_, denied = ask(3, throttles.AnonRateThrottle)
    assert first.headers["RateLimit"] == '"default";r=1;t=60'
    assert denied.headers["RateLimit-Policy"] == '"default";q=2;w=60'
    assert denied.headers["Retry-After"] == "60"
    assert denied.json()["detail"].endswith("available in 60 seconds.")
    clock.advance(60 * S)
    assert statuses(ask(1, throttles.AnonRateThrottle)) == [200]


def test_a_class_of_the_user_says_its_own_rate_and_key(ask, throttles):
    class ByTenant(throttles.RateThrottle):
        rate = "1/m"

        def get_cache_key(self, request, _view):
            return request.headers.get("X-Tenant")

    class Another(ByTenant):
        """With a count of its own."""

    asked = [ask(1, ByTenant, X_Tenant=each)[0] for each in "aab"]
    assert statuses(ask(1, Another, X_Tenant="a")) == [200]
    assert statuses(asked) == [200, 429, 200]
    assert statuses(ask(3, ByTenant)) == [200] * 3


def test_a_denial_that_is_not_429_says_why(ask, throttles, clock, monkeypatch):
    with override_settings(RATEPROOF={"CLOCK": clock, "STATUS": 503}):
        denied = ask(3, throttles.AnonRateThrottle)[-1]
    assert (denied.status_code, denied.headers["Retry-After"]) == (503, "60")
    assert denied.json()["detail"] == "at most 2 per 1m; try again in 60 s"

    def fail(*_args, **_options):
        raise StoreError("gone")

    monkeypatch.setattr(Limiter, "hit", fail)
    failed = ask(1, throttles.AnonRateThrottle)[0]
    assert (failed.status_code, failed.headers["Retry-After"]) == (503, "1")
    assert failed.json()["detail"] == "the limiter's storage failed; try again in 1 s"


@pytest.mark.usefixtures("ask", "throttles")
def test_a_limit_stands_above_or_below_api_view():
    from rest_framework.decorators import api_view
    from rest_framework.response import Response

    from rateproof.django import limit

    def hello(_request):
        return Response("hello")

    above = limit("1/5s")(api_view(["GET"])(hello))
    below = api_view(["GET"])(limit("1/5s")(hello))
    plain = {"DEFAULT_AUTHENTICATION_CLASSES": [], "DEFAULT_PERMISSION_CLASSES": []}
    with override_settings(ROOT_URLCONF=(path("a", above), path("b", below)), REST_FRAMEWORK=plain):
        asked = [Client().get(f"/{name}") for name in "aabb"]
    assert statuses(asked) == [200, 429, 200, 429]
    assert [each.headers["RateLimit"] for each in asked] == ['"default";r=0;t=5'] * 4


def test_a_rate_that_cannot_be_is_refused(throttles):
    class Bad(throttles.RateThrottle):
        rate = "5/fortnight"

    with pytest.raises(InvalidPolicy):
        Bad()
