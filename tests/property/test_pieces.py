"""A log has the same verdict in every field, in any number of pieces, as in one."""

import pickle
import random
from collections import Counter
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from rateproof.events import EventLog, costs, open_log_writer
from rateproof.events.parquet_reader import opened, read_parquet
from rateproof.events.splitter import Splitter, split
from rateproof.events.workplace import Workplace
from rateproof.prove import ALL_CLAIMS, CLAIMS, OVER_ADMISSION, WRONG_REJECTION, judge
from tests.property.test_screen import random_log, random_policy
from tests.samples import samples

pytest.importorskip("rateproof._native", reason="the native core is not built")


pytestmark = pytest.mark.usefixtures("every_log_is_long")


def judged_in_pieces(path, count, rows_at_once, memory, policy, **options):
    """The verdict on a file, and how many of its pieces have requests."""
    folder = path.with_suffix(f".{count}")
    folder.mkdir()
    with opened(path) as file:
        into = Splitter(Workplace(folder), count, "log", memory)
        log = split(file, into, rows_at_once, lambda rows: rows, print)
        log.run = elsewhere if count % 2 else log.run
    return judge(log, policy, **options), len(log.files)


def elsewhere(work, numbers):
    """As by other processes, the last piece first."""
    for number in reversed(numbers):
        yield number, pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(work))(number)))


def whole_and_file(rng, tmp_path, seed):
    """A policy, a log of one run, and a file with it in row groups of any size."""
    policy, log = whole_log(rng)
    return policy, file_of(rng, log, tmp_path, seed)


def whole_log(rng):
    """A policy, and a log of one run."""
    policy = random_policy(rng)
    log = random_log(rng, policy)
    while log.same("run") is None:
        log = random_log(rng, policy)
    log.extend([event for event in random_log(rng, policy) if event.run == log[0].run])
    return policy, log


def file_of(rng, log, tmp_path, seed):
    """A file of a log, in row groups of any size."""
    first, path = tmp_path / "first.parquet", tmp_path / f"{seed}.parquet"
    with open_log_writer(first, log.metadata) as writer:
        writer.write(log)
    pq.write_table(pq.read_table(first), path, row_group_size=rng.choice((1, 7, 50, 1_000)))
    return path


def test_pieces_matter_to_no_field_of_a_verdict(tmp_path):
    seen = Counter()
    for seed in range(samples(4)):
        rng = random.Random(seed)
        policy, path = whole_and_file(rng, tmp_path, seed)
        options = {
            "claims": rng.choice(
                (CLAIMS, ALL_CLAIMS, frozenset({OVER_ADMISSION}), frozenset({WRONG_REJECTION}))
            ),
            "budget": rng.choice((5_000_000, 5_000_000, 60, 0)),
            "tolerance_ppm": rng.choice((500, 0, 100_000)),
            "denied_count": rng.random() < 0.2,
            "fresh_keys": rng.random() < 0.2,
        }
        whole = judge(read_parquet(path), policy, **options)
        for count in (rng.choice((1, 2, 3)), rng.choice((5, 64))):
            rows = rng.choice((1, 20, 10_000))
            most = max(Counter(event.key for event in read_parquet(path)).values())
            few = costs.BASE + costs.BYTES_IN_TURN * max(1 + seed % 40, most)
            memory = few if (seed + count) % 2 else None
            verdict, used = judged_in_pieces(path, count, rows, memory, policy, **options)
            assert verdict.to_json() == whole.to_json(), (seed, count)
            assert verdict == whole
            seen[whole.outcome] += used > 1
            seen["headers"] += used > 1 and whole.headers is not None and whole.headers.broken > 0
    assert seen["violated"] > 1
    assert samples(4) < 40 or seen["inconclusive"] > 1
    assert samples(4) < 400 or seen["headers"] > 1


def test_the_order_of_rows_matters_to_no_field_of_a_verdict(tmp_path):
    seen = Counter()
    for seed in range(samples(8)):
        rng = random.Random(seed)
        policy, log = whole_log(rng)
        # Of requests that are the same but for their numbers, which is shown is not told.
        events = {(event.key, event.sent_ns, event.received_ns): event for event in log}.values()
        events = [replace(event, sequence=at + 1) for at, event in enumerate(events)]
        claims = rng.choice((CLAIMS, ALL_CLAIMS))
        verdicts = []
        for count in (0, 0, 1, rng.choice((2, 64))):
            shuffled = EventLog(log.metadata)
            shuffled.extend(events)
            if count:
                path = file_of(rng, shuffled, tmp_path, f"{seed} {count}")
                verdict, _ = judged_in_pieces(path, count, 20, None, policy, claims=claims)
            else:
                verdict = judge(shuffled, policy, claims=claims)
            verdicts.append(verdict.to_json())
            rng.shuffle(events)
        for verdict in verdicts:
            assert verdict == verdicts[0], seed
        seen["several"] += len(verdicts[0]["evidence"]) > 1
    assert seen["several"]
