"""Bodies that no application reads: a connection stays of use only if they are read."""

import threading
from collections.abc import Iterable
from typing import Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

BODY_BYTES: Final = 1 << 20
"""Of a longer body the rest is left unread, and the connection is closed."""

_PIECE_BYTES = 1 << 16
_BODILESS = ("GET", "HEAD")


class BodyReader:
    """A WSGI application that reads what another one leaves of a request's body.

    Without it the HTTP server closes the connection, and a client that is still
    sending then loses the answer. A client that waits to be asked for its body
    (`Expect: 100-continue`) need not send it. At most so many are read at once:
    one comes as slowly as its client likes, and a thread waits for it.
    """

    def __init__(self, app: WSGIApplication, most: int) -> None:
        self._app = app
        self._turns = threading.BoundedSemaphore(most)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        answer = self._app(environ, start_response)
        if has_body(environ):
            self._read(environ)
        return answer

    def _read(self, environ: WSGIEnvironment) -> None:
        if not self._turns.acquire(blocking=False):
            return
        try:
            left, body = BODY_BYTES, environ["wsgi.input"]
            while left > 0 and (piece := body.read(min(left, _PIECE_BYTES))):
                left -= len(piece)
        finally:
            self._turns.release()


def has_body(environ: WSGIEnvironment) -> bool:
    """True of a request with a body that is sent unasked, or may be: not every chunk is told of."""
    told = "CONTENT_LENGTH" in environ or environ["REQUEST_METHOD"] not in _BODILESS
    return told and "HTTP_EXPECT" not in environ
