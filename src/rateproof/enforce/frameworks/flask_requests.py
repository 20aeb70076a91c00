"""What a request to a Flask application is: who answers it, and what it is charged."""

from collections.abc import Callable, Iterable
from typing import Any

import flask

from rateproof.enforce.frameworks.limits import Charge, Limit

__all__ = ["answered_by_flask", "charges_of", "current_request", "is_static"]


def current_request() -> flask.Request:
    """The request itself: each access by the proxy costs a look-up."""
    return flask.request._get_current_object()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001


def answered_by_flask(request: flask.Request) -> bool:
    """Whether the view is not called, for Flask knows the answer: which methods there are."""
    automatic: bool = getattr(request.url_rule, "provide_automatic_options", False)
    return automatic and request.method == "OPTIONS"


def is_static(endpoint: str | None, view: Callable[..., Any] | None) -> bool:
    """Whether it is Flask's own view of static files, and not one that is called `static`."""
    named = (endpoint or "").rpartition(".")[2] == "static"
    return named and getattr(view, "__module__", "").startswith("flask.")


def charges_of(
    request: flask.Request, levels: Iterable[Iterable[Limit[flask.Request]]]
) -> list[Charge]:
    """What the limits take that hold for a request, the most specific level first."""
    charges = []
    for level in levels:
        overriding = False
        for limit in level:
            charge = limit.charge(request, request.method, request.endpoint or "")
            if charge is not None:
                charges.append(charge)
                overriding |= limit.override
        if overriding:
            break
    return charges
