"""Which route of a FastAPI application answers a request: the same name in every worker."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from re import Pattern
from typing import NamedTuple, Self

from starlette.routing import BaseRoute, Mount, compile_path

from rateproof.enforce.http.request import Scope

__all__ = ["Outermost", "route_name"]


class Outermost(NamedTuple):
    """The application that a request came to first: its routes, and where it is mounted."""

    routes: Sequence[BaseRoute]
    root: str

    @classmethod
    def of(cls, scope: Scope) -> Self:
        """From the scope as this application has it."""
        return cls(scope["app"].routes, scope.get("root_path", ""))


def route_name(scope: Scope, outermost: Outermost) -> str:
    """The path as it was declared, from the outermost application on, and the function.

    No part of it is a client's choice: where a path has parameters they stand
    for their values. So a mount that is not found is left out, for what the
    request calls it may be such a value.

    Args:
        scope: of the request, as a dependency sees it.
        outermost: what it was when the outermost application had it.
    """
    endpoint = scope["endpoint"]
    name = getattr(endpoint, "__qualname__", type(endpoint).__qualname__)
    return f"{_mount(scope, outermost)}{_path(scope)} {endpoint.__module__}.{name}"


def _path(scope: Scope) -> str:
    """The declared path with the prefixes of all routers that it was included by.

    Newer versions of FastAPI have these not in the route, which can be included
    twice, but in what stands for it in each router.
    """
    included = scope.get("fastapi", {}).get("effective_route_context")
    path: str = getattr(included, "path", "") or getattr(scope.get("route"), "path", "")
    return path


def _mount(scope: Scope, outermost: Outermost) -> str:
    root: str = scope.get("root_path", "")
    mounted = root.removeprefix(outermost.root)
    if not mounted:
        return ""
    return next((path for path in _mounts(outermost.routes) if _compiled(path).match(mounted)), "")


def _mounts(routes: Iterable[BaseRoute], before: str = "") -> Iterator[str]:
    for route in routes:
        if isinstance(route, Mount):
            yield before + route.path
            yield from _mounts(route.routes, before + route.path)


@lru_cache(1024)
def _compiled(path: str) -> Pattern[str]:
    return compile_path(path)[0]
