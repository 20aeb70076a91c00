"""Limiters of 5 in a second for each clientId, wrong in one way each: `PORT WAY`.

`exact` is right; `clock` counts in seconds of the clock; `workers` has 4 counters that know
nothing of each other, one for each fourth connection; `connections` has one a connection;
`forgets` knows 20 clients, and forgets the one that was not there for longest.
"""

import sys
import time
from collections import OrderedDict

from limiter_process import LIMIT, WINDOW_S, lock, serve

PORT, WAY = int(sys.argv[1]), sys.argv[2]
KNOWN, WORKERS = 20, 4

known = OrderedDict()


def has_room(client, connection):
    """Admit a request, and count it, or not."""
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


serve(PORT, has_room)
