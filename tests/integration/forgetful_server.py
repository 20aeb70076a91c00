"""A limiter in one process that is wrong about its past after a start: `PORT forgets|distrusts`.

One that forgets begins anew after each start; one that distrusts rejects everybody for a second
after each start but the first, for which it leaves a file in the current folder.
"""

import sys
import time
from pathlib import Path

from limiter_process import WINDOW_S, has_room, serve

PORT, MODE = int(sys.argv[1]), sys.argv[2]
BEGAN = Path("began")

full_until = 0.0
if MODE == "distrusts":
    full_until = time.monotonic() + WINDOW_S if BEGAN.exists() else 0.0
    BEGAN.touch()

serve(PORT, lambda client, _: time.monotonic() >= full_until and has_room(client))
