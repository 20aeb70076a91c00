"""Metrics as text for Prometheus: the exposition format 0.0.4."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from rateproof.errors import Unreachable

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[Mapping[str, str], int]
"""Labels, and a number."""


def family(name: str, kind: str, meaning: str, samples: Iterable[Sample]) -> str:
    """The lines of one metric: what it is, and its samples."""
    lines = [f"# HELP rateproof_{name} {meaning}", f"# TYPE rateproof_{name} {kind}"]
    for labels, value in samples:
        pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(
            f"rateproof_{name}{{{pairs}}} {value}" if pairs else f"rateproof_{name} {value}"
        )
    return "\n".join([*lines, ""])


@contextmanager
def served(page: Callable[[], str], port: int | None) -> Iterator[None]:
    """Serve a page as `/metrics` on the loopback while the body runs; nowhere if there is no port.

    Raises:
        Unreachable: the port is taken.
    """
    if port is None:
        yield
        return
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page().encode() if self.path == "/metrics" else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody asked for a log."""

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise Unreachable(f"cannot listen on 127.0.0.1:{port}: {error.strerror}") from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
