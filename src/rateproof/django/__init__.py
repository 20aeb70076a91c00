"""Limits for Django: `from rateproof.django import limit`.

    INSTALLED_APPS = [..., "rateproof.django"]
    MIDDLEWARE = ["rateproof.django.RateLimitMiddleware", ...]
    RATEPROOF = {"STORE": "shm://my-site", "KEY": "header:X-Api-Key|ip"}

    @limit("5 per 5s")
    def login(request): ...

See `docs/enforce/django.md`.
"""

try:
    from rateproof.enforce.frameworks.django import DjangoMiddleware as RateLimitMiddleware
    from rateproof.enforce.frameworks.django import limit, shared_limit, user
except ModuleNotFoundError as error:
    raise ImportError("rateproof.django needs Django (pip install django)") from error

__all__ = ["RateLimitMiddleware", "limit", "shared_limit", "user"]
