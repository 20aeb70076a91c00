"""An API with a login: `PORT`. POST /session gives a cookie; /search wants it, and limits exactly.

Who brings a `clientId` is limited by that, who brings none by the session.
"""

import secrets
import sys
import threading
import time
from collections import defaultdict, deque

from flask import Flask, Response, request

LIMIT, WINDOW_S = 5, 2.0

app = Flask(__name__)
lock = threading.Lock()
sessions = set[str]()
admitted: dict[str, deque[float]] = defaultdict(deque)


@app.post("/session")
def login() -> Response:
    """Log in whoever says a name."""
    response = Response("welcome")
    if request.form.get("user"):
        session = secrets.token_hex(16)
        sessions.add(session)
        response.set_cookie("session", session)
    return response


@app.get("/search")
def search() -> tuple[str, int]:
    """Answer those who have logged in, as often as they may."""
    session = request.cookies.get("session", "")
    if session not in sessions:
        return "log in first", 401
    now, key = time.monotonic(), request.args.get("clientId", session)
    with lock:
        log = admitted[key]
        while log and now - log[0] >= WINDOW_S:
            log.popleft()
        if len(log) >= LIMIT:
            return "later", 429
        log.append(now)
    return "found", 200


app.run(port=int(sys.argv[1]), threaded=True)
