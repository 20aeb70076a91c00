"""What is raised in a Flask application for a request that a limit stops."""

from functools import lru_cache

import flask
from werkzeug.exceptions import HTTPException, default_exceptions

from rateproof.enforce.decision import Decision
from rateproof.enforce.http.answers import Denial

__all__ = ["Denied", "denied_class"]


class Denied(HTTPException):
    """Raised for a request that a limit stops; an `errorhandler` can answer in its stead.

    Whoever answers, the response carries the fields of the limit and Retry-After.

    Args:
        denial: the answer that is given when nobody else gives one.
        decision: what the limiter said, None if its storage failed.
    """

    def __init__(self, denial: Denial, decision: Decision | None) -> None:
        super().__init__(denial.detail)
        self.decision = decision
        self._denial = denial

    def get_response(self, *_: object, **__: object) -> flask.Response:
        """The answer of the limiter."""
        return flask.Response(
            self._denial.body, self._denial.status, headers=list(self._denial.fields)
        )


@lru_cache
def denied_class(status: int) -> type[Denied]:
    """The class for a status: Flask finds an `errorhandler` for a code by the class of that code."""
    return type("Denied", (Denied, default_exceptions.get(status, HTTPException)), {"code": status})
