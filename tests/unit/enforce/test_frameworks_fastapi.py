"""The dependencies for FastAPI limit what they are declared on, and nothing else."""

import functools

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from rateproof import ClientAddress, ManualClock
from rateproof.enforce.limiter import Limiter
from rateproof.errors import InvalidArgument, InvalidPolicy, StoreError
from rateproof.fastapi import Denied, RateLimit

S = 1_000_000_000


@pytest.fixture
def clock():
    return ManualClock(10**12)


@pytest.fixture
def app():
    return FastAPI()


@pytest.fixture
def make(app, clock):
    """Make what limits the application."""
    return functools.partial(RateLimit, app, clock=clock, key="header:X-Key|query:key|ip")


def add(app, path, *dependencies, methods=("GET",)):
    """A route with these dependencies."""

    async def view():
        return "hello"

    view.__qualname__ = path
    app.add_api_route(path, view, dependencies=list(map(Depends, dependencies)), methods=methods)


def statuses(app, *paths, method="GET", **headers):
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    client = TestClient(app)
    return [client.request(method, path, headers=fields).status_code for path in paths]


def test_a_route_is_limited_and_others_are_not(app, make, clock):
    limits = make()
    add(app, "/login", limits.limit("2 per 5s"))
    add(app, "/home")
    assert statuses(app, *["/login"] * 4) == [200, 200, 429, 429]
    assert statuses(app, *["/home"] * 9) == [200] * 9
    clock.advance(5 * S)
    assert statuses(app, "/login") == [200]


def test_a_denial_is_the_answer_of_the_middleware(app, make):
    limits = make(x_ratelimit=True)
    add(app, "/", limits.limit("1 per 5s"))
    client = TestClient(app)
    admitted, denied = client.get("/"), client.get("/")
    assert admitted.headers["RateLimit-Policy"] == '"default";q=1;w=5'
    assert admitted.headers["RateLimit"] == '"default";r=0;t=5'
    assert "Retry-After" not in admitted.headers
    assert denied.headers["Content-Type"] == "application/problem+json"
    assert denied.json()["violated-policies"] == ["default"]
    assert (denied.headers["Retry-After"], denied.headers["Cache-Control"]) == ("5", "no-store")
    assert denied.headers["X-RateLimit-Remaining"] == "0"
    assert len(denied.headers.get_list("RateLimit")) == 1
    text = client.get("/", headers={"Accept": "text/plain"})
    assert text.text == "Quota Exceeded: at most 1 per 5s; try again in 5 s\n"


def test_answers_that_the_application_builds_say_what_remains_too(app, make):
    limits = make()
    once = Depends(limits.limit("2 per 5s"))

    @app.get("/built", dependencies=[once])
    def built():
        return PlainTextResponse("hello")

    client = TestClient(app)
    assert client.get("/built").headers["RateLimit"] == '"default";r=1;t=5'
    assert client.get("/none").status_code == 404


def test_what_the_server_answers_for_a_route_that_fails_says_nothing(app, make):
    """It is written further out than any middleware of the application; handled, it is not."""
    limits = make()

    @app.get("/", dependencies=[Depends(limits.limit("3 per 5s"))])
    def broken(kind: str):
        raise {"runtime": RuntimeError, "value": ValueError}[kind]

    @app.exception_handler(ValueError)
    def handled(*_):
        return PlainTextResponse("broken", 500)

    client = TestClient(app, raise_server_exceptions=False)
    answers = [client.get(f"/?kind={kind}") for kind in ("runtime", "value")]
    assert [answer.status_code for answer in answers] == [500, 500]
    assert [answer.headers.get("RateLimit") for answer in answers] == [None, '"default";r=1;t=5']


def test_several_dependencies_are_all_announced(app, make, clock):
    limits = make()
    add(app, "/", limits.limit("2 per 5s"), limits.limit("3 per 1h"))
    client = TestClient(app)
    answers = [client.get("/") for _ in range(3)]
    assert answers[1].headers["RateLimit"] == '"2-per-5s";r=0;t=5, "3-per-1h";r=1;t=3600'
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    clock.advance(5 * S)
    assert statuses(app, "/", "/") == [200, 429]


def test_a_router_is_limited_for_each_of_its_routes(app, make):
    limits = make()
    router = APIRouter(prefix="/v1", dependencies=[Depends(limits.limit("1 per 5s"))])
    add(router, "/a")
    add(router, "/b")
    add(router, "/a", methods=["POST"])
    app.include_router(router)
    assert statuses(app, "/v1/a", "/v1/a", "/v1/b", "/v1/b") == [200, 429, 200, 429]
    assert statuses(app, "/v1/a", method="POST") == [429], "a path and function is one route"


def test_routes_whose_paths_or_functions_are_alike_are_counted_by_themselves(app, make):
    limits = make()
    once = Depends(limits.limit("1 per 5s"))
    for prefix in ("/x", "/y"):
        inner, outer = APIRouter(), APIRouter(prefix=prefix)

        @inner.get("/a", dependencies=[once])
        @inner.get("/b", dependencies=[once])
        async def view():
            return "hello"

        view.__qualname__ = prefix
        outer.include_router(inner)
        app.include_router(outer)
    assert statuses(app, "/x/a", "/y/a", "/x/b", "/y/b") == [200] * 4
    assert statuses(app, "/x/a", "/y/a", "/x/b", "/y/b") == [429] * 4


def test_routes_that_share_a_limit_are_counted_together(app, make):
    limits = make()
    add(app, "/a", limits.shared_limit("2 per 5s", "search"))
    add(app, "/b", limits.shared_limit("2 per 5s", "search"))
    add(app, "/c", limits.shared_limit("2 per 5s", "another"))
    assert statuses(app, "/a", "/b", "/a", "/b", "/c") == [200, 200, 429, 429, 200]


def test_a_limit_of_the_whole_application_holds_everywhere(clock):
    limits = RateLimit(key="ip", clock=clock)
    app = FastAPI(dependencies=[Depends(limits.shared_limit("3 per 5s", "application"))])
    limits.init_app(app)
    add(app, "/a")
    add(app, "/b")
    assert statuses(app, "/a", "/b", "/a", "/b") == [200, 200, 200, 429]


def test_an_application_that_is_mounted_is_limited_too(app, make):
    limits = make()
    mounted = FastAPI()
    add(mounted, "/a", limits.limit("1 per 5s"))
    app.mount("/sub", mounted)
    client = TestClient(app)
    assert client.get("/sub/a").headers["RateLimit"] == '"default";r=0;t=5'
    denied = client.get("/sub/a")
    assert (denied.status_code, denied.headers["Retry-After"]) == (429, "5")


def test_methods_can_be_limited_alone_or_counted_apart(app, make):
    limits = make()
    methods = ["GET", "POST"]
    add(app, "/post", limits.limit("1 per 5s", methods=["post"]), methods=methods)
    add(app, "/one", limits.limit("1 per 5s", methods="post"), methods=methods)
    add(app, "/apart", limits.limit("1 per 5s", per_method=True), methods=methods)
    for path in ("/post", "/one"):
        assert statuses(app, *[path] * 2, method="POST") == [200, 429]
        assert statuses(app, *[path] * 4) == [200] * 4
    for method in methods:
        assert statuses(app, *["/apart"] * 2, method=method) == [200, 429]


def test_policies_costs_keys_and_exemptions_can_be_asked_for(app, make):
    plans = {"free": "2 per 5s", "paid": "4 per 5s", "none": None}
    limits = make(exempt_when=lambda request: request.headers.get("X-Key") == "root")
    add(app, "/plan", limits.limit(lambda request: plans[request.headers["X-Plan"]]))
    for plan, passing in {"free": 2, "paid": 4, "none": 9}.items():
        answers = statuses(app, *["/plan"] * 9, X_Plan=plan, X_Key=plan)
        assert answers == [200] * passing + [429] * (9 - passing)
    cost = limits.limit("10 per 5s", cost=lambda request: int(request.query_params["n"]))
    add(app, "/cost", cost)
    assert statuses(app, "/cost?n=6", "/cost?n=5", "/cost?n=4", "/cost?n=1") == [200, 429, 200, 429]
    add(app, "/user", limits.limit("1 per 5s", key=lambda request: request.headers.get("X-User")))
    assert statuses(app, "/user", "/user", X_User="u") == [200, 429]
    assert statuses(app, "/user", "/user") == [200, 429]
    vip = limits.limit("1 per 5s", exempt_when=lambda request: "vip" in request.query_params)
    add(app, "/vip", vip)
    assert statuses(app, "/vip?vip", "/vip", "/vip?vip", "/vip") == [200, 200, 200, 429]
    assert statuses(app, *["/vip"] * 3, X_Key="root") == [200] * 3


def test_an_earlier_dependency_can_leave_what_a_function_needs(app, make):
    limits = make()

    async def log_in(request: Request):
        request.state.user = request.headers["X-User"]

    add(app, "/", log_in, limits.limit("1 per 5s", key=lambda request: request.state.user))
    assert statuses(app, "/", "/", X_User="u") == [200, 429]
    assert statuses(app, "/", "/", X_User="v") == [200, 429]


def test_an_exception_handler_answers_instead_and_the_fields_stay(app, make):
    limits = make()
    add(app, "/", limits.limit("1 per 5s"))

    @app.exception_handler(Denied)
    async def slow_down(_, error):
        return JSONResponse({"wait_ns": error.decision.retry_after_ns}, 418)

    client = TestClient(app)
    client.get("/")
    answer = client.get("/")
    assert (answer.status_code, answer.json()) == (418, {"wait_ns": 5 * S})
    assert (answer.headers["Retry-After"], answer.headers["RateLimit"]) == (
        "5",
        '"default";r=0;t=5',
    )


def test_the_handshake_of_a_websocket_is_a_request(app, make):
    limits = make()

    @app.websocket("/", dependencies=[Depends(limits.limit("1 per 5s"))])
    async def talk(websocket: WebSocket):
        await websocket.accept()
        await websocket.close()

    client = TestClient(app)
    with client.websocket_connect("/") as session:
        assert dict(session.extra_headers)[b"ratelimit"] == b'"default";r=0;t=5'
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/"):
        pass
    assert (denied.value.status_code, denied.value.headers["Retry-After"]) == (429, "5")


def test_a_failed_storage_denies_with_503(app, make, monkeypatch, caplog):
    limits = make()
    add(app, "/", limits.limit("1 per 5s"))

    async def fail(*_, **__):
        raise StoreError("the disk is on fire")

    monkeypatch.setattr(Limiter, "ahit", fail)
    answer = TestClient(app).get("/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "1 denied without a decision: the disk is on fire" in caplog.messages


def test_it_can_be_switched_off(app, make):
    limits = make(enabled=False)
    add(app, "/", limits.limit("1 per 5s"))
    assert statuses(app, "/", "/") == [200, 200]


def test_the_store_is_shared_by_name(shm_name):
    def create_app():
        app = FastAPI()
        limits = RateLimit(app, key="ip", store=f"shm://{shm_name}")
        add(app, "/", limits.limit("1 per 1h"))
        return app

    assert [statuses(create_app(), "/") for _ in range(2)] == [[200], [429]]


def test_behind_a_proxy_each_client_of_it_is_one(app, make):
    limits = make(address=ClientAddress(proxies=1))
    add(app, "/", limits.limit("1 per 5s"))
    for client in ("192.0.2.1", "192.0.2.2"):
        assert statuses(app, "/", X_Forwarded_For=f"6.6.6.6, {client}") == [200]
        assert statuses(app, "/", X_Forwarded_For=f"7.7.7.7, {client}") == [429]


def test_mistakes_are_named():
    limits = RateLimit(key="ip")
    with pytest.raises(InvalidPolicy, match="5 times a day"):
        limits.limit("5 times a day")
    with pytest.raises(InvalidArgument, match="cooky"):
        limits.limit("5 per 5s", key="cooky:id")
    app = FastAPI()
    add(app, "/", limits.limit("5 per 5s"))
    with pytest.raises(InvalidArgument, match="init_app"):
        statuses(app, "/")
