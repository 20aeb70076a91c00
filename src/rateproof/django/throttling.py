"""Throttles for Django REST framework: `rateproof.django.throttling.UserRateThrottle`.

See `docs/enforce/django.md`.
"""

try:
    from rateproof.enforce.frameworks.rest_framework import (
        AnonRateThrottle,
        RateThrottle,
        ScopedRateThrottle,
        UserRateThrottle,
    )
except ModuleNotFoundError as error:
    name = "rateproof.django.throttling needs Django REST framework"
    raise ImportError(f"{name} (pip install djangorestframework)") from error

__all__ = ["AnonRateThrottle", "RateThrottle", "ScopedRateThrottle", "UserRateThrottle"]
