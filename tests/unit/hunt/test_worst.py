"""The worst that the search finds of simulated limiters, and what the rules say of counts."""

import random
import threading
import time
from types import SimpleNamespace

import pytest

from rateproof.clock import Tolerance
from rateproof.events import Event, EventLog
from rateproof.hunt import settings as hunt_settings
from rateproof.hunt.pursuit import Pursuit
from rateproof.hunt.recipe import Phase, Recipe
from rateproof.hunt.report.totals import Totals
from rateproof.hunt.rig import Rig
from rateproof.hunt.worst import search
from rateproof.hunt.worst.counts import Admissions, count
from rateproof.hunt.worst.growth import CONSTANT, Step, by_connections, by_load, by_others
from rateproof.hunt.worst.search import find_worst
from rateproof.policy import Policy
from rateproof.prove import judge
from rateproof.simulate.behaviours.schedule import Schedule
from tests.unit.hunt.simulated import (
    Bucket,
    Forgets,
    LetsGo,
    Limiter,
    OnClock,
    PerConnection,
    S,
    Unlimited,
    WholeSeconds,
    Workers,
    transport,
)

FIVE = Policy.parse("5 per 5s").quotas[0]


def worst_of(limiter, monkeypatch, policy="5 per 5s", quota=0):
    monkeypatch.setattr(search, "_SETTLING_NS", -(10**15))  # there is time for everything
    settings = hunt_settings.TestSettings.told(
        url="http://127.0.0.1:1", policy=Policy.parse(policy)
    )
    rig = Rig(settings, transport(limiter), threading.Event())
    return find_worst(rig, settings.policy.quotas[quota], [], 0)


def test_nothing_is_found_of_an_exact_limiter_and_that_is_said(monkeypatch, capsys):
    assert worst_of(Limiter(), monkeypatch) is None
    said = capsys.readouterr().err
    assert said.endswith("worst: no run in that time let more through than promised\n")


@pytest.mark.parametrize(
    ("limiter", "most", "growth"),
    [
        (OnClock, 10, CONSTANT),
        (Workers, 20, CONSTANT),
        (PerConnection, 160, "proportional to connections, as far as tried (32)"),
        (Forgets, 45, "5 more for each 20 other clients, as far as tried (160)"),
        (WholeSeconds, 10, CONSTANT),
        (
            LetsGo,
            320,
            "lets go under load: nothing was rejected then, and something at the lightest load",
        ),
        (Unlimited, 320, "not limited: nothing was rejected, at the lightest load either"),
    ],
)
def test_the_worst_is_found_with_its_growth(monkeypatch, limiter, most, growth):
    worst = worst_of(limiter(), monkeypatch)
    assert (worst.certain, worst.allowed) == (most, 5)
    assert worst.growth == growth
    assert "--schedule" in worst.repeat
    assert worst.to_json()["certain"] == most


@pytest.mark.parametrize(
    ("seconds", "most", "said"),
    [(10, 9, ""), (6, 8, ""), (2, None, "worst: there was no time for one run")],
)
def test_of_a_slow_server_the_known_schedule_is_repeated_first(
    seconds, most, said, capsys, monkeypatch
):
    """Bursts of 320 on one connection took 100 s: nothing was found in 10 s."""
    monkeypatch.setattr(search, "time", SimpleNamespace(monotonic_ns=lambda: 0))
    settings = hunt_settings.TestSettings.told(
        url="http://127.0.0.1:1", policy=Policy.parse("5 per 5s")
    )
    rig = Rig(settings, transport(Bucket(), takes=S // 2), threading.Event())
    known = [Recipe(Schedule.parse("8 at 0 s"), phase=Phase(0, 5 * S))]
    worst = find_worst(rig, FIVE, known, seconds * S, S // 2)
    assert (worst and worst.certain) == most
    assert said in capsys.readouterr().err
    assert worst is None or not worst.growth, "a burst that is cut short says nothing of it"


class TwoQuotas(Limiter):
    """5 in 1 s and 12 in 4 s, by so many counters."""

    def __init__(self, counters):
        super().__init__()
        self.counters = counters

    def passes(self, client, connection, now):
        times = self.seen.setdefault((client, connection % self.counters), [])
        if any(sum(at > now - span * S for at in times) >= n for n, span in ((5, 1), (12, 4))):
            return False
        times.append(now)
        return True


@pytest.mark.parametrize(("counters", "quota", "most"), [(4, 0, 20), (4, 1, 48), (1, 1, None)])
def test_of_two_quotas_each_has_a_worst_of_its_own(monkeypatch, counters, quota, most):
    worst = worst_of(TwoQuotas(counters), monkeypatch, "5 per 1s; 12 per 4s", quota)
    assert (worst and worst.certain) == most
    assert worst is None or not quota or worst.growth == "", "the other one denies, too"


def test_quotas_that_are_violated_together_share_the_time_and_each_is_sought_once(monkeypatch):
    sought = []
    monkeypatch.setattr(
        "rateproof.hunt.pursuit.find_worst",
        lambda _, quota, __, until, ___: sought.append((str(quota), until)),
    )
    policy = Policy.parse("5 per 1s; 12 per 4s")
    settings = hunt_settings.TestSettings.told(
        url="http://127.0.0.1:1", policy=policy, worst_time_ns=10 * S
    )
    rig, pursuit = Rig(settings, None, threading.Event()), Pursuit(settings)
    quotas = [SimpleNamespace(outcome="violated")] * 2
    iteration = SimpleNamespace(verdict=SimpleNamespace(quotas=quotas), answer_ns=0)
    before = time.monotonic_ns()
    for _ in range(2):
        assert list(pursuit.worst(rig, iteration)) == []
    assert [name for name, _ in sought] == ["5 per 1s", "12 per 4s"]
    (_, first), (_, second) = sought
    assert first - before == pytest.approx(5 * S, abs=2 * S)
    assert second - before == pytest.approx(10 * S, abs=2 * S), (
        "what is left over is the next one's"
    )


FIVE_MORE = "5 more for each 20 other clients, as far as tried (80)"


def test_the_answer_is_the_worst_that_was_found(monkeypatch):
    log = EventLog({"fresh_keys": True})
    for at in range(6):
        log.append(Event(key=b"k", sent_ns=at, received_ns=at, status=200, outcome="admitted"))
    totals = Totals()
    totals.judge(judge(log, Policy.parse("5 per 5s")))
    assert (
        totals.answer[0]
        == "VIOLATED: 6 let through in 5 s, 5 promised (1.2\N{MULTIPLICATION SIGN})"
    )
    worst = worst_of(Forgets(), monkeypatch)
    totals.worst = [worst]
    assert (
        totals.answer[0] == "VIOLATED: 45 let through in 5 s, 5 promised (9\N{MULTIPLICATION SIGN})"
    )
    assert worst.describe() in totals.describe().replace("\n  ", "\n")
    assert totals.to_json()["worst"] == [worst.to_json()]


def step(varied, certain, possible=None, offered=100, denied=1, lost=0):
    return Step(varied, Admissions(certain, possible or certain, offered, denied, lost))


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            [step(n, 5 * n) for n in (1, 2, 4, 8)],
            "proportional to connections, as far as tried (8)",
        ),
        ([step(n, min(20, 5 * n)) for n in (1, 2, 4, 8, 16)], CONSTANT),
        ([step(n, 5 * n) for n in (1, 2, 4)], None),
        ([step(n, 5 * n, denied=8 - n) for n in (1, 2, 4, 8)], None),
        ([step(n, 5 * n, offered=10 * n) for n in (1, 2, 4, 8)], None),
        ([step(n, 5 * n, lost=1) for n in (1, 2, 4, 8)], None),
        ([step(n, 5, 5 * n) for n in (1, 2, 4, 8)], None),
        ([step(n, c) for n, c in ((1, 5), (2, 10), (4, 20), (8, 25))], None),
    ],
)
def test_growth_with_connections(steps, said):
    """Three doublings, denials at every step, the same requests; what is only possible says nothing."""
    assert by_connections(steps) == said


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([step(20 * g, 5 + 5 * g) for g in (0, 1, 2, 4)], FIVE_MORE),
        ([step(20 * g, 5) for g in (0, 1, 2, 4)], CONSTANT),
        ([step(20 * g, 5 + 5 * min(g, 1)) for g in (0, 1, 2, 4)], None),
        ([step(20 * g, 5 + 5 * g) for g in (0, 1)], None),
        ([step(20 * g, 5 + 5 * g, denied=0) for g in (0, 1, 2)], None),
    ],
)  # fmt: skip
def test_growth_with_other_clients(steps, said):
    """As much more for each gap that has others in it; once more is no growth."""
    assert by_others(steps, 5, 20) == said


def test_what_lets_go_under_load_is_told_from_what_does_not_limit():
    none, some = Admissions(9, 9, 9, 0, 0), Admissions(5, 5, 9, 4, 0)
    assert by_load(none, none, none, 5).startswith("not limited")
    assert by_load(none, none, none, 9) is None  # nothing had to be rejected
    assert by_load(some, none, some, 5).startswith("lets go under load")
    assert by_load(none, none, some, 5).startswith("lets go under load")
    assert by_load(some, some, some, 5) is None
    assert by_load(none, Admissions(9, 9, 9, 0, 1), none, 5) is None


def test_no_choice_of_instants_has_fewer_than_what_is_certain_in_a_window():
    """Against brute force over all whole instants; `possible` is the most that some choice has."""
    draws = random.Random(8)
    quota = Policy.parse("2 per 4ns").quotas[0]
    for _ in range(200):
        jobs = [(sent, sent + draws.randrange(3)) for sent in draws.sample(range(12), 4)]
        log = EventLog()
        for sent, received in jobs:
            log.append(
                Event(key=b"k", sent_ns=sent, received_ns=received, status=200, outcome="admitted")
            )
        found = count(log, quota, Tolerance(0))
        choices = [[]]
        for sent, received in jobs:
            choices = [[*one, at] for one in choices for at in range(sent, received + 1)]
        most = [max(sum(at <= o < at + 4 for o in choice) for at in choice) for choice in choices]
        assert found.certain <= min(most)
        assert found.possible >= max(most)


def test_other_clients_who_came_too_late_or_had_no_answer_are_missed():
    rows = [(b"own", 0, 5, "admitted"), (b"own", 100, 105, "rejected"), (b"early", 10, 20, "admitted"),
            (b"late", 110, 120, "admitted"), (b"lost", 20, None, "unknown")]  # fmt: skip
    log = EventLog({"fresh_keys": True})
    for number, (key, sent, received, outcome) in enumerate(rows):
        log.append(Event(key=key, sequence=number, sent_ns=sent, received_ns=received,
                         status=None if received is None else 200, outcome=outcome))  # fmt: skip
    own = log.take([0, 1])
    assert search._missed(log, [own], 3) == 2
    assert search._missed(log, [own], 0) == 0
