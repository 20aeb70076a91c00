"""A Django project in one file, whose limits hold for any number of worker processes.

    gunicorn --chdir examples --workers 3 django_app:application
    STORE=memory:// python -m django check --deploy --settings django_app --pythonpath examples

`STORE` is where admissions are kept: `shm://NAME`, and each worker by itself with `memory://`.
"""

import os

from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from rateproof.django import limit

SECRET_KEY = os.environ.get("SECRET_KEY", "only for trying it out")
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["rateproof.django"]  # checks the settings
MIDDLEWARE = ["rateproof.django.RateLimitMiddleware"]
ROOT_URLCONF = "django_app"
RATEPROOF = {
    "STORE": os.environ.get("STORE", "shm://django-app"),
    "KEY": "header:X-Api-Key|ip",
}


@limit("5 per 5s")
def search(_: HttpRequest) -> HttpResponse:
    """Answer anything."""
    return HttpResponse("nothing found\n")


urlpatterns = [path("search", search)]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_app")
application = get_wsgi_application()
