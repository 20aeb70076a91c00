"""A line on stderr for each request: what was asked and answered, not by whom."""

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from rateproof.output import say

if TYPE_CHECKING:
    from _typeshed import OptExcInfo

__all__ = ["AccessLog"]

_MS_NS = 1_000_000


class AccessLog:
    """A WSGI application that notes what another one answered.

    The line has the peer's address, the method, the path, the status and the
    milliseconds that the answer took. It has no query and no field, where
    identities are, and what clients choose is escaped: no path writes a line.

    Args:
        app: answers the requests.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        began_ns, code = time.monotonic_ns(), "-"

        def start(
            status: str, headers: list[tuple[str, str]], exc_info: "OptExcInfo | None" = None, /
        ) -> Callable[[bytes], object]:
            nonlocal code
            code = status.partition(" ")[0]
            return start_response(status, headers, exc_info)

        try:
            return self._app(environ, start)
        finally:
            took_ms = (time.monotonic_ns() - began_ns) / _MS_NS
            what = f"{environ.get('REQUEST_METHOD')} {environ.get('PATH_INFO')}"
            say(f"{environ.get('REMOTE_ADDR')} {what!a} {code} {took_ms:.3f} ms")
