"""System checks of a Django project: what its settings have that cannot be, or seldom is meant."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core import checks

from rateproof.enforce.frameworks.django import DjangoRateLimit, arguments
from rateproof.errors import InvalidArgument
from rateproof.policy import policy_of

_CLOCK, _POLICY = "such as ManualClock()", "such as '10/s; 1000/day'"


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """Errors, each by itself: E001 in `RATEPROOF`, E002 in the rates of our throttles."""
    given = getattr(settings, "RATEPROOF", {})
    parts = [{name: given[name]} for name in given] if isinstance(given, Mapping) else []
    found = [error for part in parts for error in _errors("E001", "RATEPROOF", _limits_of, part)]
    # Each can be good, and not all together.
    found = found or _errors("E001", "RATEPROOF", _limits_of, given)
    rest = getattr(settings, "REST_FRAMEWORK", None) or {}
    classes = rest.get("DEFAULT_THROTTLE_CLASSES") or ()
    if any(str(each).startswith("rateproof.") for each in classes):
        for scope, rate in (rest.get("DEFAULT_THROTTLE_RATES") or {}).items():
            if rate is not None:
                found += _errors("E002", f"DEFAULT_THROTTLE_RATES[{scope!r}]", policy_of, rate)
    return found


def check_deployment(**_: Any) -> list[checks.CheckMessage]:
    """Warnings of `check --deploy`: W001 a store of one process, W002 a proxy that is not told."""
    if check_settings():
        return []
    return list(_cautions(getattr(settings, "RATEPROOF", {})))


def _cautions(given: Mapping[str, Any]) -> Iterator[checks.CheckMessage]:
    store = given.get("STORE", "memory://")
    if store.startswith("memory:"):
        yield checks.Warning(
            f"RATEPROOF: store {store}: each worker process counts by itself,"
            " so several let through several times the limit",
            "shm://NAME is shared by all workers of a machine, redis://… by all machines",
            id="rateproof.W001",
        )
    proxied = settings.SECURE_PROXY_SSL_HEADER or settings.USE_X_FORWARDED_HOST
    if proxied and not given.get("PROXIES"):
        yield checks.Warning(
            "RATEPROOF: the settings speak of a proxy, and PROXIES is 0:"
            " all clients behind it count as one address",
            "PROXIES: how many there are, or their networks, such as ['10.0.0.0/8']",
            id="rateproof.W002",
        )


def _limits_of(given: Mapping[str, Any]) -> DjangoRateLimit:
    return DjangoRateLimit(**arguments(given))


def _errors(
    code: str, where: str, read: Callable[[Any], object], value: object
) -> list[checks.CheckMessage]:
    try:
        read(value)
    except (InvalidArgument, TypeError) as error:
        message = getattr(error, "message", str(error))
        hint = getattr(error, "hint", _CLOCK if message.startswith("clock") else _POLICY)
        return [checks.Error(f"{where}: {message}", hint, id=f"rateproof.{code}")]
    return []
