"""An API that knows its clients and limits each to 5: `PORT KEYS exact|fixed WINDOW_S`.

It answers 401 to whoever brings no key of the file in `Authorization`, before its limiter counts.
"""

import sys
import threading
import time
from collections import Counter, defaultdict, deque
from pathlib import Path

from flask import Flask, request

PORT, KEYS, KIND, WINDOW_S = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
LIMIT = 5
KNOWN = frozenset(KEYS.read_text(encoding="ascii").split("\n")) - {""}

app = Flask(__name__)
lock = threading.Lock()
admitted: dict[str, deque[float]] = defaultdict(deque)
counted: Counter[tuple[str, int]] = Counter()


def has_room(key: str) -> bool:
    """Count a request, and tell if it may pass."""
    if KIND == "fixed":
        window = key, int(time.monotonic() / WINDOW_S)
        counted[window] += 1
        return counted[window] <= LIMIT
    now, log = time.monotonic(), admitted[key]
    while log and now - log[0] >= WINDOW_S:
        log.popleft()
    if len(log) >= LIMIT:
        return False
    log.append(now)
    return True


@app.route("/", methods=["GET", "POST"])
def answer() -> tuple[str, int]:
    """Let known clients in, as often as they may."""
    key = request.headers.get("Authorization", "")
    if key not in KNOWN:
        return "who are you?", 401
    with lock:
        return ("welcome", 200) if has_room(key) else ("later", 429)


app.run(port=PORT, threaded=True)
