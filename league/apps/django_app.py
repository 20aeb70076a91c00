"""Limiters for Django, on its cache in local memory: 5 per 5 s of each `clientId`."""

from collections.abc import Callable

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

urlpatterns: list[object] = []


def create_app(which: str, entries: int | None = None) -> Callable[..., object]:
    """For gunicorn: `django_app:create_app("django-ratelimit")`.

    Args:
        which: `django-ratelimit` or `djangorestframework`.
        entries: how many keys the cache holds; None: as many as it does by default.
    """
    cache = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    if entries is not None:
        cache["OPTIONS"] = {"MAX_ENTRIES": entries}
    settings.configure(
        ALLOWED_HOSTS=["*"],
        CACHES={"default": cache},
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=["django_ratelimit"] if which == "django-ratelimit" else ["rest_framework"],
        SILENCED_SYSTEM_CHECKS=["django_ratelimit.E003", "django_ratelimit.W001"],
        REST_FRAMEWORK={"UNAUTHENTICATED_USER": None, "DEFAULT_AUTHENTICATION_CLASSES": []},
    )
    django.setup()
    views = {"django-ratelimit": _ratelimit_view, "djangorestframework": _framework_view}
    urlpatterns.append(path("", views[which]()))
    return get_wsgi_application()


def _ratelimit_view() -> Callable[..., object]:
    from django_ratelimit.core import is_ratelimited

    def index(request: HttpRequest) -> HttpResponse:
        limited = is_ratelimited(
            request, group="index", key="get:clientId", rate="5/5s", increment=True
        )
        return HttpResponse("slow down\n" if limited else "hello\n", status=429 if limited else 200)

    return index


def _framework_view() -> Callable[..., object]:
    from rest_framework.request import Request
    from rest_framework.response import Response
    from rest_framework.throttling import SimpleRateThrottle
    from rest_framework.views import APIView

    class ByClient(SimpleRateThrottle):
        scope = "client"
        rate = "5 in 5 s"

        def parse_rate(self, rate: str) -> tuple[int, int]:
            """Its own notation knows only 1 s, 1 min, 1 h and 1 d."""
            del rate
            return 5, 5

        def get_cache_key(self, request: Request, view: APIView) -> str:
            del view
            return self.cache_format % {
                "scope": self.scope,
                "ident": request.query_params.get("clientId", ""),
            }

    class Index(APIView):
        throttle_classes = (ByClient,)

        def get(self, request: Request) -> Response:
            del request
            return Response("hello")

    return Index.as_view()
