"""Arguments of middlewares and frameworks, checked before the first request.

Each raises InvalidArgument for what cannot be.
"""

import inspect
import re
from collections.abc import Callable, Collection
from typing import Any, ParamSpec, TypeGuard, TypeVar

from rateproof.errors import InvalidArgument

P = ParamSpec("P")
T = TypeVar("T")

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def is_whole(value: object) -> TypeGuard[int]:
    """True if it is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def checked_whole(what: str, value: object, least: int, most: int) -> int:
    """A whole number within bounds, both included."""
    if not is_whole(value) or not least <= value <= most:
        raise InvalidArgument(f"{what} {value!r}", f"a whole number from {least} to {most}")
    return value


def checked_flag(what: str, value: object) -> bool:
    """True or False, and nothing that only counts as one: `"false"` is true."""
    if not isinstance(value, bool):
        raise InvalidArgument(f"{what} {value!r}", "True or False")
    return value


def checked_status(status: int) -> int:
    """The code of a denial, 400 to 599; 429 or 503 are meant for it."""
    return checked_whole("status", status, 400, 599)


def checked_token(what: str, value: str) -> str:
    """The name of a header field (RFC 9110, section 5.1)."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise InvalidArgument(f"{what} {value!r}", "the name of a field, such as X-Forwarded-For")
    return value


def checked_name(name: str) -> str:
    """The name of a policy in fields and problem documents, which never needs quoting."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidArgument(f"name {name!r}", "letters, digits, dots, hyphens and underscores")
    return name


def checked_texts(what: str, given: str | Collection[str]) -> tuple[str, ...]:
    """One text, or several: a text alone is not a collection of letters."""
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, Collection) or not all(isinstance(each, str) for each in given):
        raise InvalidArgument(f"{what} {given!r}", "a text, or a list of texts")
    return tuple(given)


def checked_methods(given: str | Collection[str]) -> frozenset[str]:
    """Methods in capitals, with GET also HEAD; each is a token (RFC 9110, section 9.1)."""
    methods = {method.upper() for method in checked_texts("methods", given)}
    if not methods or not all(map(_TOKEN.fullmatch, methods)):
        raise InvalidArgument(f"methods {given!r}", "one or more, such as 'GET' or ['GET', 'POST']")
    return frozenset(methods | {"HEAD"} if "GET" in methods else methods)


def without_waiting(
    what: str, function: Callable[P, T], takes: Collection[str] = ("request",)
) -> Callable[P, T]:
    """The function, unless it is a coroutine function: what that returns is no answer, but true.

    Nor may it take other arguments.
    """
    if any(map(inspect.iscoroutinefunction, (function, type(function).__call__))):
        raise InvalidArgument(
            f"{what} {function_name(function)} is a coroutine function",
            "a function that answers at once; wait for what it needs before",
        )
    try:
        inspect.signature(function).bind(*takes)
    except ValueError:  # some that are written in C do not say what they take
        return function
    except TypeError as error:
        told = f"{what} {function_name(function)}: {error}"
        raise InvalidArgument(told, f"a function of {' and '.join(takes)}") from None
    return function


def function_name(function: Callable[..., Any]) -> str:
    """The name of a function in a message."""
    return getattr(function, "__qualname__", None) or repr(function)
