"""Invented identities against a Flask and a FastAPI application: one address locks nobody out."""

import asyncio

import flask
import pytest
from fastapi import Depends, FastAPI

from rateproof import InvalidArgument, ManualClock, SystemClock
from rateproof import fastapi as for_fastapi
from rateproof import flask as for_flask

HOUR = "5 per 5s; 1000 per 1h"
CAPACITY, SLOTS = 200, 352
PATHS = {"/": HOUR, "/other": "5 per 5s; 1001 per 1h"}


class OnFlask:
    """A Flask application; each call is a request of an address and an identity."""

    def __init__(self, clock, **options):
        self.app = flask.Flask(__name__)
        self.limits = for_flask.RateLimit(
            self.app, key="query:id|ip", clock=clock, **{"capacity": CAPACITY} | options
        )
        for number, (path, policy) in enumerate(PATHS.items()):
            view = self.limits.limit(policy)(lambda: "hello")
            self.app.add_url_rule(path, str(number), view)
        self.client = self.app.test_client()

    def ask(self, address, identity, path="/"):
        return self.answer(address, identity, path).status_code

    def answer(self, address, identity, path="/"):
        told = {"environ_overrides": {"REMOTE_ADDR": address}}
        return self.client.get(path, query_string={"id": identity}, **told)


class OnFastApi:
    """A FastAPI application; each call is a request of an address and an identity."""

    def __init__(self, clock, **options):
        self.app = FastAPI()
        limits = for_fastapi.RateLimit(
            self.app, key="query:id|ip", capacity=CAPACITY, clock=clock, **options
        )
        for path, policy in PATHS.items():
            self.app.get(path, dependencies=[Depends(limits.limit(policy))])(self._greet)
        self.loop = asyncio.new_event_loop()

    @staticmethod
    async def _greet():
        return "hello"

    def ask(self, address, identity, path="/"):
        query, statuses = f"id={identity}".encode(), []
        scope = {"type": "http", "method": "GET", "path": path, "headers": [],
                 "query_string": query, "client": (address, 1)}  # fmt: skip

        async def receive():
            return {"type": "http.request", "body": b""}

        async def send(message):
            statuses.append(message.get("status"))

        self.loop.run_until_complete(self.app(scope, receive, send))
        return statuses[0]


@pytest.fixture(params=[OnFlask, OnFastApi], ids=["flask", "fastapi"])
def kind(request):
    return request.param


@pytest.fixture
def clock():
    return ManualClock(10**12)


def flood(server, count=2 * CAPACITY, address="203.0.113.7", path="/"):
    """The statuses of so many invented identities."""
    return [server.ask(address, f"invented-{n}", path) for n in range(count)]


def fresh(server, count, path="/"):
    """The statuses of new clients, each from an address of its own."""
    return [server.ask(f"198.51.{n // 250}.{n % 250}", f"honest-{n}", path) for n in range(count)]


@pytest.mark.parametrize("timed", [True, False], ids=["plain", "native"])
def test_one_address_locks_nobody_else_out(kind, clock, timed):
    server = kind(clock if timed else None)
    statuses = flood(server)
    assert statuses[: SLOTS // 2] == [200] * (SLOTS // 2)
    assert statuses[-100:] == [503] * 100
    assert fresh(server, 60) == [200] * 60
    assert server.ask("203.0.113.7", "invented-0") == 200  # it has its place


def test_without_the_defence_the_same_flood_locks_all_out(kind, clock):
    server = kind(clock, flood_exempt="all")
    flood(server, 4 * CAPACITY)
    assert fresh(server, 60).count(503) > 40  # some find the last places


def test_who_is_listed_may_take_any_number(kind, clock):
    server = kind(clock, flood_exempt=["203.0.113.0/24"])
    assert flood(server, CAPACITY) == [200] * CAPACITY  # beyond it a place may be missing


def test_what_an_address_took_of_one_policy_does_not_count_for_another(kind, clock):
    server = kind(clock)
    flood(server)
    clock.advance(6 * 10**9)  # the five seconds that both have in common
    fresh(server, CAPACITY, "/other")  # most of its places are held, by many
    assert server.ask("203.0.113.7", "new", "/other") == 200
    assert server.ask("203.0.113.7", "newer", "/other") == 503


def test_where_the_limiter_has_a_clock_no_other_one_renews_the_estimate(clock, monkeypatch):
    def read(_):
        raise AssertionError("another clock")

    monkeypatch.setattr(SystemClock, "now_ns", read)
    assert set(flood(OnFlask(clock))) == {200, 503}


def test_a_request_that_needs_two_places_and_finds_one_takes_none(clock):
    server = OnFlask(clock, capacity=1500)  # so a share is of two places
    limit, policy = server.limits.limit, "fixed-window 9 per 1h"
    one, other = limit(policy), limit(policy, key="query:id+path")
    server.app.add_url_rule("/one", view_func=one(lambda: "hello"), endpoint="one")
    server.app.add_url_rule("/two", view_func=one(other(lambda: "hello")), endpoint="two")
    assert flood(server, 1500, path="/one")[-1] == 503
    address = "198.51.100.1"
    assert server.ask(address, "first", "/one") == 200
    for identity in ("second", "third"):
        answer = server.answer(address, identity, "/two")
        assert answer.status_code == 503
        assert answer.headers["RateLimit"].startswith('"fixed-window-9-per-1h";r=9')
    assert server.ask(address, "fourth", "/one") == 200
    assert server.ask(address, "fifth", "/one") == 503
    assert server.ask("198.51.100.2", "sixth", "/two") == 200


def test_a_request_that_lacks_one_place_is_charged_for_nothing(clock):
    server = OnFlask(clock, application="fixed-window 5000 per 1h")
    shared = server.limits.limit("fixed-window 900 per 1h", key="ip")
    server.app.add_url_rule("/both", view_func=shared(lambda: "hello"), endpoint="both")
    flood(server, path="/both")
    refused = [server.answer("203.0.113.7", f"new-{n}", "/both") for n in range(2)]
    assert [answer.status_code for answer in refused] == [503, 503]
    remaining = [answer.headers["RateLimit"].partition(",")[0] for answer in refused]
    assert remaining[0] == remaining[1]
    assert '"fixed-window-900-per-1h";r=' in remaining[0]


def test_where_a_refusal_lets_pass_the_other_limits_still_hold(clock):
    server = OnFlask(clock, application="fixed-window 5000 per 1h", on_full="admit")
    limit = server.limits.limit(f"fixed-window {2 * CAPACITY + 2} per 1h", key="ip")
    server.app.add_url_rule("/both", view_func=limit(lambda: "hello"), endpoint="both")
    assert flood(server, path="/both") == [200] * 2 * CAPACITY
    late = [server.ask("203.0.113.7", f"new-{n}", "/both") for n in range(3)]
    assert late == [200, 200, 429]


@pytest.mark.parametrize("told", ["10.0.0.0/99", ["any"], 5])
def test_what_is_no_network_is_refused(kind, clock, told):
    with pytest.raises(InvalidArgument, match="flood_exempt"):
        kind(clock, flood_exempt=told)
