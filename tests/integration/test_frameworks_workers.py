"""Applications on four worker processes of a real server: exact, whoever runs them."""

import os
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.samples import quick_first

WORKERS, CONCURRENT = 4, 40
PROBLEM = "application/problem+json"

FLASK = """
import os
from flask import Flask
from rateproof.flask import RateLimit

app = Flask(__name__)
limits = RateLimit(app, key="header:X-Key|ip", store="{store}")

@app.get("/")
@limits.limit("5 per 30s")
def hello():
    return str(os.getpid())
"""
FASTAPI = """
import os
from fastapi import Depends, FastAPI
from rateproof.fastapi import RateLimit

app = FastAPI()
limits = RateLimit(app, key="header:X-Key|ip", store="{store}")

@app.get("/", dependencies=[Depends(limits.limit("5 per 30s"))])
async def hello() -> int:
    return os.getpid()
"""
DJANGO = """
import os
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path
from rateproof.django import limit

ROOT_URLCONF, ALLOWED_HOSTS = "app", ["127.0.0.1"]
MIDDLEWARE = ["rateproof.django.RateLimitMiddleware"]
RATEPROOF = {{"KEY": "header:X-Key|ip", "STORE": "{store}"}}

@limit("5 per 30s")
async def hello(request):
    return HttpResponse(str(os.getpid()))

urlpatterns = [path("", hello)]
os.environ["DJANGO_SETTINGS_MODULE"] = "app"
app = get_asgi_application()
"""
REST = """
import os
from django.conf import settings

settings.configure(
    ROOT_URLCONF="app",
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=["rateproof.django.RateLimitMiddleware"],
    RATEPROOF={{"STORE": "{store}"}},
    REST_FRAMEWORK={{
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_THROTTLE_RATES": {{"hello": "5/30s"}},
        "UNAUTHENTICATED_USER": None,
    }},
)
from django.core.wsgi import get_wsgi_application
from django.urls import path
from rateproof.django.throttling import RateThrottle
from rest_framework.response import Response
from rest_framework.views import APIView

class ByKey(RateThrottle):
    scope = "hello"

    def get_cache_key(self, request, view):
        return request.headers["X-Key"]

class Hello(APIView):
    throttle_classes = [ByKey]

    def get(self, request):
        return Response(os.getpid())

urlpatterns = [path("", Hello.as_view())]
app = get_wsgi_application()
"""
WSGI = """
import os
from rateproof import Limiter, RateLimitMiddleware

def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]

app = RateLimitMiddleware(hello, Limiter("5 per 30s", store="{store}"), key="header:X-Key|ip")
"""
ASGI = """
import os
from rateproof import AsgiRateLimitMiddleware, Limiter

async def hello(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({{"type": message["type"] + ".complete"}})
            if message["type"] == "lifespan.shutdown":
                return
    fields = [(b"content-type", b"text/plain")]
    await send({{"type": "http.response.start", "status": 200, "headers": fields}})
    await send({{"type": "http.response.body", "body": str(os.getpid()).encode()}})

app = AsgiRateLimitMiddleware(hello, Limiter("5 per 30s", store="{store}"), key="header:X-Key|ip")
"""

GUNICORN = ("-m", "gunicorn", "--workers", WORKERS, "--bind", "127.0.0.1:{port}", "app:app")
GRANIAN = ("-m", "granian", "--workers", WORKERS, "--no-log", "--port")
APPLICATIONS = {
    "flask on granian": (FLASK, (*GRANIAN, "{port}", "--interface", "wsgi", "app:app")),
    "flask on gunicorn": (FLASK, GUNICORN),
    "fastapi on granian": (FASTAPI, (*GRANIAN, "{port}", "--interface", "asgi", "app:app")),
    "django on granian": (DJANGO, (*GRANIAN, "{port}", "--interface", "asginl", "app:app")),
    "rest framework on gunicorn": (REST, GUNICORN),
    "wsgi on granian": (WSGI, (*GRANIAN, "{port}", "--interface", "wsgi", "app:app")),
    "asgi on granian": (ASGI, (*GRANIAN, "{port}", "--interface", "asgi", "app:app")),
}


@pytest.fixture
def serve(spawn, store, free_port, wait_for_port, tmp_path):
    """Serve one of the applications; its URL."""

    def started(name):
        source, command = APPLICATIONS[name]
        (tmp_path / "app.py").write_text(source.format(store=store))
        arguments = [str(word).format(port=free_port) for word in command]
        wait_for_port(free_port, spawn(*arguments, cwd=tmp_path))
        return f"http://127.0.0.1:{free_port}/"

    return started


def at_once(url, key):
    """The answers to concurrent requests of one client, each on a connection of its own."""
    together = threading.Barrier(CONCURRENT)

    def ask(_):
        together.wait()
        return requests.get(url, headers={"X-Key": key}, timeout=60)

    with ThreadPoolExecutor(CONCURRENT) as pool:
        return list(pool.map(ask, range(CONCURRENT)))


@pytest.mark.parametrize("name", quick_first(APPLICATIONS, 2))
def test_of_40_concurrent_requests_of_one_client_exactly_five_pass(serve, name):
    url = serve(name)
    workers, rounds, deadline = set(), 0, time.monotonic() + 120
    while rounds < 4 or (len(workers) < 2 and time.monotonic() < deadline):  # until two are up
        rounds += 1
        answers = at_once(url, uuid.uuid4().hex)
        assert Counter(answer.status_code for answer in answers) == {200: 5, 429: 35}
        workers |= {answer.text for answer in answers if answer.ok}
        denied = [answer for answer in answers if not answer.ok]
        assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"default";q=5;w=30'}
        assert all(1 <= int(answer.headers["Retry-After"]) <= 30 for answer in denied)
        kinds = {answer.headers["Content-Type"] for answer in denied}
        assert kinds == {"application/json" if name.startswith("rest") else PROBLEM}
    assert len(workers) > 1, "one worker answered everything: nothing was shared"


@pytest.mark.parametrize("name", ["flask", "fastapi", "django"])
def test_a_framework_that_is_missing_is_named(spawn, hide, name):
    process = spawn("-c", f"import rateproof.{name}", env=os.environ | hide(name))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"(pip install {name})" in said.splitlines()[-1]
