"""Limiters known to be right are never called violated; known faults are found.

Requests are sent, decided and answered on a simulated clock. The limiters here
are written out again, independently of the package.
"""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from rateproof.events import Event, EventLog
from rateproof.policy import Policy
from rateproof.prove import CLAIMS, CONSISTENT, OVER_ADMISSION, VIOLATED, judge

MS = 1_000_000
W = 5_000 * MS

Decide = Callable[[bytes, int], bool]


def sliding_log(*quotas: tuple[int, int]) -> Decide:
    """N per W, all of them or nothing; denials do not count."""
    admitted: dict[bytes, list[int]] = defaultdict(list)

    def decide(key: bytes, now: int) -> bool:
        log = admitted[key]
        if any(sum(t > now - window for t in log) >= limit for limit, window in quotas):
            return False
        log.append(now)
        return True

    return decide


def token_bucket(burst: int, limit: int, window: int) -> Decide:
    """Tokens and time scaled by `limit`, so that all is whole."""
    state: dict[bytes, tuple[int, int]] = {}

    def decide(key: bytes, now: int) -> bool:
        level, before = state.get(key, (burst * window, now))
        level = min(burst * window, level + (now - before) * limit)
        state[key] = (level - window if level >= window else level, now)
        return level >= window

    return decide


def epoch_window(limit: int, window: int, phase: int) -> Decide:
    counts: dict[tuple[bytes, int], int] = defaultdict(int)

    def decide(key: bytes, now: int) -> bool:
        cell = (key, (now + phase) // window)
        counts[cell] += 1
        return counts[cell] <= limit

    return decide


def first_hit_window(limit: int, window: int) -> Decide:
    """Flask-Limiter's default: the first hit opens a window, the next after its end another."""
    opened: dict[bytes, tuple[int, int]] = {}

    def decide(key: bytes, now: int) -> bool:
        start, count = opened.get(key, (now, 0))
        if now >= start + window:
            start, count = now, 0
        opened[key] = (start, count + 1)
        return count < limit

    return decide


def sliding_counter(limit: int, window: int, phase: int) -> Decide:
    counts: dict[tuple[bytes, int], int] = defaultdict(int)

    def decide(key: bytes, now: int) -> bool:
        cell, into = divmod(now + phase, window)
        weighted = counts[key, cell - 1] * (window - into) // window
        if weighted + counts[key, cell] >= limit:
            return False
        counts[key, cell] += 1
        return True

    return decide


@dataclass
class Network:
    """The path from a schedule to the log.

    Args:
        delay: longest way there and back, each, in ns.
        lost: share of answers that are lost; such a request may be decided much later.
        drift: how many ppm the limiter's clock is fast.
        step: granularity of the limiter's clock in ns.
    """

    delay: int = 2 * MS
    lost: float = 0.0
    drift: float = 0.0
    step: int = 1

    def run(self, rng, schedule: list[tuple[int, bytes]], decide: Decide, **metadata) -> EventLog:
        flights = []
        for sent, key in schedule:
            lost = rng.random() < self.lost
            there = rng.randrange(self.delay * (30 if lost and rng.random() < 0.5 else 1))
            flights.append((sent + there, sent, key, lost))
        log = EventLog(metadata=metadata)
        events = []
        for at, sent, key, lost in sorted(flights):
            now = int(at * (1 + self.drift / 1e6)) // self.step * self.step
            status = 200 if decide(key, now) else 503
            received = None if lost else at + rng.randrange(self.delay)
            events.append((sent, key, received, None if lost else status))
        outcomes = {None: "unknown", 200: "admitted", 503: "rejected"}
        for number, (sent, key, received, status) in enumerate(sorted(events, key=lambda e: e[:2])):
            log.append(
                Event(
                    key=key,
                    sent_ns=sent,
                    received_ns=received,
                    done_ns=sent + 2 * self.delay if status is None else received,
                    status=status,
                    outcome=outcomes[status],
                    sequence=number,
                )
            )
        return log


def a_schedule(rng: random.Random, requests: int, window: int = W) -> list[tuple[int, bytes]]:
    """Steady, bursty or crowding the edges of the window; one to three keys."""
    keys = [bytes([97 + k]) for k in range(rng.randint(1, 3))]
    shape = rng.choice(["steady", "bursts", "edges"])
    schedule, t = [], rng.randrange(10 * window)
    origin = t
    for number in range(requests):
        if shape == "steady":
            t += int(rng.expovariate(1) * window / rng.choice([3, 6, 20]))
        elif number % rng.randint(3, 9) == 0:
            if shape == "bursts":
                t += rng.randrange(window)
            else:
                edge = origin + ((t - origin) // window + 1) * window
                t = max(t, edge + rng.randint(-20 * MS, 20 * MS))
        schedule.append((t + rng.randrange(2 * MS), rng.choice(keys)))
    return schedule


def networks(rng: random.Random) -> Network:
    return Network(
        delay=rng.choice([1, MS // 10, 5 * MS, 400 * MS]),
        lost=rng.choice([0.0, 0.0, 0.1]),
        drift=rng.choice([0, 0, -499, 499]),
        step=rng.choice([1, 1, MS]),
    )


def never_violated(rng: random.Random, runs: int) -> int:
    consistent = judged_later = 0
    for _ in range(runs):
        limit = rng.randint(1, 6)
        quotas = [(limit, W), (limit + rng.randint(1, 3), 2 * W)][: rng.choice([1, 1, 2])]
        policy = Policy.parse("; ".join(f"{n} per {w}ns" for n, w in quotas))
        network = networks(rng)
        log = network.run(
            rng, a_schedule(rng, rng.randint(5, 60)), sliding_log(*quotas), fresh_keys=True
        )
        verdict = judge(log, policy, granularity_ns=network.step - 1)
        assert verdict.outcome != VIOLATED, (policy, network, verdict)
        consistent += verdict.outcome == CONSISTENT
        later = cut_log(rng, log)
        verdict = judge(later, policy, granularity_ns=network.step - 1)
        assert verdict.outcome != VIOLATED, (policy, network, verdict)
        judged_later += verdict.counts.judged
    assert judged_later > runs // 3
    return consistent


def cut_log(rng: random.Random, log: EventLog) -> EventLog:
    """The same limiter, watched only from somewhere in the middle.

    Where a request before the cut took longer than all after it, or its answer
    was lost, the assumption behind judging such logs does not hold: cut earlier.
    """
    events = list(log)
    took = [W if e.received_ns is None else e.received_ns - e.sent_ns for e in events]
    start = rng.randrange(len(events))
    while max(took[:start], default=0) > max(took[start:]):
        start = rng.randrange(start)
    later = EventLog()
    later.extend(events[start:])
    return later


@pytest.mark.usefixtures("without_power")
def test_an_exact_limiter_is_never_called_violated():
    """Neither claim: with delays, lost answers, drifting and coarse clocks, several quotas."""
    assert never_violated(random.Random(1), 100) > 45


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.usefixtures("without_power")
def test_an_exact_limiter_is_never_called_violated_at_length(seed):
    assert never_violated(random.Random(10 + seed), 12_000) > 4_200


@pytest.mark.parametrize("logs", [15, pytest.param(250, marks=pytest.mark.slow)])
@pytest.mark.parametrize("family", ["bucket", "epoch", "first hit", "counter"])
@pytest.mark.usefixtures("without_power")
def test_no_family_breaks_its_own_envelope(family, logs):
    """Nor are its rejections called wrong, in a whole log or in one that begins in the middle."""
    rng = random.Random(2)
    whole = later = 0
    for _ in range(logs):
        n = rng.randint(1, 6)
        decide, text = {
            "bucket": (token_bucket(n + 2, n, W), f"token-bucket {n} per 5s burst {n + 2}"),
            "epoch": (epoch_window(n, W, rng.randrange(W)), f"fixed-window {n} per 5s"),
            "first hit": (first_hit_window(n, W), f"first-hit-window {n} per 5s"),
            "counter": (sliding_counter(n, W, rng.randrange(W)), f"sliding-counter {n} per 5s"),
        }[family]
        network = networks(rng)
        log = network.run(rng, a_schedule(rng, 50), decide, fresh_keys=True)
        judged = []
        for part in (log, cut_log(rng, log)):
            verdict = judge(part, Policy.parse(text), granularity_ns=network.step - 1)
            assert verdict.outcome != VIOLATED, (text, network, verdict)
            judged.append(verdict.counts.judged)
        whole, later = whole + judged[0], later + judged[1]
    assert whole > 4 * logs
    assert later > logs // 3


def revealing(rng: random.Random) -> list[tuple[int, bytes]]:
    """1@0, 4@4.9, 2@5.1: worth 9 in 5 s to a window opened by its first hit."""
    return [
        (rng.randrange(MS) + at, b"client")
        for count, at in ((1, 0), (4, 4_900 * MS), (2, 5_100 * MS))
        for _ in range(count)
    ]


@pytest.mark.parametrize("logs", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_a_window_opened_by_its_first_hit_is_violated_with_six_or_seven_requests(logs):
    for seed in range(logs):
        rng = random.Random(seed)
        log = Network().run(rng, revealing(rng), first_hit_window(5, W), fresh_keys=True)
        verdict = judge(log, Policy.parse("5 per 5s"))
        assert verdict.outcome == VIOLATED
        assert len(verdict.evidence) == 1
        piece = verdict.evidence[0]
        assert piece.claim == OVER_ADMISSION
        assert len(piece.events) in {6, 7}
        assert all(event.outcome == "admitted" for event in piece.events)
        assert judge(log, Policy.parse("first-hit-window 5 per 5s")).outcome != VIOLATED


@pytest.mark.parametrize("logs", [60, pytest.param(300, marks=pytest.mark.slow)])
def test_a_limiter_that_lets_one_more_pass_is_always_caught(logs):
    """Requests in one burst that is short against the window."""
    for seed in range(logs):
        rng = random.Random(seed)
        limit = rng.randint(1, 20)
        schedule = [(rng.randrange(100 * MS), b"k") for _ in range(limit + rng.randint(1, 5))]
        log = Network().run(rng, schedule, sliding_log((limit + 1, W)), fresh_keys=True)
        verdict = judge(log, Policy.parse(f"{limit} per 5s"))
        assert verdict.outcome == VIOLATED
        assert {piece.claim for piece in verdict.evidence} == {OVER_ADMISSION}
        assert len(verdict.evidence[0].events) == limit + 1


@pytest.mark.parametrize("logs", [60, pytest.param(300, marks=pytest.mark.slow)])
def test_a_limiter_that_lets_one_less_pass_is_always_caught(logs):
    for seed in range(logs):
        rng = random.Random(seed)
        limit = rng.randint(2, 20)
        schedule = [(rng.randrange(100 * MS), b"k") for _ in range(limit + rng.randint(0, 5))]
        log = Network().run(rng, schedule, sliding_log((limit - 1, W)), fresh_keys=True)
        verdict = judge(log, Policy.parse(f"{limit} per 5s"))
        assert verdict.outcome == VIOLATED
        assert {piece.claim for piece in verdict.evidence} == CLAIMS - {OVER_ADMISSION}


def test_a_window_too_short_by_a_hundredth_is_caught_under_saturating_load():
    """Long runs buy precision: 1 % of a window is provable though every interval is 4 % of it."""
    rng = random.Random(3)

    def saturated(window: int) -> EventLog:
        log, decide = EventLog(), sliding_log((5, window))
        for number in range(10_000):
            at = number * 10 * MS + rng.randrange(MS)
            before = rng.randrange(200 * MS)
            outcome = "admitted" if decide(b"k", at) else "rejected"
            sent, received = at - before, at - before + 200 * MS
            log.append(
                Event(key=b"k", sent_ns=sent, received_ns=received, status=200, outcome=outcome)
            )
        return log

    verdict = judge(saturated(W * 99 // 100), Policy.parse("5 per 5s"))
    assert verdict.outcome == VIOLATED
    assert verdict.pressure[0].margin_ns >= 0
    assert len(verdict.evidence[0].events) > 6
    assert judge(saturated(W), Policy.parse("5 per 5s")).outcome == CONSISTENT


def instants(*times: int, status: int = 200) -> list[Event]:
    outcome = "admitted" if status == 200 else "rejected"
    return [
        Event(key=b"k", sent_ns=t, received_ns=t, status=status, outcome=outcome) for t in times
    ]


@pytest.mark.parametrize("tolerance_ppm", [0, 500])
def test_exactly_a_window_apart_is_not_violated_by_admission_or_rejection(tolerance_ppm):
    log = EventLog(metadata={"fresh_keys": True})
    log.extend(instants(*(n * W for n in range(10) for _ in range(5))))
    log.extend(instants(*(n * W for n in range(1, 10)), status=503))
    verdict = judge(log, Policy.parse("5 per 5s"), tolerance_ppm=tolerance_ppm)
    assert verdict.outcome == CONSISTENT


def test_one_nanosecond_less_than_a_window_is_violated_without_tolerance():
    log = EventLog()
    log.extend(instants(0, 0, 0, 0, 0, W - 1))
    assert judge(log, Policy.parse("5 per 5s"), tolerance_ppm=0).outcome == VIOLATED
    within = judge(log, Policy.parse("5 per 5s"))
    assert within.causes == ("only-within-tolerance",)
