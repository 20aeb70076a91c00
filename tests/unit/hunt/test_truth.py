"""Hunts against limiters of known truth: ten of each, no false alarm and no false green.

Time is computed, so that neither load nor luck of the machine decides.
"""

import re
import threading
from dataclasses import replace

import pytest

from rateproof.events import Event, EventLog
from rateproof.hunt import iterations
from rateproof.hunt import settings as hunt_settings
from rateproof.hunt.iterations import Hunt
from rateproof.hunt.report.totals import Totals
from rateproof.hunt.rig import Rig
from rateproof.policy import Policy
from rateproof.simulate.target import Target
from tests.unit.hunt import simulated
from tests.unit.hunt.simulated import MS, Limiter, one_worker, transport

RUNS, ITERATIONS = 10, 8


@pytest.fixture(autouse=True)
def server_that_is_there(monkeypatch):
    monkeypatch.setattr(Target, "accepts", lambda _: True)


def hunted(send, seed, policy, stop=None, iterations=ITERATIONS):
    """The totals of a hunt that ends with its first violation."""
    settings = hunt_settings.TestSettings.told(
        url="http://127.0.0.1:1",
        policy=Policy.parse(policy),
        seed=seed,
        claim="over-admission",
        iterations=iterations,
    )
    stop = stop or threading.Event()
    hunt = Hunt(Rig(settings, send, stop))
    totals = Totals(settings.claims)
    for number in range(1, iterations + 1):
        totals.add(hunt.iterate(number))
        totals.seen, totals.unseen = hunt.seen, hunt.unseen
        totals.untried, totals.remedy, totals.unwaited = hunt.untried, hunt.remedy, hunt.unwaited
        if totals.verdict == "violated" or stop.is_set():
            break
    return totals


def quickly(limiter):
    return transport(limiter, jitter=400_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "OnClock",
        "FirstHit",
        "Bucket",
        "SavedPermit",
        "ShortWindow",
        "WholeSeconds",
        "Workers",
        "PerConnection",
        "LetsGo",
        "Unlimited",
        "Forgets",
        "Knows1500",
        "Knows6000",
    ],
)
def test_what_is_wrong_is_found_by_each_of_ten_hunts(name):
    limiter = getattr(simulated, name)
    found = [hunted(quickly(limiter()), seed, "5 per 5s").verdict for seed in range(RUNS)]
    assert found == ["violated"] * RUNS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("Limiter", "5 per 5s"),
        ("Bucket", "token-bucket 5 per 5s"),
        ("OnClock", "fixed-window 5 per 5s"),
        ("FirstHit", "first-hit-window 5 per 5s"),
    ],
)
def test_what_keeps_its_promise_is_consistent_in_each_of_ten_hunts(name, policy):
    limiter = getattr(simulated, name)
    found = [hunted(quickly(limiter()), seed, policy).verdict for seed in range(RUNS)]
    assert found == ["consistent"] * RUNS


ALL_KNOWN = (
    "fixed windows, windows from the first request, sliding counters, token buckets, "
    "a counter for each worker and a store that forgets clients"
)


@pytest.mark.parametrize("name", ["OnClock", "FirstHit", "Bucket"])
@pytest.mark.parametrize("takes", [30 * MS, 300 * MS, 700 * MS])
def test_what_is_wrong_is_found_behind_one_slow_worker(name, takes):
    """At 700 ms an answer it answers 7 requests in 5 s."""
    limiter = getattr(simulated, name)
    found = [hunted(one_worker(limiter(), takes), seed, "5 per 5s").verdict for seed in range(3)]
    assert found == ["violated"] * 3


def test_a_slow_worker_that_forgets_clients_is_found():
    """It remembers 20, and answers 38 between two bursts."""
    totals = hunted(one_worker(simulated.Forgets(), 30 * MS), 1, "5 per 5s")
    assert totals.verdict == "violated"


@pytest.mark.parametrize("takes", [30 * MS, 300 * MS])
def test_one_slow_worker_is_consistent_once_every_known_weakness_would_have_shown(takes):
    totals = hunted(one_worker(Limiter(), takes), 1, "5 per 5s")
    assert (totals.verdict, totals.unseen) == ("consistent", "")
    seen, _, reach = totals.seen.partition("; ")
    assert seen == ALL_KNOWN
    assert (longest := re.fullmatch(PAUSES, reach))
    assert 4 <= float(longest[1]) <= 10


PAUSES = r"pauses of a client longer than ([0-9.]+) s were not tried"


class Rewards(Limiter):
    """5 in any second, and a sixth for who kept quiet for long enough."""

    def __init__(self, windows):
        super().__init__()
        self.quiet, self.last = windows * simulated.S, {}

    def since(self, now):
        return now - simulated.S

    def passes(self, client, connection, now):
        quiet, self.last[client] = now - self.last.get(client, now), now
        passed = super().passes(client, connection, now)
        if passed and quiet > self.quiet:
            self.seen[client].pop()
        return passed


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("windows", [2, 4])
def test_one_more_after_a_pause_of_short_windows_is_found_by_known_attacks(windows, seed):
    assert hunted(quickly(Rewards(windows)), seed, "5 per 1s", iterations=3).verdict == "violated"


def test_the_longest_pause_is_told_and_nothing_is_claimed_of_longer_ones():
    """It lies beyond what any known attack waits for."""
    totals = hunted(quickly(Rewards(5)), 1, "5 per 1s", iterations=3)
    assert (totals.verdict, totals.unseen) == ("consistent", "")
    told = re.search(PAUSES, totals.seen)
    assert told
    assert 4.2 <= float(told[1]) <= 4.3
    assert told[0] in totals.describe()
    assert told[0] in totals.to_json()["weaknesses"]["seen"]


def test_nothing_is_sent_behind_what_the_measuring_of_the_pace_left_to_do():
    """At 500 ms an answer most of those first requests are given up; the rest would wait over 10 s for them."""
    worker = one_worker(Limiter(), 500 * MS, patient=False)
    totals = hunted(worker, 1, "5 per 5s", iterations=3)
    assert totals.requests > 0
    assert not totals.errors
    assert totals.seen.partition(";")[0] == ALL_KNOWN.replace(
        ", token buckets, a counter for each worker and a store that forgets clients",
        ", token buckets and a counter for each worker",
    )


@pytest.mark.parametrize("name", ["Limiter", "OnClock", "FirstHit"])
def test_a_worker_too_slow_to_break_its_limit_is_never_consistent(name):
    """It answers 5 requests in 6 s."""
    totals = hunted(one_worker(getattr(simulated, name)(), 1_200 * MS), 1, "5 per 5s")
    assert totals.verdict == "inconclusive"


def test_a_stop_before_the_known_weaknesses_would_have_shown_is_no_reason_for_green():
    """Of the attacks on a slow worker only the first client's had come."""
    stop, send = threading.Event(), one_worker(simulated.FirstHit(), 400 * MS)

    def stopped(scenario, **options):
        if len(scenario.groups) > 1:
            stop.set()
        return send(replace(scenario, groups=scenario.groups[:1]), **options)

    totals = hunted(stopped, 1, "5 per 5s", stop)
    assert (totals.iterations, totals.outcomes["consistent"]) == (1, 1)
    assert totals.answer == (NOTHING_TRIED,)


NOTHING_TRIED = (
    "NOT TESTED: bursts on many connections, bursts around a window's end, many other clients; "
    "5 per 5 s held until the test ended (hint: more time or iterations, or --allow-untested)"
)


@pytest.mark.parametrize("name", ["Limiter", "FirstHit", "Knows1500"])
@pytest.mark.parametrize("cut", [0.5])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_test_that_is_cut_anywhere_is_never_consistent(name, cut, at):
    """In each of the iterations in which known attacks are tried, after a part of its requests."""
    stop, send = threading.Event(), quickly(getattr(simulated, name)())
    runs = []

    def stopped(scenario, **options):
        runs.append(scenario)
        if len(runs) == 1 + at:  # the first measures the pace
            stop.set()
            scenario = replace(scenario, duration_ns=round(cut * scenario.duration_ns))
        return send(scenario, **options)

    totals = hunted(stopped, 1, "5 per 5s", stop)
    assert totals.exit_code != 0
    if totals.verdict != "violated":
        assert totals.answer[0].startswith("NOT TESTED: ")
        assert "many other clients" in totals.answer[0]


def test_a_window_whose_end_is_not_waited_for_is_told_in_the_answer():
    class Hourly(Limiter):
        def since(self, now):
            return now - 3_600 * simulated.S

    totals = hunted(quickly(Hourly()), 1, "5 per 1h", iterations=2)
    assert totals.answer[0].startswith("CONSISTENT: never more than 5 in 1 h in ")
    assert totals.answer[0].endswith("; bursts around the end of 1 h were not tried")


def test_fewer_iterations_than_try_all_known_attacks_leave_the_rest_untested():
    totals = hunted(quickly(Limiter()), 1, "5 per 5s", iterations=2)
    assert totals.answer[0].startswith("NOT TESTED: many other clients; 5 per 5 s held until ")
    assert "token buckets" in totals.seen
    assert "forgets" not in totals.seen, "many other clients are among what was not tried"
    totals.allow_untested = True
    first, second = totals.answer
    assert first.startswith("CONSISTENT (as far as tried): never more than 5 in 5 s")
    assert second == "NOT TESTED: many other clients: the test ended before"
    assert totals.exit_code == 0


@pytest.mark.parametrize("lives", [True, False])
def test_connections_broken_at_the_end_are_a_crash_only_if_nothing_is_answered_afterwards(lives):
    stop, send = threading.Event(), quickly(Limiter())
    runs = []

    def breaking(scenario, *, observe=None, **options):
        runs.append(scenario)
        log = send(scenario, observe=lambda _: None, **options)
        if len(runs) == 2:
            at = max(log.column("done_ns")) + MS
            broken = {"received_ns": None, "status": None, "outcome": "unknown", "error": "reset"}
            log.append(Event(key=b"last", sent_ns=at, done_ns=at, connection=999, **broken))
        elif len(runs) == 3 and not lives:
            log = EventLog(log.metadata)
        if observe is not None:
            observe(log)
        return log

    totals = hunted(breaking, 1, "5 per 5s", stop, iterations=1)
    assert len(runs) == 3, "the pace, the attacks, and once more"
    assert totals.crashes == ({} if lives else {"reset": 1})
    assert totals.exit_code == (2 if lives else 1)
    assert totals.answer[0].startswith(
        "INCONCLUSIVE: the server broke 1 of " if lives else "CRASHED"
    )


def test_bursts_that_came_too_spread_out_are_no_reason_for_green(monkeypatch):
    """As it was before the target's pace was measured: too much for it, and nothing comes again."""
    monkeypatch.setattr(Hunt, "_sound", lambda _: None)
    monkeypatch.setattr(Hunt, "_keep_to", lambda *_: None)
    monkeypatch.setattr(iterations, "_CALM_TRIES", 0)
    totals = hunted(one_worker(simulated.FirstHit(), 200 * MS), 5, "5 per 5s")
    assert totals.outcomes["consistent"] >= 3
    assert totals.verdict == "inconclusive"
    unseen, _ = totals.unseen.split(" would not have been seen: ")
    assert "windows from the first request" in unseen
    assert totals.answer == (f"INCONCLUSIVE: {totals.unseen}",)
