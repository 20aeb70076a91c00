"""What both middlewares share: the limiter, how it is asked, and what is answered."""

from collections.abc import Callable, Collection
from typing import Generic, TypeAlias, TypeVar

from rateproof.enforce.decision import Decision
from rateproof.enforce.http.addresses import ClientAddress
from rateproof.enforce.http.answers import (
    Denial,
    Fields,
    announcement,
    denial,
    fields_writer,
    x_ratelimit_fields,
)
from rateproof.enforce.http.checks import checked_status, checked_texts
from rateproof.enforce.http.failures import Failures
from rateproof.enforce.http.keys import KeyLike, key_reader
from rateproof.enforce.http.request import Request
from rateproof.enforce.limiter import Limiter
from rateproof.errors import StoreError

__all__ = ["Answer", "Middleware"]

R = TypeVar("R")
Answer: TypeAlias = tuple[Denial, tuple[tuple[str, str], ...]]
"""A denial, and all fields that it is sent with."""


class Middleware(Generic[R]):
    """The part that does not depend on how a request is presented.

    Args:
        limiter: asked once for each request.
        key: where a request says whose it is, or a function that knows.
        view: what is read of a request.
        status: the code of a denial.
        exempt: paths, or one, that are never counted nor limited.
        address: how the address of a client is found.
        x_ratelimit: whether answers carry X-RateLimit-* as well.
        name: what the policy is called in answers.

    Raises:
        InvalidArgument: one of these cannot be.
    """

    def __init__(
        self,
        limiter: Limiter,
        *,
        key: KeyLike[R],
        view: Callable[[R], Request],
        status: int,
        exempt: str | Collection[str],
        address: ClientAddress,
        x_ratelimit: bool,
        name: str,
    ) -> None:
        self._limiter = limiter
        self._key = key_reader(key, view, address)
        self._status = checked_status(status)
        self._exempt = frozenset(checked_texts("exempt", exempt))
        self._x_ratelimit = x_ratelimit
        self._announced = announcement(limiter.policy, name)
        self._limit_fields = fields_writer(self._announced)
        self._failures = Failures()

    def _fields(self, decision: Decision) -> Fields:
        fields = self._limit_fields(decision)
        return fields + x_ratelimit_fields(decision) if self._x_ratelimit else fields

    def _denied(self, decision: Decision, accept: str | None) -> Answer:
        answer = denial(decision, self._announced, status=self._status, accept=accept)
        return answer, (*answer.fields, *self._fields(decision))

    def _failed(self, error: StoreError, accept: str | None) -> Answer:
        self._failures.log(error)
        answer = denial(None, self._announced, status=self._status, accept=accept)
        return answer, (*answer.fields, ("RateLimit-Policy", self._announced.policy))
