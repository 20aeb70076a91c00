"""A limiter that one kind of traffic kills: `PORT requests|together K`.

It keeps at most 5 in any second for each clientId. Its process ends with code 7 at the request
of one client that is its (K+1)-th, or when more than K requests are being answered at once.
"""

import os
import sys
import threading
import time
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PORT, MODE, K = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
LIMIT, WINDOW_S = 5, 1.0

lock = threading.Lock()
admitted = defaultdict(list)
asked = Counter()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        (client,) = parse_qs(urlsplit(self.path).query)["clientId"]
        kind = client if MODE == "requests" else None
        with lock:
            asked[kind] += 1
            if asked[kind] > K:
                os._exit(7)
        if MODE == "together":
            time.sleep(0.03)
            with lock:
                asked[kind] -= 1
        with lock:
            now = time.monotonic()
            times = admitted[client] = [t for t in admitted[client] if t > now - WINDOW_S]
            passes = len(times) < LIMIT
            if passes:
                times.append(now)
        self.send_response(200 if passes else 429)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 512


Server(("127.0.0.1", PORT), Handler).serve_forever()
