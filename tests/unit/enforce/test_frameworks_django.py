"""Limits of Django views hold for functions, classes and methods, at once or awaited."""

import asyncio
import functools
from io import BytesIO

import pytest
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.http import HttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View

from rateproof import ManualClock
from rateproof.django import limit, shared_limit, user
from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores.location import directory_of
from rateproof.errors import InvalidArgument, InvalidPolicy, NeverPossible, StoreError

S = 1_000_000_000
MIDDLEWARE = ("rateproof.django.RateLimitMiddleware",)


@pytest.fixture(scope="module", autouse=True)
def _project(django_project):
    """The project of all tests of Django."""


@pytest.fixture
def clock():
    return ManualClock(10**12)


@pytest.fixture
def project(clock):
    """Make a project of these views, and what `RATEPROOF` says; a client of it."""
    overridden = []

    def made(*views, client=Client, middleware=MIDDLEWARE, **told):
        changed = override_settings(
            ROOT_URLCONF=tuple(path(f"{index}", view) for index, view in enumerate(views)),
            MIDDLEWARE=middleware,
            RATEPROOF={"CLOCK": clock, **told},
        )
        changed.enable()
        overridden.append(changed)
        return client()

    yield made
    for changed in reversed(overridden):
        changed.disable()


def hello(_request):
    return HttpResponse("hello")


async def hello_later(_request):
    await asyncio.sleep(0)
    return HttpResponse("hello")


def statuses(client, number, where="/0", method="GET", **fields):
    headers = {name.replace("_", "-"): value for name, value in fields.items()}

    def ask():
        return client.generic(method, where, headers=headers)

    if isinstance(client, AsyncClient):

        async def ask_all():
            return [(await ask()).status_code for _ in range(number)]

        return asyncio.run(ask_all())
    return [ask().status_code for _ in range(number)]


def answer(client, where="/0", **fields):
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return client.get(where, headers=headers)


def test_a_view_is_limited_and_others_are_not(project, clock):
    client = project(limit("2/5s")(hello), hello)
    assert statuses(client, 4) == [200, 200, 429, 429]
    assert statuses(client, 9, "/1") == [200] * 9
    clock.advance(5 * S)
    assert statuses(client, 1) == [200]


def test_every_answer_says_what_holds_and_a_denial_says_why(project):
    client = project(limit("1/5s")(hello))
    assert answer(client).headers["RateLimit"] == '"default";r=0;t=5'
    denied = answer(client)
    assert (denied.status_code, denied.headers["Retry-After"]) == (429, "5")
    assert denied.headers["RateLimit-Policy"] == '"default";q=1;w=5'
    assert denied.json()["detail"] == "at most 1 per 5s; try again in 5 s"
    assert answer(client, Accept="text/plain").content.startswith(b"Quota Exceeded: at most 1")


def test_an_error_of_a_view_carries_the_fields_too(project):
    @limit("5/5s")
    def failing(_request):
        raise ValueError

    client = project(failing)
    client.raise_request_exception = False
    broken = answer(client)
    assert (broken.status_code, broken.headers["RateLimit"]) == (500, '"default";r=4;t=5')


def test_a_view_that_answers_nothing_is_named_by_django(project):
    client = project(limit("5/5s")(lambda _request: None))
    with pytest.raises(ValueError, match="didn't return an HttpResponse"):
        answer(client)


def test_head_counts_with_get(project):
    client = project(limit("1/5s", methods="GET")(hello))
    assert client.head("/0").status_code == 200
    assert client.get("/0").status_code == 429
    assert statuses(client, 2, method="POST") == [200, 200]


def test_the_denial_of_a_head_has_no_body(project):
    project()
    view = limit("1/5s")(hello)
    view(RequestFactory().head("/"))
    denied = view(RequestFactory().head("/"))
    assert (denied.status_code, denied.content) == (429, b"")
    assert int(denied.headers["Content-Length"]) > 0


def test_limits_on_one_view_are_all_charged_or_none(project, clock):
    client = project(limit("2/5s")(limit("3/h", key="header:X-Key")(hello)))
    assert statuses(client, 3) == [200, 200, 429]
    clock.advance(5 * S)
    assert statuses(client, 2) == [200, 429]  # the denied one was not charged to the hour
    clock.advance(5 * S)
    assert statuses(client, 1, X_Key="other") == [200]


def test_views_of_one_scope_are_counted_together(project):
    reports = shared_limit("2/5s", "reports")
    client = project(reports(hello), reports(hello))
    assert statuses(client, 1) + statuses(client, 2, "/1") == [200, 200, 429]


class Direct(View):
    @limit("1/5s")
    def get(self, _request):
        return HttpResponse("get")

    @limit("2/5s")
    def post(self, _request):
        return HttpResponse("post")


@limit("1/5s")
class Whole(View):
    def get(self, _request):
        return HttpResponse("get")

    post = get


@limit("1/5s")
class Later(View):
    async def get(self, _request):
        return await hello_later(None)

    post = get


@method_decorator(limit("1/5s"), name="dispatch")
class ByDjango(View):
    def get(self, _request):
        return HttpResponse("get")

    post = get


@method_decorator(limit("1/5s"), name="dispatch")
class LaterByDjango(View):
    async def get(self, _request):
        return await hello_later(None)

    post = get


class LaterDirect(View):
    @limit("1/5s")
    async def get(self, _request):
        return await hello_later(None)


def test_each_method_of_a_class_is_limited_by_itself(project):
    client = project(Direct.as_view())
    assert statuses(client, 2) == [200, 429]
    assert statuses(client, 3, method="POST") == [200, 200, 429]


@pytest.mark.parametrize("view", [Whole, Later, ByDjango, LaterByDjango])
@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_a_class_is_limited_as_a_whole(project, view, client):
    client = project(view.as_view(), client=client)
    assert statuses(client, 1) + statuses(client, 1, method="POST") == [200, 429]


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_a_method_that_is_awaited_is_limited(project, client):
    assert statuses(project(LaterDirect.as_view(), client=client), 2) == [200, 429]


def test_classes_that_inherit_a_view_are_counted_by_themselves(project):
    one, other = (type(name, (View,), {"get": Whole.get}) for name in ("One", "Other"))
    client = project(limit("1/5s")(one).as_view(), limit("1/5s")(other).as_view())
    assert statuses(client, 2) + statuses(client, 2, "/1") == [200, 429, 200, 429]


def both(made):
    """The statuses of a second request to each of two limited views that no route tells apart."""
    views = [view for view in made for _ in range(2)]
    return [view(RequestFactory().get("/")).status_code for view in views]


@pytest.mark.parametrize(
    "decorate", [limit("1/5s"), method_decorator(limit("1/5s"), name="dispatch")]
)
def test_classes_without_a_route_are_counted_by_themselves(project, decorate):
    project()
    classes = [decorate(type(name, (View,), {"get": Whole.get})) for name in ("One", "Other")]
    assert both(each.as_view() for each in classes) == [200, 429, 200, 429]


def test_what_classes_are_called_by_is_counted_by_itself_too(project):
    project()
    limited = limit("1/5s")
    classes = [type(name, (View,), {"get": lambda *_: HttpResponse()}) for name in ("One", "Other")]
    assert both(limited(each.as_view()) for each in classes) == [200, 429, 200, 429]


def test_functions_without_names_are_counted_by_themselves(project):
    project()
    limited = limit("1/5s")
    one = limited(lambda _: HttpResponse("one"))
    other = limited(lambda _: HttpResponse("other"))
    assert both((one, other)) == [200, 429, 200, 429]


def test_a_decorator_that_is_both_on_a_class_and_its_route_counts_once(project):
    client = project(limit("2/5s")(Whole.as_view()))
    assert answer(client).headers["RateLimit-Policy"].count("q=") == 2
    assert statuses(client, 1) == [429]


@pytest.mark.parametrize("view", [hello, hello_later])
@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_views_are_limited_at_once_or_awaited(project, view, client):
    assert statuses(project(limit("2/5s")(view), client=client), 3) == [200, 200, 429]


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_the_middleware_counts_all_views_and_those_that_there_are_not(project, client):
    client = project(hello, hello_later, client=client, POLICY="3/5s")
    asked = statuses(client, 1) + statuses(client, 1, "/1") + statuses(client, 1, "/none")
    assert asked == [200, 200, 404]
    assert statuses(client, 1) + statuses(client, 1, "/none") == [429, 429]


def test_the_middleware_and_a_view_say_both_their_limits(project):
    client = project(limit("2/5s")(hello), POLICY="9/5s")
    assert answer(client).headers["RateLimit"] == '"9-per-5s";r=8;t=5, "2-per-5s";r=1;t=5'


def test_a_post_that_the_csrf_check_refuses_counts_for_the_middleware_only(project):
    checked = (*MIDDLEWARE, "django.middleware.csrf.CsrfViewMiddleware")
    client = project(
        limit("1/5s")(hello),
        client=functools.partial(Client, enforce_csrf_checks=True),
        middleware=checked,
        POLICY="3/5s",
    )
    assert statuses(client, 2, method="POST") == [403, 403]
    assert statuses(client, 2) == [200, 429]


def test_an_awaited_view_is_decided_about_in_the_event_loop(project, monkeypatch):
    def in_a_thread(*_):
        raise AssertionError("a thread")

    monkeypatch.setattr("rateproof.enforce.frameworks.django.sync_to_async", in_a_thread)
    client = project(limit("1/5s")(hello_later), client=AsyncClient, POLICY="9/5s")
    assert statuses(client, 2) == [200, 429]


def test_a_store_behind_a_network_is_asked_in_a_thread(project, monkeypatch, free_port):
    asked = []

    def in_a_thread(function):
        asked.append(function.__name__)
        return sync_to_async(function)

    monkeypatch.setattr("rateproof.enforce.frameworks.django.sync_to_async", in_a_thread)
    nobody = {"STORE": f"redis://127.0.0.1:{free_port}", "ON_ERROR": "admit", "CLOCK": None}
    client = project(limit("1/5s")(hello_later), client=AsyncClient, **nobody)
    assert statuses(client, 2) == [200, 200]
    assert "refuse" in asked


def asks_the_database(request):
    connection.ensure_connection()
    return request.headers.get("X-Key")


@pytest.mark.parametrize("view", [hello, hello_later])
def test_a_function_that_asks_a_database_is_called_in_a_thread(project, view):
    client = project(limit("1/5s", key=asks_the_database)(view), client=AsyncClient)
    assert statuses(client, 2, X_Key="a") + statuses(client, 1, X_Key="b") == [200, 429, 200]


def test_a_view_is_limited_without_the_middleware(project):
    client = project(limit("1/5s")(hello), middleware=())
    assert [answer(client).headers["RateLimit"] for _ in range(2)] == ['"default";r=0;t=5'] * 2


def test_a_view_that_is_called_by_a_test_is_limited(project):
    project()
    view = limit("1/5s")(hello)
    asked = [view(RequestFactory().get("/")).status_code for _ in range(2)]
    assert asked == [200, 429]


def test_users_count_by_themselves_and_others_by_address(project):
    class Somebody:
        is_authenticated = True

        def __init__(self, pk):
            self.pk = pk

    def status(who, peer="192.0.2.1"):
        request = RequestFactory(REMOTE_ADDR=peer).get("/")
        if who:
            request.user = Somebody(who)
        return view(request).status_code

    project()
    view = limit("1/5s", key=user)(hello)
    assert [status(who) for who in (1, 1, 2, None, None)] == [200, 429, 200, 200, 429]
    assert status(None, "192.0.2.2") == 200


def test_everything_can_depend_on_the_request(project):
    def plan(request):
        return {"free": "2/5s", "paid": "9/5s"}.get(request.headers["X-Plan"])

    def cost(request):
        return int(request.headers.get("X-Cost", 1))

    client = project(limit(plan, key="header:X-Key", cost=cost)(hello))
    ask = functools.partial(statuses, client, 1)
    assert ask(X_Plan="free", X_Cost="2") + ask(X_Plan="free") == [200, 429]
    assert ask(X_Plan="paid", X_Cost="9") + ask(X_Plan="none", X_Cost="99") == [200, 200]


def slow_down(request, refusal):
    return HttpResponse(f"{request.path}: {refusal.detail}", status=420)


def exempts(request):
    return request.path == "/1"


@pytest.mark.parametrize("policy", [None, "1/5s"])
def test_another_view_can_answer_a_denial(project, policy):
    view = hello if policy else limit("1/5s")(hello)
    client = project(view, DENIED_VIEW=f"{__name__}.slow_down", POLICY=policy)
    answer(client)
    denied = answer(client)
    assert (denied.status_code, denied.headers["Retry-After"]) == (420, "5")
    assert denied.content == b"/0: at most 1 per 5s; try again in 5 s"


def says_nothing(_request, _refusal):
    return None


@pytest.mark.parametrize("view", [hello, hello_later])
@pytest.mark.parametrize("policy", [None, "1/5s"])
def test_a_denied_view_that_answers_nothing_lets_nothing_pass(project, view, policy):
    limited = view if policy else limit("1/5s")(view)
    client = project(limited, DENIED_VIEW=says_nothing, POLICY=policy)
    answer(client)
    with pytest.raises(TypeError, match="denied_view says_nothing returned NoneType, not an Http"):
        answer(client)


class FalseResponse(HttpResponse):
    def __bool__(self):
        return False


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize("view", [hello, hello_later])
@pytest.mark.parametrize("policy", [None, "1/5s"])
def test_a_denial_that_is_false_is_one(project, client, view, policy):
    limited = view if policy else limit("1/5s")(view)
    told = {"DENIED_VIEW": lambda *_: FalseResponse(status=420), "POLICY": policy}
    assert statuses(project(limited, client=client, **told), 2) == [200, 420]


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_a_value_in_the_query_is_the_same_in_whichever_way_it_is_written(project, client):
    client = project(limit("1/5s", key="query:id")(hello), client=client)
    assert statuses(client, 1, "/0?id=é") + statuses(client, 1, "/0?id=%C3%A9") == [200, 429]
    assert statuses(client, 1, "/0?id=%E9") == [200]


def test_a_server_hands_over_the_bytes_of_a_query(project):
    def status(query):
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": query}
        return view(ASGIRequest(scope, BytesIO())).status_code

    project()
    view = limit("1/5s", key="query:id")(hello)
    assert [status("id=é".encode()), status(b"id=%C3%A9"), status(b"id=%E9")] == [200, 429, 200]


def test_settings_say_the_key_the_status_and_who_is_exempt(project):
    limited = limit("1/5s")
    told = {"KEY": "header:X-Key", "STATUS": 503, "EXEMPT_WHEN": exempts, "X_RATELIMIT": True}
    client = project(limited(hello), limited(hello), **told)
    assert statuses(client, 2, X_Key="a") + statuses(client, 1, X_Key="b") == [200, 503, 200]
    assert statuses(client, 3, "/1", X_Key="a") == [200] * 3
    assert answer(client).headers["X-RateLimit-Remaining"] == "0"


def test_in_shadow_mode_everything_passes(project):
    limited = limit("1/5s")(hello)
    client = project(limited, SHADOW=True)
    assert statuses(client, 2) == [200, 200]
    assert answer(client).headers["RateLimit"] == '"default";r=0;t=5'


def test_what_is_disabled_opens_no_store(project, shm_name):
    client = project(limit("1/5s")(hello), ENABLED=False, POLICY="1/5s", STORE=f"shm://{shm_name}")
    assert statuses(client, 3) == [200] * 3
    assert "RateLimit" not in answer(client).headers
    assert not directory_of(shm_name).exists()


def test_what_a_client_writes_in_front_of_its_address_changes_nothing(project):
    client = project(limit("1/5s")(hello), PROXIES=1)
    first = statuses(client, 1, X_Forwarded_For="192.0.2.1")
    again = statuses(client, 1, X_Forwarded_For="198.51.100.7, 192.0.2.1")
    assert (first, again) == ([200], [429])
    assert statuses(client, 1, X_Forwarded_For="192.0.2.2") == [200]


def test_a_storage_that_fails_is_answered_with_503(project, monkeypatch):
    def fail(*_args, **_options):
        raise StoreError("gone")

    monkeypatch.setattr(Limiter, "hit", fail)
    denied = answer(project(limit("1/5s")(hello)))
    assert (denied.status_code, denied.headers["Retry-After"]) == (503, "1")
    assert denied.json()["detail"] == "the limiter's storage failed; try again in 1 s"


@pytest.mark.parametrize(
    ("declare", "error"),
    [
        (lambda: limit("5 per fortnight"), InvalidPolicy),
        (lambda: limit("1000000/s"), InvalidArgument),
        (lambda: limit("leaky-queue 5/s"), InvalidArgument),
        (lambda: limit("5/s", cost=6), NeverPossible),
        (lambda: limit("5/s", key="headers:X"), InvalidArgument),
        (lambda: limit("5/s", override=False), InvalidArgument),
        (lambda: limit(hello_later), InvalidArgument),
        (lambda: shared_limit("5/s", "a", methods=5), InvalidArgument),
    ],
)
def test_a_limit_that_cannot_be_is_refused_where_it_is_written(declare, error):
    with pytest.raises(error):
        declare()


@pytest.mark.parametrize("target", [5, dict, None])
def test_what_is_no_view_is_not_limited(target):
    with pytest.raises(InvalidArgument, match=f"a limit on {target!r} .*a view, its class"):
        limit("5/s")(target)


def test_a_request_can_be_given_by_its_name(project):
    project()
    view = limit("1/5s")(lambda request: HttpResponse(request.path))
    asked = [view(request=RequestFactory().get("/")).status_code for _ in range(2)]
    assert asked == [200, 429]
    with pytest.raises(TypeError, match="a view with a limit is called without a request"):
        view()


def test_settings_that_cannot_be_stop_the_start(project):
    client = project(hello, STATUS=42)
    with pytest.raises(InvalidArgument, match="status 42"):
        answer(client)
