"""The Flask extension limits what is declared, where it is declared, and nothing else."""

import asyncio
import functools
import json
import os

import flask
import pytest
from flask.views import MethodView
from werkzeug.exceptions import HTTPException

from rateproof import ClientAddress, ManualClock, Quota
from rateproof.enforce.limiter import Limiter
from rateproof.errors import InvalidArgument, InvalidPolicy, StoreError
from rateproof.flask import Denied, RateLimit

S = 1_000_000_000


@pytest.fixture
def clock():
    return ManualClock(10**12)


@pytest.fixture
def app():
    return flask.Flask(__name__)


@pytest.fixture
def extend(app, clock):
    """Make the extension of the application."""
    return functools.partial(RateLimit, app, clock=clock, key="header:X-Key|ip")


def statuses(app, *paths, method="GET", **headers):
    client = app.test_client()
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    answers = [client.open(path, method=method, headers=fields, buffered=True) for path in paths]
    return [answer.status_code for answer in answers]


def add(app, path, *decorators, **options):
    """A view at a path, decorated as it would be written: the last is next to the function."""

    def view(**_):
        return "hello"

    view.__name__ = path.strip("/").replace("/", "_") or "root"
    for decorator in reversed(decorators):
        view = decorator(view)
    app.route(path, **options)(view)


def test_a_decorated_route_is_limited_and_others_are_not(app, extend, clock):
    limits = extend()
    add(app, "/login", limits.limit("2 per 5s"))
    add(app, "/home")
    assert statuses(app, *["/login"] * 4) == [200, 200, 429, 429]
    assert statuses(app, *["/home"] * 9) == [200] * 9
    clock.advance(5 * S)
    assert statuses(app, "/login") == [200]


def test_a_denial_is_the_answer_of_the_middleware(app, extend):
    limits = extend(x_ratelimit=True)
    add(app, "/", limits.limit("1 per 5s"))
    client = app.test_client()
    admitted, denied = client.get("/"), client.get("/", headers={"Accept": "application/json"})
    assert admitted.headers["RateLimit-Policy"] == '"default";q=1;w=5'
    assert admitted.headers["RateLimit"] == '"default";r=0;t=5'
    assert "Retry-After" not in admitted.headers
    assert (denied.status_code, denied.content_type) == (429, "application/problem+json")
    assert json.loads(denied.data)["violated-policies"] == ["default"]
    assert (denied.headers["Retry-After"], denied.headers["Cache-Control"]) == ("5", "no-store")
    assert denied.headers["X-RateLimit-Remaining"] == "0"
    assert len(denied.headers.getlist("RateLimit")) == 1
    text = client.get("/", headers={"Accept": "text/plain"})
    assert text.data == b"Quota Exceeded: at most 1 per 5s; try again in 5 s\n"
    assert client.head("/").data == b""


def test_several_limits_all_hold_and_are_all_announced(app, extend, clock):
    limits = extend()
    add(app, "/", limits.limit("3 per 5s"), limits.limit("4 per 1h"), limits.limit("9 per 1d"))
    assert statuses(app, *["/"] * 4) == [200, 200, 200, 429]
    clock.advance(5 * S)
    answers = [app.test_client().get("/") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].headers["RateLimit"] == (
        '"3-per-5s";r=2;t=5, "4-per-1h";r=0;t=3595, "9-per-1d";r=5;t=86400'
    )
    assert answers[1].headers["Retry-After"] == "3595"


def test_what_one_limit_denies_is_not_charged_to_another(app, extend, clock):
    """Not even if the other counts under another key."""
    limits = extend()
    each = limits.limit("5 per 1h", key="header:X-User")
    add(app, "/", each, limits.limit("1 per 5s", key="ip"))
    assert statuses(app, *["/"] * 30, X_User="u") == [200] + [429] * 29
    for _ in range(4):
        clock.advance(5 * S)
        assert statuses(app, "/", "/", X_User="u") == [200, 429]
    clock.advance(5 * S)
    assert statuses(app, "/", X_User="u") == [429]
    assert statuses(app, "/", X_User="another") == [200]


def test_routes_and_clients_are_counted_by_themselves(app, extend):
    limits = extend()
    for path in ("/a", "/b"):
        add(app, path, limits.limit("1 per 5s"))
    for key in ("k", "l"):
        assert statuses(app, "/a", "/a", "/b", "/b", X_Key=key) == [200, 429, 200, 429]


def test_routes_that_share_a_limit_are_counted_together(app, extend):
    limits = extend()
    shared = limits.shared_limit("2 per 5s", "search")
    add(app, "/a", shared)
    add(app, "/b", shared)
    add(app, "/c", limits.shared_limit("2 per 5s", "search"))
    add(app, "/d", limits.shared_limit("2 per 5s", "another"))
    assert statuses(app, "/a", "/b", "/c", "/a", "/d", "/d", "/d") == [
        *(200, 200, 429, 429),
        *(200, 200, 429),
    ]


def test_the_default_holds_where_nothing_else_is_declared(app, extend):
    limits = extend(default="1 per 5s")
    add(app, "/plain")
    add(app, "/own", limits.limit("2 per 5s"))
    add(app, "/both", limits.limit("2 per 5s", override=False))
    add(app, "/free", limits.exempt)
    assert statuses(app, *["/plain"] * 2) == [200, 429]
    assert statuses(app, *["/own"] * 3) == [200, 200, 429]
    assert statuses(app, *["/both"] * 2) == [200, 429]
    assert statuses(app, *["/free"] * 3) == [200] * 3
    assert statuses(app, *["/none"] * 3) == [404] * 3


def test_the_limit_of_the_application_holds_everywhere(app, extend):
    limits = extend(application="5 per 5s")
    add(app, "/plain")
    add(app, "/own", limits.limit("2 per 5s"))
    add(app, "/free", limits.exempt)
    assert statuses(app, "/plain", "/own", "/own", "/own", "/none", "/plain", "/plain") == [
        *(200, 200, 200, 429, 404),
        *(200, 429),
    ]
    assert statuses(app, "/own", "/none", "/free") == [429, 429, 200]


def test_static_files_are_not_limited(tmp_path):
    (tmp_path / "a.css").write_text("a")
    app = flask.Flask(__name__, static_folder=tmp_path, static_url_path="/files")
    RateLimit(app, key="ip", default="1 per 5s", application="1 per 5s")
    assert statuses(app, *["/files/a.css"] * 3) == [200] * 3


def test_a_blueprint_is_limited_for_each_of_its_routes(app, extend):
    limits = extend(default="1 per 5s")
    outer, inner = flask.Blueprint("outer", __name__), flask.Blueprint("inner", __name__)
    limits.limit("2 per 5s")(outer)
    add(outer, "/a")
    add(outer, "/b")
    add(outer, "/own", limits.limit("1 per 5s"))
    add(outer, "/beside", limits.limit("3 per 5s", override=False))
    add(inner, "/c")
    outer.register_blueprint(inner)
    app.register_blueprint(outer, name="renamed", url_prefix="/1")
    for path, passing in {"a": 2, "b": 2, "c": 2, "own": 1, "beside": 2}.items():
        assert statuses(app, *[f"/1/{path}"] * 4) == [200] * passing + [429] * (4 - passing)
    limits.limit("3 per 1d")(inner)
    assert statuses(app, *["/1/c"] * 4) == [200] * 3 + [429]


def test_a_blueprint_can_be_exempt(app, extend):
    limits = extend(default="1 per 5s", application="1 per 5s")
    admin = limits.exempt(flask.Blueprint("admin", __name__))
    add(admin, "/a")
    add(admin, "/b", limits.limit("1 per 5s"))
    app.register_blueprint(admin)
    assert statuses(app, *["/a", "/b"] * 3) == [200] * 6


def test_a_limit_of_get_holds_for_head_too(app, extend):
    limits = extend()
    add(app, "/", limits.limit("3 per 5s", methods=["GET"]), methods=["GET", "POST"])
    assert statuses(app, "/", "/", method="HEAD") == [200, 200]
    assert statuses(app, "/", "/") == [200, 429]
    assert statuses(app, "/", method="HEAD") == [429]
    assert statuses(app, *["/"] * 4, method="POST") == [200] * 4


def test_methods_can_be_limited_alone_or_counted_apart(app, extend):
    limits = extend(default="3 per 5s")
    methods = ["GET", "POST"]
    add(app, "/post", limits.limit("1 per 5s", methods=["post"]), methods=methods)
    add(app, "/apart", limits.limit("1 per 5s", per_method=True), methods=methods)
    assert statuses(app, *["/post"] * 3, method="POST") == [200, 429, 429]
    assert statuses(app, *["/post"] * 4) == [200, 200, 200, 429], "the default"
    for method in methods:
        assert statuses(app, *["/apart"] * 2, method=method) == [200, 429]


def test_the_policy_can_depend_on_the_request(app, extend):
    plans = {"free": "2 per 5s", "paid": Quota(4, 5 * S), "none": None}
    limits = extend()
    add(app, "/", limits.limit(lambda request: plans[request.headers["X-Plan"]]))
    for plan, passing in {"free": 2, "paid": 4, "none": 9}.items():
        answers = statuses(app, *["/"] * 9, X_Plan=plan, X_Key=plan)
        assert answers == [200] * passing + [429] * (9 - passing)


def test_a_request_can_cost_more_than_one(app, extend):
    limits = extend()
    add(app, "/asked", limits.limit("10 per 5s", cost=lambda request: int(request.args["n"])))
    add(app, "/three", limits.limit("7 per 5s", cost=3))
    assert statuses(app, *(f"/asked?n={n}" for n in (6, 5, 4, 1))) == [200, 429, 200, 429]
    assert statuses(app, *["/three"] * 3) == [200, 200, 429]


def test_requests_can_be_exempt(app, extend):
    limits = extend(exempt_when=lambda request: request.headers.get("X-Key") == "root")
    when = limits.limit("1 per 5s", exempt_when=lambda request: "vip" in request.args)
    add(app, "/", when)
    assert statuses(app, "/?vip", "/", "/?vip", "/") == [200, 200, 200, 429]
    assert statuses(app, *["/"] * 3, X_Key="root") == [200] * 3


def test_the_key_can_be_a_function_and_differ_by_limit(app, extend):
    limits = extend()
    add(app, "/user", limits.limit("1 per 5s", key=lambda request: request.headers.get("X-User")))
    add(app, "/path", limits.limit("1 per 5s", key="query:q"))
    assert statuses(app, "/user", "/user", X_User="u") == [200, 429]
    assert statuses(app, "/user", "/user") == [200, 429], "without one by the address"
    assert statuses(app, "/path?q=1", "/path?q=2", "/path?q=1") == [200, 200, 429]


def test_a_function_may_use_what_before_request_left(app, extend):
    limits = extend()

    @app.before_request
    def log_in():
        flask.g.user = flask.request.headers["X-User"]

    add(app, "/", limits.limit("1 per 5s", key=lambda _: flask.g.user))
    assert statuses(app, "/", "/", X_User="u") == [200, 429]
    assert statuses(app, "/", "/", X_User="v") == [200, 429]


@pytest.mark.parametrize("caught", [429, Denied, HTTPException])
def test_an_error_handler_answers_instead_and_the_fields_stay(app, extend, caught):
    limits = extend()
    add(app, "/", limits.limit("1 per 5s"))

    @app.errorhandler(caught)
    def slow_down(error):
        assert isinstance(error, Denied)
        return {"wait_ns": error.decision.retry_after_ns}, 418

    client = app.test_client()
    client.get("/")
    answer = client.get("/")
    assert (answer.status_code, answer.json) == (418, {"wait_ns": 5 * S})
    assert (answer.headers["Retry-After"], answer.headers["RateLimit"]) == (
        "5",
        '"default";r=0;t=5',
    )
    assert answer.headers["Cache-Control"] == "no-store"


def test_an_application_that_fails_still_says_what_remains(app, extend):
    limits = extend()

    @app.route("/")
    @limits.limit("2 per 5s")
    def broken():
        raise RuntimeError

    answer = app.test_client().get("/")
    assert (answer.status_code, answer.headers["RateLimit"]) == (500, '"default";r=1;t=5')


def test_a_failed_storage_denies_with_503(app, extend, monkeypatch, caplog):
    limits = extend(status=429)
    add(app, "/", limits.limit("1 per 5s"))

    def fail(*_, **__):
        raise StoreError("the disk is on fire")

    monkeypatch.setattr(Limiter, "hit", fail)
    answer = app.test_client().get("/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert caplog.messages == ["1 denied without a decision: the disk is on fire"]


def test_views_of_every_kind_can_be_limited(app, extend):
    limits = extend()

    class Items(MethodView):
        decorators = (limits.limit("1 per 5s"),)

        def get(self):
            return "hello"

    app.add_url_rule("/class", view_func=Items.as_view("items"))

    def obscuring(view):
        return lambda **_: view()

    add(app, "/obscured", obscuring, limits.limit("1 per 5s"))

    @app.route("/repeated")
    @limits.limit("1 per 5s")
    @limits.limit("1 per 5s")
    def repeated():
        return "hello"

    for path in ("/class", "/obscured", "/repeated"):
        assert statuses(app, path, path) == [200, 429]


def test_a_coroutine_can_be_limited(app, extend):
    app.async_to_sync = lambda view: lambda: asyncio.run(view())
    limits = extend()

    @app.route("/")
    @limits.limit("1 per 5s")
    async def slow():
        await asyncio.sleep(0)
        return "hello"

    assert statuses(app, "/", "/") == [200, 429]


def test_an_application_context_that_stays_open_does_not_mix_requests(app, extend):
    limits = extend()
    add(app, "/", limits.limit("1 per 5s"))
    with app.app_context():
        assert statuses(app, "/", "/", "/") == [200, 429, 429]


def test_an_extension_serves_each_application_of_a_factory_anew(clock):
    limits = RateLimit(key="ip", clock=clock)
    view = limits.limit("1 per 5s")(lambda: "hello")

    def create_app(**config):
        app = flask.Flask(__name__)
        app.config.update(config)
        limits.init_app(app)
        app.add_url_rule("/", "view", view)
        return app

    assert [statuses(create_app(), "/", "/") for _ in range(2)] == [[200, 429]] * 2
    assert statuses(create_app(RATEPROOF_ENABLED=False), "/", "/") == [200, 200]
    assert statuses(create_app(RATEPROOF_STORE="memory://"), "/", "/") == [200, 429]
    with pytest.raises(InvalidArgument, match="carrier-pigeon"):
        create_app(RATEPROOF_STORE="carrier-pigeon://")


def test_the_store_is_shared_by_name(shm_name):
    def create_app():
        app = flask.Flask(__name__)
        limits = RateLimit(app, key="ip", store=f"shm://{shm_name}")
        add(app, "/", limits.limit("1 per 1h"))
        return app

    assert [statuses(create_app(), "/") for _ in range(2)] == [[200], [429]]


def test_what_is_declared_before_a_fork_is_shared_with_the_child(app):
    limits = RateLimit(app, key="ip")
    for path, policy in {"/a": "1 per 1h", "/b": "1 per 1d", "/c": "token-bucket 1 per 1d"}.items():
        add(app, path, limits.limit(policy))
    child = os.fork()
    if child == 0:
        os._exit(statuses(app, "/a", "/b", "/c") != [200] * 3)
    assert os.waitpid(child, 0)[1] == 0
    assert statuses(app, "/a", "/b", "/c") == [429] * 3


def test_behind_a_proxy_each_client_of_it_is_one(app, extend):
    limits = extend(address=ClientAddress(proxies=1))
    add(app, "/", limits.limit("1 per 5s"))
    for client in ("192.0.2.1", "192.0.2.2"):
        assert statuses(app, "/", X_Forwarded_For=f"6.6.6.6, {client}") == [200]
        assert statuses(app, "/", X_Forwarded_For=f"7.7.7.7, {client}") == [429]


def test_mistakes_are_found_when_they_are_declared(app, extend):
    limits = extend()
    with pytest.raises(InvalidPolicy, match="5 times a day"):
        limits.limit("5 times a day")
    with pytest.raises(InvalidArgument, match="cooky"):
        limits.limit("5 per 5s", key="cooky:id")
    with pytest.raises(InvalidArgument, match="limit 70000"):
        limits.limit("70000 per 5s")
    with pytest.raises(InvalidArgument, match="status 200"):
        RateLimit(app, key="ip", status=200)


def test_shadow_mode_lets_pass_and_tells(app, extend):
    limits = extend(shadow=True)
    add(app, "/", limits.limit("1 per 5s"), limits.limit("9 per 5s", key="query:q"))
    client = app.test_client()
    answers = [client.get("/?q=1") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[2].headers["RateLimit"].startswith('"1-per-5s";r=0;t=5')
