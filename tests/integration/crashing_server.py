"""A limiter that one kind of traffic kills: `PORT requests|together K`.

Its process ends with code 7 at the request of one client that is its (K+1)-th, or when more
than K requests are being answered at once.
"""

import os
import sys
import time
from collections import Counter

from limiter_process import has_room, lock, serve

PORT, MODE, K = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])

asked = Counter()


def passes(client, _):
    kind = client if MODE == "requests" else None
    with lock:
        asked[kind] += 1
        if asked[kind] > K:
            os._exit(7)
    if MODE == "together":
        time.sleep(0.3)  # also where a machine is slow, they meet
        with lock:
            asked[kind] -= 1
    return has_room(client)


serve(PORT, passes)
