"""A limiter in one process that is wrong about its past after a start: `PORT forgets|distrusts`.

It keeps at most 5 in any second for each clientId, in memory. One that forgets begins anew after
each start; one that distrusts rejects everybody for a second after each start but the first, for
which it leaves a file in the current folder.
"""

import sys
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PORT, MODE = int(sys.argv[1]), sys.argv[2]
LIMIT, WINDOW_S = 5, 1.0
BEGAN = Path("began")
STARTED_AGAIN = BEGAN.exists()
FULL_UNTIL = time.monotonic() + WINDOW_S if MODE == "distrusts" and STARTED_AGAIN else 0.0

lock = threading.Lock()
admitted = defaultdict(list)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        (client,) = parse_qs(urlsplit(self.path).query)["clientId"]
        with lock:
            now = time.monotonic()
            times = admitted[client] = [t for t in admitted[client] if t > now - WINDOW_S]
            passes = now >= FULL_UNTIL and len(times) < LIMIT
            if passes:
                times.append(now)
        self.send_response(200 if passes else 429)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


if MODE == "distrusts":
    BEGAN.touch()
Server(("127.0.0.1", PORT), Handler).serve_forever()
