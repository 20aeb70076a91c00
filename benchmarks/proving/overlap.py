"""One key of which many answers took long: where the search has to work."""

import time
from collections.abc import Iterator

from enforcing.measuring import Figure, figure

from proving.logs import overlapping, short_and_long
from rateproof.events import EventLog
from rateproof.policy import Policy
from rateproof.prove import judge


def measure(rounds: int, _events: int, _keys: int) -> Iterator[Figure]:
    """The seconds of the slowest of several logs of each kind; the name says what they came to."""
    seeds = range(rounds)
    logs = [overlapping(5_000, 100, seed) for seed in seeds]
    yield _slowest("5000 overlapping, 100 per 1s", logs, Policy.parse("100 per 1s"), "< 1")
    for limit in (1, 5, 20):
        for crowded in (0, 1, limit + 1):
            logs = [short_and_long(1_000, limit, crowded, seed) for seed in seeds]
            title = f"1000 short and log-long, {limit} per 1s, {crowded} too many"
            yield _slowest(title, logs, Policy.parse(f"{limit} per 1s"), "< 5")


def _slowest(title: str, logs: list[EventLog], policy: Policy, wanted: str) -> Figure:
    passed, outcomes = [], set()
    for log in logs:
        start = time.perf_counter()
        verdict = judge(log, policy)
        passed.append(time.perf_counter() - start)
        outcomes |= {verdict.outcome, *verdict.causes}
    shown = ", ".join(sorted(outcomes))
    return figure(f"{title}: {shown}", max(passed), "s", wanted=wanted)
