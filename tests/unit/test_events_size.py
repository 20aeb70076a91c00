"""A Parquet log takes at most 16 bytes an event, and writing it takes no memory that grows.

The events are drawn as an engine sees them: every request of many clients in the order
in which their answers arrived, with times that differ in every digit.
"""

import heapq
import random
import subprocess
import sys
import textwrap
from array import array

import pytest

from rateproof.events import EventLog, open_log_writer
from rateproof.simulate.identities import identity_of

NAN, NULL = float("nan"), -(2**63)
START_NS = 81_234_567_890_123


def log_of(rows, clients):
    """Rows of (client, intended, sent, received, done), of which each client has 5 admitted."""
    keys = [identity_of("size", number) for number in range(clients)]
    columns = {
        name: array("q")
        for name in (
            "intended_ns",
            "sent_ns",
            "received_ns",
            "done_ns",
            "status",
            "sequence",
            "connection",
            "bytes",
            "ratelimit_remaining",
        )
    }
    key, outcome, retry, reset = array("i"), array("i"), array("d"), array("d")
    opened: dict[int, tuple[int, int]] = {}
    numbered = sorted(range(len(rows)), key=lambda index: rows[index][2])
    sequence = {index: number for number, index in enumerate(numbered)}
    for index, (client, intended, sent, received, done) in enumerate(rows):
        since, count = opened.get(client, (received, 0))
        if received - since >= 5_000_000_000:
            since, count = received, 0
        opened[client] = since, count + 1
        admitted, left_s = count < 5, 5 - (received - since) // 1_000_000_000
        values = (intended, sent, received, done, 200 if admitted else 429, sequence[index])
        values += (client, 21 if admitted else 43, max(0, 4 - count))
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
        key.append(client)
        outcome.append(not admitted)
        retry.append(NAN if admitted else left_s)
        reset.append(left_s)
    columns |= {"key": (key, keys), "outcome": (outcome, ["admitted", "rejected"])}
    columns |= {"retry_after_s": retry, "ratelimit_reset_s": reset}
    return EventLog.from_columns(columns, len(rows))


def saturating(rows, clients=64, service_ns=10_000):
    """A closed loop without pauses against a server that answers 100,000 a second."""
    rng, now = random.Random(1), START_NS
    waiting = [(now + number * 900, number, now) for number in range(clients)]
    heapq.heapify(waiting)
    done = []
    for _ in range(rows):
        _, client, sent = heapq.heappop(waiting)
        now += max(600, int(rng.gauss(service_ns, service_ns / 3)))
        received = max(now, sent)
        end = received + rng.randrange(80, 400)
        done.append((client, sent - rng.randrange(150, 900), sent, received, end))
        sent = end + rng.randrange(500, 3000)
        heapq.heappush(waiting, (sent + int(rng.uniform(0, 200_000)), client, sent))
    return done


def thinking(rows, clients=10_000, mean_ns=1_000_000_000):
    """Clients that pause for a second or so, and answers that take a fifth of a millisecond."""
    rng = random.Random(2)
    due = [(START_NS + int(rng.expovariate(1 / mean_ns)), number) for number in range(clients)]
    heapq.heapify(due)
    done = []
    for _ in range(rows):
        intended, client = heapq.heappop(due)
        sent = intended + int(rng.expovariate(1 / 30_000))
        received = sent + int(rng.lognormvariate(12.2, 0.4))
        end = received + rng.randrange(200, 2000)
        done.append((client, intended, sent, received, end))
        heapq.heappush(due, (end + int(rng.expovariate(1 / mean_ns)), client))
    return sorted(done, key=lambda row: row[4])


@pytest.mark.parametrize(
    ("draw", "clients", "rows"),
    [
        pytest.param(saturating, 64, 100_000, id="saturate"),
        pytest.param(thinking, 10_000, 300_000, id="think", marks=pytest.mark.slow),
    ],
)
def test_an_event_takes_at_most_16_bytes_on_disk(tmp_path, draw, clients, rows):
    path = tmp_path / "run.parquet"
    with open_log_writer(path, {}) as writer:
        writer.write(log_of(draw(rows), clients))
    assert path.stat().st_size / rows <= 16


GROW = textwrap.dedent("""
    import random, sys
    from array import array
    from rateproof.events import EventLog, open_log_writer

    def resident_mb():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096 / 1e6

    rng, batch = random.Random(1), 8_192
    keys = [b"client-%d" % number for number in range(1000)]
    codes = array("i", rng.choices(range(1000), k=batch))
    status = array("q", rng.choices((200, 429), k=batch))
    peaks, peak = [], 0
    with open_log_writer(sys.argv[1], {}) as writer:
        for number in range(2_000_000 // batch):
            start = number * batch * 10_000
            sent = array("q", [start + i * 10_000 + rng.randrange(9_000) for i in range(batch)])
            done = array("q", [t + 20_000 for t in sent])
            writer.write(EventLog.from_columns({
                "key": (codes, keys),
                "sent_ns": sent,
                "received_ns": done,
                "done_ns": done,
                "status": status,
                "outcome": (array("i", [0]) * batch, ["admitted"]),
                "sequence": array("q", range(number * batch, (number + 1) * batch)),
            }, batch))
            peak = max(peak, resident_mb())
            if number % 80 == 79:
                peaks.append(peak)
                peak = 0
    print(*peaks)
""")


@pytest.mark.slow
def test_two_million_events_take_no_more_memory_than_the_first_third(tmp_path):
    path = tmp_path / "run.parquet"
    command = [sys.executable, "-c", GROW, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    first, *later = map(float, ended.stdout.split())
    assert len(later) == 2
    assert max(later) < first + 40, "MB"
