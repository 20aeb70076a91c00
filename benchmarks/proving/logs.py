"""Logs of which the truth is known."""

import random
from array import array
from math import nan

from rateproof.events import ADMITTED, REJECTED, Event, EventLog
from rateproof.policy import Policy

LIMIT, WINDOW_NS = 5, 5_000_000_000
PACE_NS = 400_000_000
POLICY = Policy.parse("5 per 5s")
START_NS = 1_000_000_000_000_000

_LATENCY_NS = 2_000_000
_DRAWS = 1 << 16


def limited(keys: int, requests: int, leaks: int = 0) -> EventLog:
    """Clients that ask at random times for 2.5 times what a limiter grants, 5 per 5 s.

    Args:
        keys: how many clients.
        requests: of each.
        leaks: how often, at even distances, the limiter admits one of them too many; 0: it is right.
    """
    rng = random.Random(1)
    arrivals = [rng.randrange(PACE_NS) for _ in range(_DRAWS)]
    ways = [rng.randrange(25_000, _LATENCY_NS) for _ in range(_DRAWS)]
    decided = [[START_NS - 2 * WINDOW_NS] * LIMIT for _ in range(keys)]
    ints = {name: array("q") for name in ("sent_ns", "received_ns", "done_ns", "status")}
    outcomes, retry_after_s = array("i"), array("d")
    sent, received, done, status = (column.append for column in ints.values())
    at, due = 0, [(2 * leak + 1) * requests // (2 * leaks) for leak in range(leaks)][::-1]
    for turn in range(requests):
        base_ns = START_NS + turn * PACE_NS
        for ring in decided:
            at = (at + 40_503) % _DRAWS
            instant_ns = base_ns + arrivals[at]
            rejected = instant_ns - ring[0] < WINDOW_NS
            if due and turn >= due[-1] and instant_ns - ring[0] < WINDOW_NS // 2:
                due.pop()
                rejected = False
            elif not rejected:
                del ring[0]
                ring.append(instant_ns)
            sent(instant_ns - ways[at - 7])
            received(instant_ns + ways[at - 11])
            done(instant_ns + ways[at - 11] + 40_000)
            status(429 if rejected else 200)
            outcomes.append(rejected)
            retry_after_s.append(1.0 if rejected else nan)
    rows = keys * requests
    columns = {
        **ints,
        "key": (array("i", range(keys)) * requests, [b"client-%d" % n for n in range(keys)]),
        "outcome": (outcomes, [ADMITTED, REJECTED]),
        "retry_after_s": retry_after_s,
        "sequence": array("q", range(rows)),
        "intended_ns": ints["sent_ns"],
        "connection": array("q", range(1, keys + 1)) * requests,
    }
    return EventLog.from_columns(columns, rows, {"fresh_keys": True})


def overlapping(requests: int, limit: int, seed: int) -> EventLog:
    """One client at a right limiter of `limit` per second; answers take up to the whole log."""
    rng = random.Random(seed)
    half_ns = requests * 500_000_000 // limit
    jobs = []
    for number in range(requests):
        instant_ns = START_NS + number // limit * 1_000_000_000 + rng.randrange(1_000)
        jobs.append((instant_ns - rng.randrange(half_ns), instant_ns + rng.randrange(half_ns)))
    return admitted(jobs)


def short_and_long(requests: int, limit: int, crowded: int, seed: int) -> EventLog:
    """One client at `limit` per second: every search that is in a hurry errs at every step.

    Half the answers took a ms, and come `limit` at a time, 2.5 s apart; half took as
    long as the log. Between the short ones there is room for as many long ones, but
    at a time that the earliest deadline first does not choose.

    Args:
        requests: how many.
        limit: admissions a second.
        crowded: how many more long ones there are, for which there is no room.
        seed: of the draws.
    """
    rng = random.Random(seed)
    half = requests // 2
    whole_ns = half // limit * 2_500_000_000
    jobs = []
    for number in range(half):
        instant_ns = START_NS + number // limit * 2_500_000_000
        jobs.append((instant_ns - rng.randrange(500_000), instant_ns + rng.randrange(500_000)))
    late_ns = START_NS + whole_ns - 1_250_000_000
    long = [(START_NS - rng.randrange(1_000_000), late_ns) for _ in range(half)]
    return admitted(jobs + long + long[:crowded])


def admitted(jobs: list[tuple[int, int]]) -> EventLog:
    """Requests of one key that were all let through."""
    log = EventLog({"fresh_keys": True})
    for sent_ns, received_ns in sorted(jobs):
        log.append(
            Event(
                key=b"one", sent_ns=sent_ns, received_ns=received_ns, status=200, outcome=ADMITTED
            )
        )
    return log
