"""Limiters for Django."""

from league.installed import pypi
from league.limiters.serving import gunicorn
from league.row import Row, Truth

_FRAMEWORK = 'django_app:create_app("djangorestframework"'


def _framework_version() -> str:
    return pypi("djangorestframework", "Django", "gunicorn")


ROWS = (
    Row(
        name="django-ratelimit in local memory, one process",
        truth=Truth.YES,
        why="fixed windows whose edges depend on the key",
        worst=10,
        version=lambda: pypi("django-ratelimit", "Django", "gunicorn"),
        commands=lambda place: [gunicorn(place, 'django_app:create_app("django-ratelimit")')],
    ),
    Row(
        name="Django REST framework throttle in local memory, 8 threads",
        truth=Truth.YES,
        why="reads the log, then writes it, with no lock; and the cache forgets clients beyond 300",
        worst=None,
        version=_framework_version,
        commands=lambda place: [gunicorn(place, f"{_FRAMEWORK})")],
    ),
    Row(
        name="Django REST framework throttle in local memory, one thread, room for all",
        truth=Truth.NO,
        why="an exact log, where only one request at a time is decided and none is forgotten",
        worst=5,
        version=_framework_version,
        commands=lambda place: [gunicorn(place, f"{_FRAMEWORK}, 100000)", threads=1)],
    ),
)
