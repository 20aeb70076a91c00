"""Each route is counted by itself, however it came into the application."""

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.routing import Mount, Router

from rateproof import ManualClock
from rateproof.fastapi import RateLimit


@pytest.fixture
def app():
    return FastAPI()


@pytest.fixture
def once(app):
    """A dependency that admits each route once."""
    limits = RateLimit(app, key="ip", clock=ManualClock(10**12))
    return Depends(limits.limit("1 per 5s"))


def twice(app, *paths, root_path=""):
    """Answers of each path, at first and then again."""
    client = TestClient(app, root_path=root_path)
    return [[client.get(path).status_code for path in paths] for _ in range(2)]


def made(factory, once):
    """A router or an application with a route, the same function each time."""
    target = factory()
    target.add_api_route("/x/{word}", view, dependencies=[once])
    return target


def view():
    return "hello"


def test_a_router_that_is_included_twice(app, once):
    router, outer = made(APIRouter, once), APIRouter()
    outer.include_router(router, prefix="/in")
    app.include_router(router, prefix="/a")
    app.include_router(router, prefix="/b")
    app.include_router(outer, prefix="/c")
    assert twice(app, "/a/x/1", "/b/x/1", "/c/in/x/1") == [[200] * 3, [429] * 3]
    assert TestClient(app).get("/a/x/2").status_code == 429, "one route, whatever its parameters"


def test_applications_of_one_factory_mounted_apart(app, once):
    app.mount("/v1", made(FastAPI, once))
    app.mount("/v2", made(FastAPI, once))
    app.mount("/v3", Router([Mount("/deep", made(FastAPI, once))]))
    paths = ("/v1/x/1", "/v2/x/1", "/v3/deep/x/1")
    assert twice(app, *paths) == [[200] * 3, [429] * 3]


def test_one_application_mounted_twice(app, once):
    mounted = made(FastAPI, once)
    app.mount("/v1", mounted)
    app.mount("/v2", mounted)
    assert twice(app, "/v1/x/1", "/v2/x/1") == [[200] * 2, [429] * 2]


@pytest.mark.parametrize("name", ["tenant", "word"])
def test_a_client_cannot_choose_its_route_by_the_parameter_of_a_mount(app, once, name):
    """Not even if the route has one of the same name."""
    app.mount(f"/{{{name}}}", made(FastAPI, once))
    assert twice(app, "/one/x/1", "/two/x/1") == [[200, 429], [429, 429]]


def test_where_the_whole_is_mounted_does_not_matter(app, once):
    """Neither by a server or proxy nor in an application without limits."""
    app.mount("/v1", made(FastAPI, once))
    app.mount("/v2", made(FastAPI, once))
    paths = ("/base/v1/x/1", "/base/v2/x/1")
    assert twice(app, *paths, root_path="/base") == [[200] * 2, [429] * 2]
    outer = Starlette(routes=[Mount("/{tenant}", app)])
    assert twice(outer, "/one/v1/x/1", "/two/v2/x/1") == [[429] * 2, [429] * 2]


def test_nor_by_the_parameter_of_a_mount_in_a_router(app, once):
    router = APIRouter()
    router.mount("/{tenant}", made(FastAPI, once))
    app.include_router(router, prefix="/in")
    app.include_router(made(APIRouter, once), prefix="/beside")
    paths = ("/in/one/x/1", "/in/two/x/1", "/beside/x/1")
    assert twice(app, *paths) == [[200, 429, 200], [429] * 3]
