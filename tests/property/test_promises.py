"""Header fields of honest limiters are never called false; those of others are, where it shows."""

import random
from dataclasses import dataclass, replace
from math import ceil

import pytest

from rateproof.clock import Tolerance
from rateproof.events import Event, EventLog
from rateproof.policy import Policy
from rateproof.prove import HEADERS, INCONCLUSIVE, VIOLATED, judge
from rateproof.prove.headers import headers_of

S = 1_000_000_000
MS = 1_000_000


@dataclass
class Decision:
    """Answers of a limiter: seconds are rounded up, as an honest one does."""

    admitted: bool
    remaining: int
    reset_s: int
    retry_after_s: int | None = None


class SlidingLog:
    """N per W; denied requests may count."""

    def __init__(self, limit, window, *, denied_count=False):
        self.limit, self.window, self.denied_count = limit, window, denied_count
        self.used = []

    def decide(self, now):
        used = [t for t in self.used if t > now - self.window]
        admitted = len(used) < self.limit
        if admitted or self.denied_count:
            used.append(now)
        self.used = used
        left = self.limit - len(used)
        reset = ceil((used[-1] + self.window - now) / S)
        retry = None if admitted else ceil((used[-self.limit] + self.window - now) / S)
        return Decision(admitted, max(0, left), reset, retry)


class Bucket:
    """B tokens, N per W."""

    def __init__(self, limit, window, burst):
        self.limit, self.window, self.burst = limit, window, burst
        self.level, self.at = burst * window, 0

    def decide(self, now):
        self.level = min(self.burst * self.window, self.level + (now - self.at) * self.limit)
        self.at = now
        admitted = self.level >= self.window
        if admitted:
            self.level -= self.window
        reset = ceil((self.burst * self.window - self.level) / self.limit / S)
        retry = None if admitted else ceil((self.window - self.level) / self.limit / S)
        return Decision(admitted, self.level // self.window, reset, retry)


class Epoch:
    """N in each window of the clock."""

    def __init__(self, limit, window):
        self.limit, self.window, self.cell, self.count = limit, window, None, 0

    def decide(self, now):
        cell, into = divmod(now, self.window)
        if cell != self.cell:
            self.cell, self.count = cell, 0
        admitted = self.count < self.limit
        self.count += admitted
        reset = ceil((self.window - into) / S)
        return Decision(admitted, self.limit - self.count, reset, None if admitted else reset)


def a_limiter(rng):
    limit, window = rng.randint(1, 5), rng.choice((2 * S, 5 * S, 30 * S))
    kind = rng.choice(("log", "log", "denied", "bucket", "epoch"))
    if kind == "bucket":
        burst = rng.randint(1, 5)
        text = f"token-bucket {limit} per {window}ns burst {burst}"
        return Bucket(limit, window, burst), text, False
    if kind == "epoch":
        return Epoch(limit, window), f"fixed-window {limit} per {window}ns", False
    denied_count = kind == "denied"
    return (
        SlidingLog(limit, window, denied_count=denied_count),
        f"{limit} per {window}ns",
        denied_count,
    )


def run(rng, limiters, requests, *, lost=0.0, drift=0, spoil=lambda said: said):
    """Clients ask at random or wait as they are told; answers take up to a second."""
    flights = []
    for key in limiters:
        at = rng.randrange(S)
        for _ in range(requests):
            at += rng.choice((MS, 20 * MS, S, 2 * S, 5 * S)) * rng.randint(0, 2) + rng.randrange(MS)
            sent = at - rng.choice((0, rng.randrange(100 * MS), rng.randrange(S)))
            flights.append((at, sent, key))
    events = []
    for at, sent, key in sorted(flights):
        said = spoil(limiters[key].decide(int(at * (1 + drift / 1e6))))
        received = at + rng.choice((0, rng.randrange(100 * MS), rng.randrange(S)))
        event = Event(
            key=key, sent_ns=sent, received_ns=received, done_ns=received,
            status=200 if said.admitted else 429,
            outcome="admitted" if said.admitted else "rejected",
            retry_after_s=said.retry_after_s, ratelimit_remaining=said.remaining,
            ratelimit_reset_s=said.reset_s,
        )  # fmt: skip
        if rng.random() < lost:
            event = replace(event, received_ns=None, status=None, outcome="unknown",
                            retry_after_s=None, ratelimit_remaining=None)  # fmt: skip
        events.append(event)
    log = EventLog({"fresh_keys": True})
    events.sort(key=lambda event: event.sent_ns)
    log.extend(replace(event, sequence=number) for number, event in enumerate(events))
    return log


def cut(rng, log):
    """The same, watched only from somewhere in the middle; as long as the assumption holds there."""
    events = list(log)
    took = [30 * S if e.received_ns is None else e.received_ns - e.sent_ns for e in events]
    start = rng.randrange(len(events))
    while max(took[:start], default=0) > max(took[start:]):
        start = rng.randrange(start)
    later = EventLog()
    later.extend(events[start:])
    return later


def never_called_false(seeds):
    judged = [0, 0, 0, 0]
    for seed in seeds:
        rng = random.Random(seed)
        limiter, text, denied_count = a_limiter(rng)
        log = run(
            rng, {b"k": limiter}, rng.randint(2, 60),
            lost=rng.choice((0, 0, 0.1)), drift=rng.choice((0, -499, 499)),
        )  # fmt: skip
        for part in (log, cut(rng, log)):
            verdict = judge(part, Policy.parse(text), denied_count=denied_count)
            if verdict.headers is not None:
                assert verdict.headers.broken == 0, (seed, text, verdict.headers)
                judged = [a + b for a, b in zip(judged, verdict.headers.judged, strict=True)]
    return judged


@pytest.mark.usefixtures("without_power")
def test_honest_fields_are_never_called_false():
    """With lost answers and clocks that differ, in whole logs and such as begin in the middle."""
    judged = never_called_false(range(50))
    assert min(judged) > 10, judged


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.usefixtures("without_power")
def test_honest_fields_are_never_called_false_at_length(part):
    never_called_false(range(10_000 * (part + 1), 10_000 * (part + 1) + 1_200))


SPOILED = {
    "retry-after-too-short": lambda said: replace(said, retry_after_s=said.retry_after_s and 0),
    "retry-after-too-long": lambda said: replace(
        said, retry_after_s=said.retry_after_s and said.retry_after_s + 9
    ),
    "remaining-too-high": lambda said: replace(said, remaining=said.remaining + 1),
    "remaining-too-low": lambda said: replace(said, remaining=max(0, said.remaining - 1)),
}


@pytest.mark.parametrize("rule", SPOILED)
def test_a_field_that_is_off_is_found_out_and_only_that(rule):
    found = 0
    for seed in range(8):
        rng = random.Random(seed)
        log = run(rng, {b"k": Epoch(3, 5 * S)}, 60, spoil=SPOILED[rule])
        policy = Policy.parse("fixed-window 3 per 5s")
        verdict = judge(log, policy, claims=frozenset({HEADERS}))
        rules = {finding.rule for finding in verdict.headers.findings}
        assert rules <= {rule}, (seed, verdict.headers.findings)
        assert (verdict.outcome == VIOLATED) == bool(rules)
        assert judge(log, policy).outcome != VIOLATED
        found += bool(rules)
    assert found > 4


@pytest.mark.parametrize("logs", [25, pytest.param(600, marks=pytest.mark.slow)])
def test_the_native_core_finds_the_same(logs, monkeypatch):
    for seed in range(logs):
        rng = random.Random(seed)
        limiters = {bytes([97 + number]): a_limiter(rng)[0] for number in range(rng.randint(1, 4))}
        spoil = rng.choice([*SPOILED.values(), lambda said: said])
        log = run(rng, limiters, rng.randint(1, 60), lost=rng.choice((0, 0.1)), spoil=spoil)
        log.metadata["fresh_keys"] = rng.random() < 0.5
        policy = Policy.parse(rng.choice(("5 per 5s", "fixed-window 3 per 5s")))
        denied_count = rng.random() < 0.3
        native = judge(log, policy, denied_count=denied_count).headers
        with monkeypatch.context() as context:
            context.setenv("RATEPROOF_CORE", "python")
            assert judge(log, policy, denied_count=denied_count).headers == native, seed


def a_strange_log(rng):
    """Rows in any order, at few instants, that say anything."""
    seconds = (None, -1.0, 0.0, 0.5, 1.0, 2.0, 3.000000001, 1e9, 1e300)
    log = EventLog()
    for number in range(rng.randint(1, 40)):
        sent = rng.randrange(12) * S // 2
        outcome = rng.choice(("admitted", "rejected", "rejected", "unknown"))
        lost = outcome == "unknown"
        log.append(
            Event(
                key=rng.choice((b"k", b"l", b"m")), sequence=number, sent_ns=sent,
                received_ns=None if lost else sent + rng.choice((0, 1, S // 2, 9 * S)),
                status=None if lost else 200 if outcome == "admitted" else 429, outcome=outcome,
                retry_after_s=rng.choice(seconds), ratelimit_reset_s=rng.choice(seconds),
                ratelimit_remaining=rng.choice((None, 0, 1, 2, 5, 2**62)),
            )
        )  # fmt: skip
    return log


def test_the_native_core_finds_the_same_in_logs_of_any_order_that_say_anything(monkeypatch):
    judged = [0, 0, 0, 0]
    for seed in range(400):
        rng = random.Random(seed)
        log = a_strange_log(rng)
        policy = Policy.parse(rng.choice(("5 per 5s", "fixed-window 3 per 5s")))
        tolerance = Tolerance(rng.choice((0, 500, 999_999)), rng.choice((0, MS, S, 2**61 - 1)))
        how = {
            "known_after_ns": rng.choice((None, 0, 1, S, 2**62)),
            "denied_count": rng.random() < 0.3,
        }
        native = headers_of(log, policy, tolerance, **how)
        with monkeypatch.context() as context:
            context.setenv("RATEPROOF_CORE", "python")
            assert headers_of(log, policy, tolerance, **how) == native, seed
        if native is not None:
            judged = [a + b for a, b in zip(judged, native.judged, strict=True)]
    assert min(judged) > 20, judged


def test_a_log_without_the_fields_is_inconclusive_if_they_are_asked_for():
    log = EventLog({"fresh_keys": True})
    for number in range(6):
        status = 200 if number < 5 else 429
        log.append(
            Event(key=b"k", sequence=number, sent_ns=number, received_ns=number, status=status,
                  outcome="admitted" if number < 5 else "rejected")
        )  # fmt: skip
    policy = Policy.parse("5 per 5s")
    assert judge(log, policy).headers is None
    asked = judge(log, policy, claims=frozenset({HEADERS}))
    assert (asked.outcome, asked.causes) == (INCONCLUSIVE, ("no-headers",))
