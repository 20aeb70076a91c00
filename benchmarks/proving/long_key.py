"""One key with a long log: what each algorithm's search costs as it grows."""

import time
from collections.abc import Iterator
from statistics import median

from enforcing.measuring import Figure, figure

from proving.logs import limited
from rateproof.events import EventLog
from rateproof.policy import Policy
from rateproof.prove import judge

SHORT, LONG = 100_000, 1_000_000
ALGORITHMS = ("sliding-log", "fixed-window", "first-hit-window", "sliding-counter", "token-bucket")


def measure(rounds: int, _events: int, _keys: int) -> Iterator[Figure]:
    """Seconds for a million requests, and how many times that of a hundred thousand it is."""
    short, long = limited(1, SHORT), limited(1, LONG)
    for algorithm in ALGORITHMS:
        policy = Policy.parse(f"{algorithm} 5 per 5s")
        took = {len(log): median(_spent(log, policy, rounds)) for log in (short, long)}
        growth = took[LONG] / took[SHORT]
        name = f"{LONG} requests of one key, {algorithm}: {growth:.1f} times {SHORT}"
        yield figure(name, took[LONG], "s")


def _spent(log: EventLog, policy: Policy, rounds: int) -> Iterator[float]:
    for _ in range(rounds):
        start = time.process_time()
        judge(log, policy)
        yield time.process_time() - start
