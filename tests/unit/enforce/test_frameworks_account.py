"""Whatever limits a request meets, it pays a quota of a key in a store once."""

import contextlib

import flask
import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from rateproof import ManualClock
from rateproof.errors import InvalidArgument
from rateproof.fastapi import RateLimit as FastApiRateLimit
from rateproof.flask import Denied
from rateproof.flask import RateLimit as FlaskRateLimit


class Flask:
    """A Flask application with limits on one view."""

    limits_of = FlaskRateLimit

    def __init__(self):
        self.app = flask.Flask(__name__)

    def declare(self, *limits):
        def view():
            return "hello"

        for limit in reversed(limits):
            view = limit(view)
        self.app.add_url_rule("/", "view", view)

    def ask(self, times):
        client = self.app.test_client()
        answers = [client.get("/") for _ in range(times)]
        (said,) = answers[0].headers.getlist("RateLimit")
        return [answer.status_code for answer in answers], said


class FastApi:
    """A FastAPI application with limits on one route."""

    limits_of = FastApiRateLimit

    def __init__(self):
        self.app = FastAPI()

    def declare(self, *limits):
        self.app.add_api_route("/", lambda: "hello", dependencies=list(map(Depends, limits)))

    def ask(self, times):
        client = TestClient(self.app)
        answers = [client.get("/") for _ in range(times)]
        (said,) = answers[0].headers.get_list("RateLimit")
        return [answer.status_code for answer in answers], said


@pytest.fixture(params=[Flask, FastApi])
def site(request):
    return request.param()


@pytest.fixture
def make(site):
    """Make an extension of the site's application."""
    clock = ManualClock(10**12)
    return lambda **options: site.limits_of(site.app, key="ip", **({"clock": clock} | options))


def test_two_limits_of_one_scope(site, make):
    limits = make()
    site.declare(
        limits.shared_limit("3 per 5s", "all"), limits.shared_limit("3 per 5s; 9 per 1h", "all")
    )
    assert site.ask(4) == ([200, 200, 200, 429], '"3-per-5s";r=2;t=5, "9-per-1h";r=8;t=3600')


def test_two_equal_limits_of_a_route(site, make):
    limits = make()
    site.declare(limits.limit("2 per 5s"), limits.limit("2 per 5s"))
    assert site.ask(3) == ([200, 200, 429], '"default";r=1;t=5')


@pytest.mark.parametrize("costs", [(1, 3), (3, 1)])
def test_of_several_costs_the_greatest(site, make, costs):
    limits = make()
    site.declare(*(limits.limit("6 per 5s", cost=cost) for cost in costs))
    statuses, _ = site.ask(3)
    assert statuses == [200, 200, 429]


def test_two_extensions_on_one_store(site, make, shm_name):
    one, two = (make(store=f"shm://{shm_name}", clock=None) for _ in range(2))
    site.declare(one.limit("2 per 1h"), two.limit("2 per 1h"))
    assert site.ask(3)[0] == [200, 200, 429]


def test_two_extensions_on_two_stores_decide_each_for_itself(site, make):
    one, two = make(), make()
    site.declare(one.limit("3 per 5s"), two.limit("3 per 5s"))
    assert site.ask(4) == (
        [200, 200, 200, 429],
        '"3-per-5s";r=2;t=5, "3-per-5s-2";r=2;t=5',
    )


def test_what_shadow_mode_lets_pass_another_extension_on_the_store_still_denies(
    site, make, shm_name
):
    one, two = (make(store=f"shm://{shm_name}", clock=None, shadow=on) for on in (True, False))
    site.declare(one.limit("2 per 1h"), two.limit("2 per 1h"))
    assert site.ask(3)[0] == [200, 200, 429]


def test_different_keys_are_paid_each(site, make):
    limits = make()
    site.declare(limits.limit("3 per 5s"), limits.limit("3 per 5s", key="method"))
    assert site.ask(1) == ([200], '"3-per-5s";r=2;t=5, "3-per-5s-2";r=2;t=5')


def test_the_older_fields_come_if_one_extension_is_asked_for_them(site, make):
    one, two = make(x_ratelimit=True), make()
    site.declare(one.limit("3 per 5s"), two.limit("2 per 5s"))
    client = TestClient(site.app) if isinstance(site, FastApi) else site.app.test_client()
    assert client.get("/").headers["X-RateLimit-Remaining"] == "1"


@pytest.mark.parametrize("cost", [0, -1, "1"])
def test_a_function_cannot_say_a_cost_that_would_not_be_paid(site, make, cost):
    site.declare(make().limit("3 per 5s", cost=lambda _: cost))
    site.app.testing = True
    with pytest.raises(InvalidArgument, match="cost"):
        site.ask(1)


def test_a_function_that_says_an_empty_policy_lets_nothing_pass(site, make):
    site.declare(make().limit(lambda _: ""))
    site.app.testing = True
    with pytest.raises(InvalidArgument, match="policy"):
        site.ask(1)


def test_a_flask_view_that_calls_another_pays_their_common_quota_once():
    app = flask.Flask(__name__)
    limits = FlaskRateLimit(app, key="ip", clock=ManualClock(10**12))

    @app.get("/inner")
    @limits.limit("2 per 5s; 9 per 1h")
    def inner():
        return "hello"

    @app.get("/outer")
    @limits.limit("2 per 5s")
    def outer():
        return inner()

    client = app.test_client()
    answers = [client.get("/outer") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["RateLimit"] == '"2-per-5s";r=1;t=5, "9-per-1h";r=8;t=3600'


def test_a_limit_further_down_on_a_flask_view_brings_in_nothing_overridden():
    app = flask.Flask(__name__)
    limits = FlaskRateLimit(app, key="ip", default="1 per 5s", clock=ManualClock(10**12))

    @app.get("/")
    @limits.limit("3 per 5s")
    @limits.limit("4 per 5s", override=False)
    def view():
        return "hello"

    client = app.test_client()
    assert [client.get("/").status_code for _ in range(4)] == [200, 200, 200, 429]


def test_a_flask_view_that_was_denied_to_another_stays_denied_in_the_same_request():
    app = flask.Flask(__name__)
    limits = FlaskRateLimit(app, key="ip", clock=ManualClock(10**12))
    inner = limits.shared_limit("1 per 5s", "all")(lambda: "hello")

    @app.get("/")
    def outer():
        with contextlib.suppress(Denied):
            return inner()
        return inner()

    client = app.test_client()
    assert [client.get("/").status_code for _ in range(2)] == [200, 429]
