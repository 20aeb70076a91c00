"""The recipes in examples/gateways, as they stand there, in front of a real application."""

import http.client
import os
import re
import signal
import threading
import time
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.service import Service

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/enforce/gateways.md"


class Application(BaseHTTPRequestHandler):
    """Keeps the path of each request; answers 200, and 403 below /forbidden."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.send_response(403 if self.path.startswith("/forbidden") else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, *words):
        """Say nothing."""


class Seen(ThreadingHTTPServer):
    """Requests that came to the application."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Application)
        self.seen = []

    def handle_error(self, request, client_address):
        """Say nothing of connections that a gateway resets."""


class Front:
    """A gateway to be asked, the service behind it, and what the application saw."""

    def __init__(self, service, application, port):
        self.service, self.application, self.port = service, application, port

    def recipe(self, name):
        """A recipe, for the ports of this one; it gives the service more than half a second."""
        text = (ROOT / "examples/gateways" / name).read_text()
        return self.with_ports(re.sub(r"\b(500ms|0\.5s)", "3s", text))

    def with_ports(self, text):
        """A text in which the page's ports become those of this one."""
        here = {
            "8090": self.service.port,
            "9000": self.application.server_address[1],
            "8080": self.port,
        }
        if self.service.place[4]:
            here["8091"] = self.service.rls_port
        return re.sub(rf"\b({'|'.join(here)})\b", lambda found: str(here[found[0]]), text)

    def ask(self, path="/", method="GET", body=None, **fields):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with closing(connection):
            headers = {name.replace("_", "-"): value for name, value in fields.items()}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, told, answer.read()

    def until_ready(self, process):
        """Wait for the gateway and for what it asks; a key of its own is used up."""
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if self.ask("/forbidden", X_Api_Key="waits")[0] in {403, 429}:
                    self.application.seen.clear()
                    return
            except OSError:
                pass
            time.sleep(0.05)
        pytest.fail(f"the gateway does not answer: {process.poll()}")


@contextmanager
def front(folder, port, *lines):
    """The service and an application, for a gateway at a port; with more lines in [service]."""
    settings = PAGE.read_text().partition("```toml\n")[2].partition("```")[0]
    settings = settings.replace("5 per 5s", "5 per hour") + "\n".join(lines) + "\n"
    application = Seen()
    threading.Thread(target=application.serve_forever, daemon=True).start()
    service = Service(folder, settings)
    try:
        yield Front(service, application, port)
    finally:
        service.process.kill()
        service.stop()
        application.shutdown()
        application.server_close()


def check_that_it_limits(front, *, tells_what_is_left=True, down=503, hangs=503):
    """Five pass, a sixth is told 429 and when to come back, and without the service none passes.

    Nor does one while the service hangs: it is told so long before the gateway's own timeouts end.
    """
    path = "/users/1?clientId=a%20b"
    told = [front.ask(path, X_Api_Key="a") for _ in range(4)]
    told.append(front.ask(path, "POST", b"text", X_Api_Key="a"))
    denied = [front.ask(path, X_Api_Key="a"), front.ask(path, "POST", b"text", X_Api_Key="a")]
    assert [status for status, _, _ in told + denied] == [200] * 5 + [429] * 2
    assert front.application.seen == [path] * 5
    for _, fields, _ in denied:
        assert 3_000 < int(fields["retry-after"]) <= 3_600
        assert fields["ratelimit-policy"] == '"api";q=5;w=3600'
        assert fields["ratelimit"].startswith('"api";r=0;t=3')
    if tells_what_is_left:
        left = [re.search(r"r=(\d)", fields["ratelimit"])[1] for _, fields, _ in told]
        assert left == ["4", "3", "2", "1", "0"]
    # Another client has a limit of its own; so has who has no key, by the address.
    assert front.ask(X_Api_Key="b")[0] == 200
    assert [front.ask()[0] for _ in range(6)] == [200] * 5 + [429]
    assert front.ask("/forbidden", X_Api_Key="c")[0] == 403, "the application's own word"
    front.application.seen.clear()
    front.service.process.send_signal(signal.SIGSTOP)
    # A thread may answer until all have stopped.
    os.waitid(os.P_PID, front.service.process.pid, os.WSTOPPED)
    assert front.ask(X_Api_Key="d")[0] == hangs
    front.service.process.kill()
    front.service.process.wait(60)
    assert front.ask(X_Api_Key="d")[0] == down
    assert front.application.seen == []
