"""A client that does not fit in memory is judged in stretches of its time, never otherwise than as a whole."""

import random
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from rateproof.clock import EXACT
from rateproof.events import (
    ADMITTED,
    REJECTED,
    UNKNOWN,
    Event,
    EventLog,
    costs,
    open_log_writer,
    splitter,
)
from rateproof.events.parquet_reader import opened, read_parquet
from rateproof.events.pieces import Pieces
from rateproof.events.splitter import Splitter, split
from rateproof.events.workplace import Workplace
from rateproof.policy import Policy
from rateproof.prove import (
    CLAIMS,
    CONSISTENT,
    INCONCLUSIVE,
    OVER_ADMISSION,
    VIOLATED,
    WRONG_REJECTION,
    judge,
)
from rateproof.prove.judgement import ruling
from rateproof.prove.keys import KeyLog
from rateproof.prove.power.pressure import Pressure
from rateproof.prove.screen import Suspect
from rateproof.prove.trial import Trial
from tests.property.test_pieces import elsewhere, file_of
from tests.property.test_screen import decide, random_policy
from tests.samples import samples

pytest.importorskip("rateproof._native", reason="the native core is not built")


pytestmark = pytest.mark.usefixtures("every_log_is_long")


def long_log(rng, policy):
    """A log of a busy client and a calm one, in one run, decided by a sliding log, with few faults."""
    log, events = EventLog({"fresh_keys": rng.random() < 0.7}), []
    longest, pace = rng.choice((0, 2, 6, 15)), rng.choice((1, 2, 4))
    wrong, lost = rng.choice((0, 0, 0.005)), rng.choice((0, 0, 0, 0.01))
    for key, requests in ((b"busy", rng.choice((60, 120))), (b"calm", 5)):
        now, admitted = rng.randint(-50, 50), []
        for _ in range(requests):
            now += rng.randint(0, 2 * pace) + 80 * (rng.random() < 0.02)
            took = rng.randint(0, longest)
            outcome = decide(rng, admitted, now, policy)
            if rng.random() < wrong:
                outcome = rng.choice((ADMITTED, REJECTED))
            status, sent = 200 if outcome == ADMITTED else 429, now - rng.randint(0, took)
            event = Event(
                key=key, sent_ns=sent, received_ns=sent + took, status=status, outcome=outcome,
            )  # fmt: skip
            if rng.random() < lost:
                event = replace(event, received_ns=None, status=None, outcome=UNKNOWN)
            events.append(event)
    if rng.random() < 0.5:
        rng.shuffle(events)
    else:
        events.sort(key=lambda event: event.sent_ns)
    log.extend(replace(event, sequence=at + 1) for at, event in enumerate(events))
    return log


def in_stretches(path, each, policy, monkeypatch, **options):
    """The verdict where a key with more requests than `each` is in stretches of about so many."""
    folder = path.with_suffix(f".{each}")
    folder.mkdir()
    monkeypatch.setattr(splitter, "_STRETCHES", 1)
    monkeypatch.setattr(splitter, "_ROWS_TOGETHER", 1 + each % 3)
    with opened(path) as file:
        memory = costs.BASE + costs.BYTES_IN_TURN * each
        log = split(file, Splitter(Workplace(folder), 1, "log", memory), 50, lambda r: r, print)
        log.run = elsewhere if each % 2 else log.run
        return judge(log, policy, **options), len(log._facts.stretches)


def test_no_stretch_is_judged_otherwise_than_the_whole(tmp_path, monkeypatch):
    seen = Counter()
    for seed in range(samples(16)):
        rng = random.Random(seed)
        policy = random_policy(rng)
        path = file_of(rng, long_log(rng, policy), tmp_path, seed)
        options = {
            "claims": rng.choice(
                (CLAIMS, frozenset({OVER_ADMISSION}), frozenset({WRONG_REJECTION}))
            ),
            "tolerance_ppm": rng.choice((500, 0, 100_000)),
            "denied_count": rng.random() < 0.2,
            "fresh_keys": rng.random() < 0.2,
        }
        whole = judge(read_parquet(path), policy, **options)
        each = rng.choice((8, 20, 50))
        verdict, stretches = in_stretches(path, each, policy, monkeypatch, **options)
        told = seed, each, whole.outcome, whole.reasons, verdict.outcome, verdict.reasons
        assert verdict.counts == replace(whole.counts, judged=verdict.counts.judged), told
        assert verdict.counts.judged <= whole.counts.judged, told
        if verdict.outcome == VIOLATED:
            assert whole.outcome == VIOLATED, told
        if verdict.outcome == CONSISTENT:
            assert whole.outcome == CONSISTENT, told
        if stretches:
            seen[verdict.outcome, whole.outcome, options["claims"]] += 1
            for one, other in zip(verdict.pressure, whole.pressure, strict=True):
                assert one.provable == other.provable, told
                assert one.possible == other.possible, told
                if one.margin_ns is not None or (other.margin_ns or 0) < 0:
                    assert one.margin_ns == other.margin_ns, told
                assert one.attempts == other.attempts, told
    outcomes = Counter(verdict for verdict, _, _ in seen.elements())
    assert min(outcomes[INCONCLUSIVE], outcomes[VIOLATED], outcomes[CONSISTENT]) > 0, seen


def test_of_what_lies_around_a_stretch_only_that_is_read_which_matters_to_it(tmp_path, monkeypatch):
    log, read, rows = EventLog({"fresh_keys": True}), Pieces._read, []
    told = {"key": b"busy", "status": 200, "outcome": ADMITTED}
    for at in range(2_000):
        log.append(Event(sequence=at + 1, sent_ns=at * 10, received_ns=at * 10 + 1, **told))

    def noted(pieces, number):
        found = read(pieces, number)
        rows.append((len(pieces.own(number)), len(found)))
        return found

    monkeypatch.setattr(Pieces, "_read", noted)
    with open_log_writer(tmp_path / "log.parquet", log.metadata) as writer:
        writer.write(log)
    in_stretches(tmp_path / "log.parquet", 100, Policy.parse("20 per 100ns"), monkeypatch)
    assert len(rows) >= 20
    most = 2 * 21 + 2 * 2  # in 204 ns before and after it, and what is read together with these
    assert all(own <= seen <= own + most for own, seen in rows)


def test_all_stretches_of_a_key_have_the_means_of_one():
    suspects = [Suspect(load=None, number=number) for number in (7, 7, 9)]
    trial = SimpleNamespace(
        survey=SimpleNamespace(suspects=suspects), log=[1], share=100, budget=0, _in_stretches=True
    )
    left = []
    for _ in Trial._suspects(trial):
        left.append(trial.budget)
        trial.budget -= 60
    assert left == [100, 40, 100]


def test_who_is_cleared_is_not_counted_again_where_another_has_too_many():
    def loaded():
        raise AssertionError("it was loaded")

    policy = Policy.parse("2 per 10ns")
    over = KeyLog(b"over", 0, admitted=[(0, 1), (2, 3), (4, 5)])
    suspects = [Suspect(loaded, tolerated=0), Suspect(lambda: over)]
    survey = SimpleNamespace(suspects=suspects)
    trial = SimpleNamespace(survey=survey, tolerance=EXACT, policy=policy)
    assert ruling._certain(trial, 0, Pressure("", 2, 10, provable=3)) == 3
    suspects[1] = Suspect(loaded, nested=(4,))
    assert ruling._certain(trial, 0, Pressure("", 2, 10, provable=3)) == 4
