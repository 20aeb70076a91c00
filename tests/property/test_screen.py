"""A log is judged in the same way with the native screen and without."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from rateproof.events import ADMITTED, REJECTED, UNKNOWN, Event, EventLog, read_log
from rateproof.policy import ALGORITHMS, Policy, Quota
from rateproof.prove import (
    CLAIMS,
    CONSISTENT,
    INCONCLUSIVE,
    OVER_ADMISSION,
    VIOLATED,
    WRONG_REJECTION,
    Verdict,
    judge,
    screen,
)
from rateproof.prove.over_admission.families import FAMILIES
from tests.samples import quick_first

pytest.importorskip("rateproof._native", reason="the native core is not built")

HISTORIES = Path(__file__).parents[1] / "histories"
NAMES = ("sliding-log", "token-bucket", "fixed-window", "first-hit-window", "sliding-counter")


def both(log, policy, monkeypatch, **options) -> Verdict:
    """The verdict, once it is the same on both cores."""
    screened_verdict = judge(log, policy, **options)
    with monkeypatch.context() as context:
        context.setenv("RATEPROOF_CORE", "python")
        verdict = judge(log, policy, **options)
    assert screened_verdict.to_json() == verdict.to_json()
    assert screened_verdict == verdict
    return verdict


def random_policy(rng: random.Random) -> Policy:
    only_logs = rng.random() < 0.6
    quotas = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        algorithm = "sliding-log" if only_logs else rng.choice(NAMES)
        limit = rng.choice((1, 2, 2, 3, 5, 8))
        burst = rng.randint(1, 6) if algorithm == "token-bucket" else 0
        quotas.append(Quota(limit, rng.randint(1, 60), algorithm, burst))
    return Policy(tuple(quotas))


def decide(rng: random.Random, admitted: list[int], instant: int, policy: Policy) -> str:
    """As a sliding log of every quota would, but for a few faults."""
    room = all(
        sum(before > instant - quota.window_ns for before in admitted) < quota.limit
        for quota in policy.quotas
    )
    if rng.random() < 0.002:
        room = not room
    if room:
        admitted.append(instant)
    return ADMITTED if room else REJECTED


def random_log(rng: random.Random, policy: Policy) -> EventLog:
    """Requests at random: overlapping, nested, lost, refused, marked; decided well or anyhow."""
    events = []
    pace, longest = rng.choice((1, 3, 8, 20)), rng.choice((0, 2, 6, 30, 100))
    right, lost, failing = rng.random() < 0.8, rng.choice((0, 0, 0, 0.05)), rng.random() < 0.2
    marked, runs = rng.choice((0, 0, 0.9)), rng.choice((1, 1, 3))
    for number in range(rng.choice((1, 1, 2, 5))):
        now, admitted = rng.randint(-50, 50), []
        for _ in range(rng.choice((1, 4, 12, 40, 120))):
            now += rng.randint(0, 2 * pace)
            took = rng.randint(0, longest) if rng.random() < 0.7 else 0
            sent = now - rng.randint(0, took)
            outcome = rng.choice((ADMITTED, REJECTED))
            if right:
                outcome = decide(rng, admitted, now, policy)
            status = {ADMITTED: rng.choice((200, 404)), REJECTED: rng.choice((403, 429, 503))}[
                outcome
            ]
            if failing and rng.random() < 0.1:
                status, outcome = 503, REJECTED
            event = Event(
                key=b"%d" % number, sent_ns=sent, received_ns=sent + took, status=status,
                outcome=outcome, run=rng.randrange(runs), done_ns=sent + took,
                retry_after_s=0.5 if outcome == REJECTED and rng.random() < marked else None,
                ratelimit_remaining=0 if rng.random() < marked / 2 else None,
            )  # fmt: skip
            if rng.random() < lost:
                event = replace(
                    event, received_ns=rng.choice((None, None, sent + took)), outcome=UNKNOWN,
                    status=rng.choice((None, 500)), error=rng.choice((None, "refused", "timeout")),
                    done_ns=rng.choice((None, sent + took, sent - 3)),
                )  # fmt: skip
            events.append(event)
    order = rng.choice(("as made", "by time", "anyhow"))
    if order == "by time":
        events.sort(key=lambda event: event.sent_ns)
    elif order == "anyhow":
        rng.shuffle(events)
    metadata = {
        "fresh_keys": rng.random() < 0.8,
        "valid": rng.random() < 0.9,
        "complete": rng.random() < 0.9,
    }
    log = EventLog(metadata)
    numbered = rng.random() < 0.5
    log.extend(replace(event, sequence=i * numbered) for i, event in enumerate(events))
    return log


def judged_alike(seeds: range, monkeypatch) -> dict[str, int]:
    """Number of logs by outcome and cause."""
    seen: dict[str, int] = {}
    for seed in seeds:
        rng = random.Random(seed)
        policy = random_policy(rng)
        log = random_log(rng, policy)
        verdict = both(
            log, policy, monkeypatch,
            claims=rng.choice((CLAIMS, CLAIMS, frozenset({OVER_ADMISSION}),
                               frozenset({WRONG_REJECTION}))),
            tolerance_ppm=rng.choice((0, 500, 100_000, 300_000)),
            granularity_ns=rng.choice((0, 0, 1, 5)),
            budget=rng.choice((5_000_000, 5_000_000, 0, 7, 60)),
            denied_count=rng.random() < 0.2,
        )  # fmt: skip
        for name in (verdict.outcome, *verdict.causes):
            seen[name] = seen.get(name, 0) + 1
    return seen


def test_random_logs_are_judged_alike(monkeypatch):
    seen = judged_alike(range(70), monkeypatch)
    assert min(seen[name] for name in ("consistent", "violated", "inconclusive")) > 3, seen
    causes = ("budget-spent", "unknown-outcomes", "only-within-tolerance")
    assert min(seen[name] for name in causes) > 0, seen


def beyond_the_gap(rng: random.Random, quotas: int) -> tuple[EventLog, Policy]:
    """A few keys with about as much as windows of any phase take, rarely lost or rejected."""
    limit, window = rng.randint(1, 4), rng.choice((20, 1_000))
    names = ("fixed-window", "first-hit-window", "sliding-counter", "sliding-log")
    policy = Policy(tuple(Quota(limit, window, name) for name in rng.sample(names, quotas)))
    lost = rng.choice((0, 0, 0.1))
    log = EventLog({"fresh_keys": rng.random() < 0.8, "complete": rng.random() < 0.9})
    for number in range(rng.choice((1, 3))):
        now, pace = rng.randrange(window), rng.choice((0.7, 1, 1.3)) * limit / window
        for _ in range(rng.choice((4, 8, 30))):
            now += int(rng.expovariate(pace))
            event = Event(
                key=b"%d" % number, sent_ns=now, received_ns=now + rng.randrange(window // 5 + 1),
                status=200, outcome=ADMITTED,
            )  # fmt: skip
            if rng.random() < lost:
                unknown = {"status": 500, "outcome": UNKNOWN}
                event = replace(
                    event, **rng.choice(({"outcome": REJECTED, "status": 429}, unknown))
                )
            log.append(event)
    return log, policy


@pytest.mark.parametrize(
    ("logs", "least"), [(80, 0), pytest.param(1_000, 3, marks=pytest.mark.slow)]
)
def test_what_only_a_search_for_phases_finds_is_judged_alike(logs, least, monkeypatch):
    found = {"breach": 0, "tolerance": 0, "unknown": 0, "spent": 0}
    for seed in range(logs):
        rng = random.Random(seed)
        log, policy = beyond_the_gap(rng, rng.choice((1, 1, 2)))
        verdict = both(
            log, policy, monkeypatch,
            claims=frozenset({OVER_ADMISSION}),
            tolerance_ppm=rng.choice((0, 500, 50_000)),
            granularity_ns=rng.choice((0, 0, 1)),
            budget=rng.choice((5_000_000, 60, 0)),
        )  # fmt: skip
        found["breach"] += any(not piece.nested for piece in verdict.evidence)
        found["tolerance"] += "only-within-tolerance" in verdict.causes
        found["unknown"] += "unknown-outcomes" in verdict.causes
        found["spent"] += "budget-spent" in verdict.causes
    assert found["breach"] > logs // 10, found
    assert min(found.values()) >= least, found


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_many_random_logs_are_judged_alike(part, monkeypatch):
    judged_alike(range(10_000 * (part + 1), 10_000 * (part + 1) + 1_000), monkeypatch)


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.jsonl")), ids=lambda path: path.stem)
@pytest.mark.parametrize("ppm", quick_first([500, 0, 50_000]))
def test_recorded_logs_are_judged_alike(path, ppm, monkeypatch):
    log = read_log(path)
    for policy in {log.metadata["policy"], "5 per 5s", "token-bucket 3 per 2s", "fixed-window 4/s"}:
        both(log, Policy.parse(policy), monkeypatch, tolerance_ppm=ppm)


def test_the_requests_of_a_key_that_is_asked_for_again_are_made_objects_once(monkeypatch):
    """A key may have most of a long log, and be searched with the tolerance and without."""
    made = []
    seen = screen.observe

    def counted(log, rows, *, marked):
        made.append(len(rows))
        return seen(log, rows, marked=marked)

    monkeypatch.setattr(screen, "observe", counted)
    policy = Policy.parse("first-hit-window 600 per 500us")
    log = EventLog({"fresh_keys": True})
    for number in range(1_000):
        answered_ns = 10**6 + number
        log.append(
            Event(
                key=b"k",
                sequence=number + 1,
                sent_ns=number,
                received_ns=answered_ns,
                done_ns=answered_ns,
                status=200,
                outcome=ADMITTED,
            )
        )
    verdict = judge(log, policy, budget=1_000)
    assert "budget-spent" in verdict.causes
    assert made == [1_000]


@pytest.mark.parametrize("logs", [15, pytest.param(100, marks=pytest.mark.slow)])
def test_a_family_that_only_python_knows_is_judged_alike(logs, monkeypatch):
    """Every key is a suspect then: slow, but right."""
    toy = "toy-window"
    monkeypatch.setitem(ALGORITHMS, toy, replace(ALGORITHMS["fixed-window"], name=toy))
    monkeypatch.setitem(FAMILIES, toy, FAMILIES["fixed-window"])
    outcomes = set()
    for seed in range(logs):
        rng = random.Random(seed)
        quota = Quota(rng.randint(1, 3), rng.randint(2, 40), "fixed-window")
        log = random_log(rng, Policy((quota,)))
        known = judge(log, Policy((quota,)), tolerance_ppm=0)
        toys = both(log, Policy((replace(quota, algorithm=toy),)), monkeypatch, tolerance_ppm=0)
        assert toys.outcome == known.outcome
        outcomes.add(toys.outcome)
    assert outcomes == {VIOLATED, INCONCLUSIVE, CONSISTENT}
