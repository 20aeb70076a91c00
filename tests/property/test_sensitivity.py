"""An excess that a log is said to have been able to show, it shows once it is there.

The limiters that go wrong here are written out again, independently of the package.
"""

import math
import random
from fractions import Fraction

import pytest

from rateproof.events import Event, EventLog
from rateproof.policy import Policy
from rateproof.prove import CONSISTENT, VIOLATED, combine, judge
from tests.samples import samples

MS = 1_000_000
W = 5_000 * MS
OVER = frozenset({"over-admission"})


def middle(request):
    return sum(request) // 2


def requests_of(rng, pace_ms, longest_ms, count=60):
    """Intervals (sent, received) of one client, at random, some of them overlapping."""
    now, requests = 0, []
    for _ in range(count):
        now += rng.randrange(1, 2 * pace_ms * MS)
        requests.append((now, now + rng.randrange(MS, longest_ms * MS)))
    return requests


def limited(requests, limit, window, *others):
    """A log of a sliding log of this limit and window that decides in the middle of each.

    Others of which it keeps the limits, too, are pairs like it.
    """
    admitted, events, quotas = [], [], [(limit, window), *others]
    for number, request in enumerate(sorted(requests, key=lambda r: (middle(r), r))):
        instant = middle(request)
        room = all(
            sum(instant - window < before for before in admitted) < limit
            for limit, window in quotas
        )
        if room:
            admitted.append(instant)
        events.append(
            Event(
                key=b"k",
                sent_ns=request[0],
                received_ns=request[1],
                status=200 if room else 429,
                outcome="admitted" if room else "rejected",
                sequence=number,
            )
        )
    log = EventLog({"fresh_keys": True})
    log.extend(events)
    return log


def judged(requests, limit, window, text="5 per 5s"):
    return judge(limited(requests, limit, window), Policy.parse(text), claims=OVER)


@pytest.mark.parametrize("seed", range(60))
def test_an_excess_that_could_have_been_shown_is_called_violated_and_less_is_not(seed):
    rng = random.Random(seed)
    requests = requests_of(rng, rng.choice((20, 200, 700)), rng.choice((2, 200, 5_000, 12_000)))
    verdict = judged(requests, 5, W)
    assert verdict.outcome != VIOLATED
    (shown,) = verdict.sensitivity
    if shown.excess is None:
        assert judged(requests, 60, W).outcome != VIOLATED
        return
    assert judged(requests, 5 + shown.excess, W).outcome == VIOLATED
    assert judged(requests, 5 + shown.excess - 1, W).outcome != VIOLATED
    if shown.short_ns is not None:
        assert judged(requests, 5, W - shown.short_ns).outcome == VIOLATED
        assert judged(requests, 5, W - shown.short_ns + W // 2_048 + 1).outcome != VIOLATED


@pytest.mark.parametrize("ppm", [0, 500, 20_000, 100_000])
def test_an_excess_shows_by_the_slowest_clock_that_is_tolerated(ppm):
    """A limiter that errs may have a slow clock, too."""
    rng, promised = random.Random(ppm), 0
    for _ in range(samples(60)):
        limit, window, step = (
            rng.choice((1, 2, 3)),
            rng.choice((20, 50, 100)),
            rng.choice((0, 1, 3)),
        )
        now, requests = 0, []
        for _ in range(rng.randrange(4, 24)):
            now += rng.randrange(rng.choice((2, 6, 15)))
            requests.append((now, now + 2 * rng.randrange(4)))
        policy = Policy.parse(f"{limit} per {window}ns")
        told = {"claims": OVER, "tolerance_ppm": ppm, "granularity_ns": step}
        (shown,) = judge(limited(requests, limit, window), policy, **told).sensitivity
        if shown.excess is None:
            continue
        promised += 1
        longest = -(-window * 1_000_000 // (1_000_000 - ppm)) + step
        for lasts in {window, longest}:
            log = limited(requests, limit + shown.excess, lasts)
            assert judge(log, policy, **told).outcome == VIOLATED
    assert promised


def test_logs_differ_in_what_they_could_have_shown():
    """Else the property above would hold of nothing."""
    rng = random.Random(1)
    quick = judged(requests_of(rng, 200, 2), 5, W).sensitivity[0]
    slow = judged(requests_of(rng, 700, 12_000), 5, W).sensitivity[0]
    assert quick.excess == 1
    assert quick.short_ns < W // 20
    assert slow.excess is None or slow.excess > 1


def test_a_shorter_window_than_the_tolerance_covers_is_never_promised():
    requests = requests_of(random.Random(2), 100, 2, 400)
    for ppm in (0, 500, 20_000):
        log = limited(requests, 5, W)
        verdict = judge(log, Policy.parse("5 per 5s"), claims=OVER, tolerance_ppm=ppm)
        assert verdict.sensitivity[0].short_ns > W * ppm // 1_000_000


def test_answers_that_took_longer_than_the_window_can_show_nothing():
    requests = [(i * MS, i * MS + W + 40 * MS) for i in range(10)]
    verdict = judged(requests, 5, W)
    assert verdict.causes == ("too-coarse",)
    assert verdict.sensitivity[0].sentence() == "5 per 5 s: no excess would have been seen"


def test_of_several_runs_the_most_telling_counts():
    rng = random.Random(3)
    slow, quick = (
        judged(requests_of(rng, p, longest), 5, W) for p, longest in ((700, 4_000), (200, 2))
    )
    assert combine([slow, quick]).sensitivity == quick.sensitivity
    assert combine([quick, slow]).closest[0] == min(
        quick.closest + slow.closest, key=lambda call: call.margin_ns
    )


@pytest.mark.parametrize(
    "text",
    [
        "token-bucket 1 per 1s burst 5",
        "leaky-queue 5 per 5s",
        "fixed-window 5 per 5s",
        "first-hit-window 5 per 5s",
        "sliding-counter 5 per 5s",
        "5 per 5s; 20 per 60s",
    ],
)
def test_every_algorithm_and_every_quota_has_a_figure(text):
    """A burst at many instants, of which much more than any of them allows is asked."""
    rng = random.Random(4)
    requests = [
        (at + i * MS, at + i * MS + MS + rng.randrange(MS))
        for at in range(0, 12 * W, W // 3)
        for i in range(20)
    ]
    policy = Policy.parse(text)
    admitted_never = [
        Event(key=b"k", sent_ns=s, received_ns=r, status=429, outcome="rejected", sequence=i)
        for i, (s, r) in enumerate(requests)
    ]
    log = EventLog({"fresh_keys": True})
    log.extend(admitted_never)
    shown = judge(log, policy, claims=OVER).sensitivity
    assert [one.quota for one in shown] == list(map(str, policy.quotas))
    assert all(one.excess is not None for one in shown)


def test_the_keys_that_pressed_hardest_are_asked_wherever_they_are():
    """One client of five hundred pressed, in the midst of them."""
    rng = random.Random(6)
    log = EventLog({"fresh_keys": True})
    for number in range(500):
        requests = requests_of(rng, 100, 2, 200) if number == 250 else [(0, MS), (W, W + MS)]
        for event in limited(requests, 5, W):
            log.append(
                Event(**{n: getattr(event, n) for n in event.__slots__} | {"key": b"%d" % number})
            )
    verdict = judge(log, Policy.parse("5 per 5s"), claims=OVER)
    assert verdict.outcome == CONSISTENT
    assert verdict.sensitivity[0].excess == 1
    assert [call.key for call in verdict.closest] == [b"250"]


@pytest.mark.parametrize(
    "text", ["3 per 1s", "2 per 1s; 5 per 3s", "token-bucket 2 per 1s burst 4"]
)
def test_both_cores_name_the_same_keys_of_many(text, monkeypatch):
    """Also where keys are equal: then those that appear first."""
    rng = random.Random(8)
    log = EventLog({"fresh_keys": True})
    for number in range(60):
        now = 0
        for _ in range(rng.randrange(1, 20)):
            now += rng.choice((10, 300, 400))
            status = rng.choice((200, 200, 429))
            log.append(
                Event(
                    key=b"%d" % number,
                    sent_ns=now * MS,
                    received_ns=(now + 5) * MS,
                    status=status,
                    outcome={200: "admitted", 429: "rejected"}[status],
                    sequence=len(log) + 1,
                )
            )
    policy = Policy.parse(text)
    native = judge(log, policy, tolerance_ppm=100_000)
    monkeypatch.setenv("RATEPROOF_CORE", "python")
    assert judge(log, policy, tolerance_ppm=100_000) == native
    assert len(native.closest) == 5


def windowed(requests, limit, window, phase, *, weighs, exact=False):
    """A log of windows that begin at `phase`; a counter adds a share of the one before.

    It rounds that down unless it is `exact`.
    """
    admitted, log = {}, EventLog({"fresh_keys": True})
    for number, request in enumerate(sorted(requests, key=lambda r: (middle(r), r))):
        cell, into = divmod(middle(request) + phase, window)
        used = admitted.get(cell, 0)
        if weighs:
            share = Fraction(admitted.get(cell - 1, 0) * (window - into), window)
            used += math.ceil(share) if exact else math.floor(share)
        if used < limit:
            admitted[cell] = admitted.get(cell, 0) + 1
        log.append(
            Event(
                key=b"k",
                sent_ns=request[0],
                received_ns=request[1],
                status=200 if used < limit else 429,
                outcome="admitted" if used < limit else "rejected",
                sequence=number,
            )
        )
    return log


@pytest.mark.parametrize("algorithm", ["fixed-window", "sliding-counter"])
def test_windows_on_the_epoch_show_their_excess_wherever_they_begin(algorithm):
    policy, weighs = Policy.parse(f"{algorithm} 5 per 5s"), algorithm == "sliding-counter"
    least, told = (2 if weighs else 1), 0
    for seed in range(4):
        rng = random.Random(seed)
        requests = requests_of(rng, rng.choice((20, 200, 700)), rng.choice((2, 200)), 80)
        right = windowed(requests, 5, W, rng.randrange(W), weighs=weighs)
        verdict = judge(right, policy, claims=OVER)
        assert verdict.outcome != VIOLATED
        (shown,) = verdict.sensitivity
        for eighth in range(seed % 2, 8, 2):
            phase = W * eighth // 8
            for exact in (False, weighs):
                wrong = windowed(requests, 5 + shown.excess, W, phase, weighs=weighs, exact=exact)
                assert judge(wrong, policy, claims=OVER).outcome == VIOLATED
            if shown.short_ns is not None:
                window = W - shown.short_ns
                short = windowed(requests, 5, window, window * eighth // 8, weighs=weighs)
                assert judge(short, policy, claims=OVER).outcome == VIOLATED
        told += shown.excess == least
    assert told > 0


def test_an_exact_counter_of_one_more_is_not_said_to_show():
    """This log is of one that weighs exactly, of 2 per 8 ms; one that rounds down explains it."""
    log = EventLog({"fresh_keys": True})
    for at, outcome in ((8, "admitted"), (11, "admitted"), (17, "rejected"), (21, "admitted")):
        log.append(
            Event(key=b"k", sent_ns=at * MS, received_ns=at * MS, status=200, outcome=outcome)
        )
    verdict = judge(log, Policy.parse("sliding-counter 1 per 8ms"), tolerance_ppm=0)
    assert verdict.outcome == CONSISTENT
    assert verdict.sensitivity[0].excess == 2


def bursts_of(rng):
    now, requests = 0, set()
    for _ in range(rng.randrange(4, 30)):
        now += rng.randrange(W // 8, W)
        for i in range(rng.randrange(1, 14)):
            sent = now + i * MS * rng.choice((1, 3))
            requests.add((sent, sent + MS * rng.choice((1, 2, 50, 300))))
    return sorted(requests)


@pytest.mark.parametrize("seeds", [range(12), pytest.param(range(12, 100), marks=pytest.mark.slow)])
def test_whatever_came_before_the_log_an_excess_that_is_promised_shows(seeds):
    """The log of a limiter that is too generous, of which the beginning is missing."""
    policy, told = Policy.parse("5 per 5s"), 0
    for seed in seeds:
        rng = random.Random(seed)
        requests = bursts_of(rng) if rng.random() < 0.6 else requests_of(rng, 200, 200)
        first, longest = requests[0][0], max(end - sent for sent, end in requests)
        excess = judge(since(first, requests, 5), policy, claims=OVER).sensitivity[0].excess
        for _ in range(0 if excess is None else 4):
            sent = [first - 1 - rng.randrange(2 * W) for _ in range(rng.randrange(40))]
            before = [(at, at + rng.randrange(1, longest)) for at in sent]
            log = since(first, before + requests, 5 + excess)
            assert judge(log, policy, claims=OVER).outcome == VIOLATED, seed
            told += 1
    assert told > len(seeds)


def since(first, requests, limit, window=W, *others):
    """The part that was sent from then on of what a limiter of this limit answers."""
    log = EventLog()
    log.extend(
        event for event in limited(requests, limit, window, *others) if event.sent_ns >= first
    )
    return log


@pytest.mark.parametrize("seeds", [range(8), pytest.param(range(8, 60), marks=pytest.mark.slow)])
def test_a_past_at_any_pace_hides_no_promised_excess_behind_a_wider_quota(seeds):
    """The wider quota comes back as slowly as it was used up, and hides what the other lets by."""
    told = 0
    for seed in seeds:
        rng = random.Random(seed)
        limit = rng.randrange(1, 7)
        outer = (limit + rng.randrange(1, 2 * limit + 1), 3_000 * MS)
        pace = rng.choice((50, 100, 150))
        sent = [10_000 * MS + i * pace * MS for i in range(6_000 // pace)]
        requests = [(at, at + MS) for at in sent]
        policy = Policy.parse(f"{limit} per 1s; {outer[0]} per 3s")
        right = since(sent[0], requests, limit, 1_000 * MS, outer)
        shown = judge(right, policy, claims=OVER).sensitivity[0].excess
        excess = outer[0] - limit if shown is None else shown
        for before_ms in (1_000, 1_700, 2_600, 4_000):
            step = rng.choice((10, 100, 300, 300, 700, 900))
            began = range(10_000 - before_ms, 10_000, step)
            past = [(at * MS, at * MS + MS) for at in began]
            log = since(sent[0], past + requests, limit + excess, 1_000 * MS, outer)
            verdict = judge(log, policy, claims=OVER)
            promised = verdict.sensitivity and verdict.sensitivity[0].excess
            assert verdict.outcome == VIOLATED or not promised or promised > excess, seed
            told += verdict.outcome == VIOLATED
    assert told > len(seeds) // 2
