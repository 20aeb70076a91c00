"""The little limiters of these tests: 5 in any second for each clientId, in memory."""

import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import parse_qs, urlsplit

LIMIT, WINDOW_S = 5, 1.0

lock = threading.Lock()
admitted = defaultdict(list)


def has_room(client):
    """Admit a request of this client, and count it, or not."""
    with lock:
        now = time.monotonic()
        times = admitted[client] = [t for t in admitted[client] if t > now - WINDOW_S]
        passes = len(times) < LIMIT
        if passes:
            times.append(now)
    return passes


def serve(port, passes):
    """Answer for ever: 200 where `passes(client, number of the connection)`, else 429."""
    connections = count()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self):
            super().setup()
            self.number = next(connections)

        def do_GET(self):
            (client,) = parse_qs(urlsplit(self.path).query)["clientId"]
            self.send_response(200 if passes(client, self.number) else 429)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 512

    Server(("127.0.0.1", port), Handler).serve_forever()
