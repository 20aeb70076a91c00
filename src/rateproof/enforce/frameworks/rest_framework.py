"""Throttles for Django REST framework: its classes and scopes, counted by our limiter."""

from typing import Any

from rest_framework import exceptions, throttling

from rateproof.enforce.frameworks.django import current
from rateproof.enforce.http.answers import Refusal
from rateproof.enforce.http.views import WsgiRequest
from rateproof.policy import policy_of


class RateThrottle(throttling.SimpleRateThrottle):
    """A throttle to derive from; `get_cache_key` says whose a request is, None: not limited.

    A rate is a policy, such as `100/day` or `10/s; 1000/day`.
    """

    def parse_rate(self, rate: str | None) -> tuple[None, None]:
        """Check a rate; what becomes of it is no affair of the base class.

        Raises:
            InvalidPolicy: it is none.
        """
        self.policy = None if rate is None else policy_of(rate)
        return None, None

    def get_ident(self, request: Any) -> str:
        """The address of the client behind the proxies of the settings."""
        return current().address.of(WsgiRequest(request.META)).decode()

    def allow_request(self, request: Any, view: Any) -> bool:
        """Count a request that may pass.

        Raises:
            APIException: it may not, and its answer is not to be 429.
        """
        key: str | None = self.get_cache_key(request, view) if self.policy else None
        if self.policy is None or key is None:
            return True
        limits, scope = current(), self.scope or type(self).__qualname__
        limit = limits.shared_limit(self.policy, scope, key=lambda _: key)
        refusal = limits.decide(request, [limit], "")
        if refusal is None:
            return True
        self._wait_s = int(dict(refusal.fields)["Retry-After"])
        if refusal.status != exceptions.Throttled.status_code:
            raise _Refused(refusal, self._wait_s)
        return False

    def wait(self) -> int:
        """Seconds until a request can pass."""
        return self._wait_s


class AnonRateThrottle(throttling.AnonRateThrottle, RateThrottle):
    """Those who are not logged in, by their address."""


class UserRateThrottle(throttling.UserRateThrottle, RateThrottle):
    """Users, and by their address those who are not logged in."""


class ScopedRateThrottle(throttling.ScopedRateThrottle, RateThrottle):
    """As `UserRateThrottle`, by the `throttle_scope` of a view."""


class _Refused(exceptions.APIException):
    """A denial that is answered otherwise than by 429."""

    def __init__(self, refusal: Refusal, wait_s: int) -> None:
        super().__init__(refusal.detail)
        self.status_code = refusal.status
        self.wait = wait_s
