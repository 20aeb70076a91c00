"""Keys that are used again are as good as new: nobody is called violated for what came before."""

import random
import threading
from collections import deque
from dataclasses import replace
from pathlib import Path

import pytest

from rateproof.cli import main
from rateproof.clock import EXACT, ManualClock, Tolerance
from rateproof.enforce.limiter import Limiter
from rateproof.events import ADMITTED, REJECTED, UNKNOWN, Event, EventLog, open_log_writer
from rateproof.hunt import endpoints
from rateproof.hunt import settings as hunt_settings
from rateproof.hunt.keyring import Keyring, idle_ns
from rateproof.hunt.report.totals import Totals
from rateproof.hunt.rig import Rig
from rateproof.keyfile import KeyFile
from rateproof.policy import Policy
from rateproof.prove import CONSISTENT, VIOLATED, judge
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.target import Target
from rateproof.simulate.tokens import Tokens

MS, SECOND = 10**6, 10**9
POLICIES = [
    "3 per 1s",
    "fixed-window 3 per 1s",
    "first-hit-window 3 per 1s",
    "sliding-counter 3 per 1s",
    "token-bucket 3 per 1s burst 9",
    "2 per 500ms; 5 per 2s",
]


def keys_of(count: int) -> KeyFile:
    return KeyFile("keys.txt", tuple(b"key-%d" % n for n in range(count)))


def run(limiter: Limiter, clock: ManualClock, ring: Keyring, rng: random.Random) -> EventLog:
    """A run of some keys against a right limiter, with what the keyring says of it."""
    own = rng.randint(1, ring.left)
    wait_ns = ring.wait_ns(own)
    assert wait_ns is not None
    clock.advance(wait_ns)
    tokens = ring.take(own)
    log = EventLog({"fresh_keys": ring.fresh})
    names = tokens.names(tokens.keys)
    for _ in range(rng.randint(1, 60)):
        clock.advance(rng.choice([0, MS, 30 * MS, 300 * MS]))
        number, at_ns = rng.randrange(own), clock.now_ns()
        passed = limiter.hit(tokens.keys[number]).admitted
        outcome, status = (ADMITTED, 200) if passed else (REJECTED, 429)
        log.append(
            Event(
                key=names[number],
                sent_ns=at_ns,
                received_ns=at_ns,
                done_ns=at_ns,
                status=status,
                outcome=outcome,
            )
        )
    ring.give_back(names, log)
    return log


def outcomes(text: str, seed: int, *, idle: float = 1.0) -> list[str]:
    rng, clock = random.Random(seed), ManualClock(10**12)
    policy = Policy.parse(text)
    needed_ns = idle_ns(policy, EXACT, denied_count=False)
    assert needed_ns is not None
    ring = Keyring(keys_of(4), round(needed_ns * idle), now_ns=clock.now_ns)
    limiter = Limiter(policy, clock=clock)
    for _ in range(20):  # somebody used them just before
        limiter.hit(ring.keys.keys[rng.randrange(4)])
    logs = [run(limiter, clock, ring, rng) for _ in range(6)]
    assert all(log.metadata["fresh_keys"] for log in logs)
    return [judge(log, policy, tolerance_ppm=0).outcome for log in logs]


@pytest.mark.parametrize("text", POLICIES)
def test_a_right_limiter_is_never_violated_by_keys_that_come_again(text: str) -> None:
    found = [outcome for seed in range(5) for outcome in outcomes(text, seed)]
    assert VIOLATED not in found
    assert CONSISTENT in found


@pytest.mark.parametrize("text", POLICIES[:1])
def test_keys_that_idled_for_less_would_be_false_alarms(text: str) -> None:
    found = [outcome for seed in range(12) for outcome in outcomes(text, seed, idle=0.3)]
    assert VIOLATED in found


def test_no_key_is_fresh_before_this_process_has_lasted_as_long() -> None:
    clock = ManualClock()
    ring = Keyring(keys_of(3), SECOND, now_ns=clock.now_ns)
    assert ring.wait_ns(1) == SECOND
    ring.take(1)
    assert not ring.fresh


def test_a_key_whose_request_had_no_answer_is_not_used_again() -> None:
    clock = ManualClock()
    ring = Keyring(keys_of(2), SECOND, now_ns=clock.now_ns)
    clock.advance(SECOND)
    tokens = ring.take(2)
    names = tokens.names(tokens.keys)
    log = EventLog()
    log.append(
        Event(
            key=names[1],
            sent_ns=clock.now_ns(),
            received_ns=None,
            status=None,
            outcome=UNKNOWN,
        )
    )
    ring.give_back(names, log)
    assert (ring.left, ring.lost) == (1, 1)
    assert ring.wait_ns(2) is None
    assert "1 left out" in ring.told


def refusing(scenario: Scenario, **_: object) -> EventLog:
    """The first key is let in three times, and no other is known."""
    noted = {"rejected_statuses": [429], "own_keys": []}
    log = EventLog({"scenario": noted, "fresh_keys": False})
    names = scenario.tokens.names(scenario.written)
    for number in range(60):
        known = names[number % len(names)] == names[0]
        log.append(
            Event(
                key=names[number % len(names)],
                sent_ns=number * MS,
                received_ns=number * MS + 1_000,
                done_ns=number * MS + 1_000,
                status=200 if known and number < 9 else 429 if known else 401,
                outcome=REJECTED if known and number >= 9 else ADMITTED,
            )
        )
    return log


@pytest.mark.parametrize(("admitted", "violated"), [(None, False), ([401], True)])
def test_answers_to_keys_that_are_not_known_are_no_admissions(
    admitted: list[int] | None, *, violated: bool
) -> None:
    """They were called admitted too often, and several counters: 401 for all but one key."""
    told = hunt_settings.TestSettings.told(
        url="http://127.0.0.1:1", policy=Policy.parse("3 per 1s"), admitted_statuses=admitted
    )
    settings = replace(told, keys=keys_of(3))
    rig = Rig(settings, refusing, threading.Event(), keyring=Keyring(keys_of(3), 0, unused=True))
    log = rig.send(rig.scenario((Group(Schedule.parse("9 at 0 s"), 3),), SECOND))
    verdict = rig.judge(log)
    assert (verdict.outcome == VIOLATED) is violated, verdict
    assert "nobody else sends with the keys of 'keys.txt'" in " ".join(verdict.reasons)
    assert rig.keyring is not None
    assert (rig.keyring.left, rig.keyring.strange) == ((3, 0) if violated else (1, 2))


@pytest.mark.parametrize(("admitted", "code"), [((), 2), (("--admitted", "401"), 1)])
def test_nor_are_they_in_a_log_that_is_checked_later(
    admitted: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    """It was violated by keys whose every answer was 401."""
    tokens = Tokens(keys_of(3).keys, 3)
    groups = (Group(Schedule.parse("9 at 0 s"), 3),)
    log = refusing(
        Scenario(target=Target.parse("http://127.0.0.1:1"), groups=groups, tokens=tokens)
    )
    with open_log_writer(tmp_path / "log.jsonl", log.metadata) as writer:
        writer.write(log)
    assert main(["check", str(tmp_path / "log.jsonl"), "--policy", "3 per 1s", *admitted]) == code


@pytest.mark.parametrize("idle", [None, 3_600 * SECOND])
def test_where_no_wait_makes_keys_fresh_each_is_used_once_and_called_unknown(
    idle: int | None,
) -> None:
    clock = ManualClock()
    ring = Keyring(keys_of(3), idle, now_ns=clock.now_ns)
    assert ring.wait_ns(2) == 0
    tokens = ring.take(2)
    assert not ring.fresh
    ring.give_back(tokens.names(tokens.keys), EventLog())
    assert ring.left == 1
    assert ring.wait_ns(2) is None
    assert "each used once" in ring.told


def test_what_somebody_knows_of_the_keys_holds_for_their_first_use_alone() -> None:
    clock = ManualClock(SECOND)
    ring = Keyring(keys_of(2), SECOND, unused=True, now_ns=clock.now_ns)
    assert ring.wait_ns(2) == 0
    tokens = ring.take(2)
    assert ring.fresh
    ring.give_back(tokens.names(tokens.keys), EventLog())
    assert ring.wait_ns(1) == SECOND
    long = Keyring(keys_of(2), 3_600 * SECOND, unused=True, now_ns=clock.now_ns)
    tokens = long.take(1)
    assert long.fresh
    long.give_back(tokens.names(tokens.keys), EventLog())
    assert long.left == 1


def test_a_bucket_that_denials_drain_has_no_bottom() -> None:
    policy = Policy.parse("token-bucket 3 per 1s")
    assert idle_ns(policy, EXACT, denied_count=True) is None
    counter = Policy.parse("sliding-counter 3 per 1s; 100 per 3s")
    assert idle_ns(counter, Tolerance(500), denied_count=False) == 3_001_500_751


def test_others_take_what_is_fresh_and_never_the_key_of_a_client() -> None:
    clock = ManualClock()
    ring = Keyring(keys_of(6), SECOND, now_ns=clock.now_ns)
    clock.advance(SECOND)
    first = ring.take(2)
    ring.give_back(first.names(first.keys), EventLog())
    clock.advance(SECOND // 2)
    second = ring.take(1, others=2, more=9)
    assert second.own == 1
    assert second.keys == (b"key-2", b"key-3", b"key-4", b"key-5")
    assert ring.fresh
    assert ring._ready == deque([(2 * SECOND, 0), (2 * SECOND, 1)])


def test_once_the_keys_of_a_file_are_used_up_nothing_is_sent() -> None:
    """One request was, with the file's first key: a right limiter was called violated for it."""
    told = hunt_settings.TestSettings.told(
        url="http://127.0.0.1:1", policy=Policy.parse("3 per 1h"), keys=keys_of(3), fresh_keys=True
    )
    sent: list[int | None] = []

    def transport(scenario: Scenario, **_: object) -> EventLog:
        sent.append(scenario.max_requests)
        return EventLog({"scenario": {"namespace": scenario.namespace}})

    rig = Rig(told, transport, threading.Event(), keyring=Keyring.of(told))
    for _ in range(2):
        rig.send(rig.scenario((Group(Schedule(((0, 4),)), 2),), SECOND))
    assert sent == [None, 0]
    assert rig.stop.is_set()
    assert rig.keyring is not None
    assert rig.keyring.told.endswith("each used once; they are used up")


def test_keys_are_unused_before_the_first_endpoint_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Endpoints that share a limiter: the second was called violated for what the first sent."""
    told = hunt_settings.TestSettings.told(
        url="http://127.0.0.1:1", policy=Policy.parse("3 per 1s"), iterations=1, out=tmp_path
    )
    seen = []

    def tested(settings: hunt_settings.TestSettings, *_: object, **__: object) -> Totals:
        seen.append(settings.fresh_keys)
        return Totals()

    monkeypatch.setattr(endpoints, "tested", tested)
    each = replace(told, keys=keys_of(3), fresh_keys=True)
    endpoints.run_tests([replace(each, endpoint=name) for name in ("a", "b", "c")])
    assert seen == [True, False, False]
