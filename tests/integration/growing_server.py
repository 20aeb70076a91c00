"""Limiters of 5 in a second for each clientId, wrong in one way each: `PORT WAY`.

`exact` is right; `clock` counts in seconds of the clock; `workers` has 4 counters that know
nothing of each other, one for each fourth connection; `connections` has one a connection;
`forgets` knows 20 clients, and forgets the one that was not there for longest.
"""

import sys
import threading
import time
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import parse_qs, urlsplit

PORT, WAY = int(sys.argv[1]), sys.argv[2]
LIMIT, WINDOW_S, KNOWN, WORKERS = 5, 1.0, 20, 4

lock = threading.Lock()
connections = count()
known = OrderedDict()


def has_room(client, connection):
    """Whether a request passes; if so it is counted."""
    if WAY == "workers":
        client += f" {connection % WORKERS}"
    elif WAY == "connections":
        client += f" {connection}"
    with lock:
        now = time.monotonic()
        since = now - now % WINDOW_S if WAY == "clock" else now - WINDOW_S
        times = known[client] = [t for t in known.get(client, ()) if t > since]
        known.move_to_end(client)
        while WAY == "forgets" and len(known) > KNOWN:
            known.popitem(last=False)
        passes = len(times) < LIMIT
        if passes:
            times.append(now)
    return passes


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.number = next(connections)

    def do_GET(self):
        (client,) = parse_qs(urlsplit(self.path).query)["clientId"]
        self.send_response(200 if has_room(client, self.number) else 429)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 512


Server(("127.0.0.1", PORT), Handler).serve_forever()
