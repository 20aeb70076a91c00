"""Traffic through a real nginx in front of a right limiter, judged by every family.

What the native core is worth shows here: without its search of orders, of windows or of header
fields, a log of these takes three times as long and more than two seconds.
"""

import time
from collections.abc import Iterator
from statistics import median

from enforcing.measuring import Figure, figure

from proving.record_nginx import LOGS
from rateproof.events import EventLog, read_log
from rateproof.policy import ALGORITHMS, Policy
from rateproof.prove import ALL_CLAIMS, Verdict, judge


def measure(rounds: int, _events: int, _keys: int) -> Iterator[Figure]:
    """Processor seconds for each log and algorithm; the name says what it came to.

    A sliding log keeps what windows promise. Under a bucket or a queue many keys are violated,
    and it takes as long to find the fewest requests that show it.
    """
    for path in sorted(LOGS.glob("*.parquet")):
        log = read_log(path)
        for algorithm in ALGORITHMS:
            policy = Policy.parse(f"{algorithm} 5 per 5s")
            spent, verdict = _judged(log, policy, rounds)
            title = f"{path.stem}, {len(log)} requests, {algorithm}: {verdict.outcome}"
            yield figure(title, spent, "s", wanted=None if verdict.evidence else "< 2")


def _judged(log: EventLog, policy: Policy, rounds: int) -> tuple[float, Verdict]:
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        verdict = judge(log, policy, claims=ALL_CLAIMS)
        spent.append(time.process_time() - start)
    return median(spent), verdict
