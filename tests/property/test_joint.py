"""The search over orders of decisions against every choice of instants."""

import random
from dataclasses import replace
from itertools import product

import pytest

from rateproof import core
from rateproof.clock import Tolerance
from rateproof.events import Event, EventLog, outcome_of
from rateproof.policy import Policy, Quota
from rateproof.prove import VIOLATED, judge
from rateproof.prove.over_admission.gaps import Exhausted, Feasible, Infeasible
from rateproof.prove.wrong_rejection.orders import Episode, Log, explain, logs_of

PLENTY = 10**6


def keeps(admissions, rejections, others, logs, denied_count):
    """Say whether these instants keep every log and give each rejection a full one.

    Of rejections at one instant the first counts none of the others.
    """
    ordered = sorted(admissions)
    for log in logs:
        spans = zip(ordered, ordered[log.limit :], strict=False)
        if any(last - first < log.low_ns for first, last in spans):
            return False

    def held(at, log):
        since = at - log.high_ns
        count = sum(since <= t <= at for t in admissions)
        if denied_count:
            count += sum(since <= t <= at for t in others)
            count += sum(since <= t < at for t in rejections)
        return count

    return all(any(held(at, log) >= log.limit for log in logs) for at in rejections)


def split(instants, episode):
    first = len(episode.admissions)
    last = first + len(episode.rejections)
    return instants[:first], instants[first:last], instants[last:]


def brute(episode, logs) -> bool:
    intervals = (*episode.admissions, *episode.rejections, *episode.others)
    return any(
        keeps(*split(instants, episode), logs, episode.denied_count)
        for instants in product(*(range(sent, received + 1) for sent, received in intervals))
    )


def interval(rng, last=9, longest=3):
    sent = rng.randrange(last)
    return sent, sent + rng.randint(0, longest)


def some_logs(rng):
    for _ in range(rng.choice((1, 1, 2))):
        window = rng.randint(1, 6)
        low, high = max(0, window - rng.choice((0, 0, 1))), window + rng.choice((0, 0, 1))
        yield Log(rng.randint(1, 3), low, high)


def some_episode(rng, most=(4, 2, 1), **shape):
    denied_count = rng.random() < 0.3
    admissions, rejections, others = (
        [interval(rng, **shape) for _ in range(rng.randint(0, count))] for count in most
    )
    return Episode(admissions, rejections, others if denied_count else [], denied_count)


def agree(rng, instances):
    explained = 0
    for _ in range(instances):
        episode, logs = some_episode(rng), list(some_logs(rng))
        answer = explain(episode, logs, PLENTY)
        assert isinstance(answer, Feasible if brute(episode, logs) else Infeasible), (episode, logs)
        if isinstance(answer, Feasible):
            explained += 1
            intervals = (*episode.admissions, *episode.rejections, *episode.others)
            for instant, (sent, received) in zip(answer.instants, intervals, strict=True):
                assert sent <= instant <= received
            assert keeps(*split(answer.instants, episode), logs, episode.denied_count)
    return explained


def test_it_finds_instants_exactly_where_there_are_some():
    explained = agree(random.Random(1), 1_500)
    assert 225 < explained < 1_275


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_it_finds_instants_exactly_where_there_are_some_at_length(seed):
    assert agree(random.Random(100 + seed), 20_000) > 4_000


def test_it_gives_up_when_the_budget_is_spent():
    rng = random.Random(2)
    spent = 0
    for _ in range(400):
        episode, logs = some_episode(rng, (9, 9, 4), last=30, longest=20), list(some_logs(rng))
        budget = rng.choice((0, 5, 50, 500))
        whole, part = explain(episode, logs, 5_000), explain(episode, logs, budget)
        assert part == whole or (isinstance(part, Exhausted) and whole.spent > budget)
        spent += isinstance(part, Exhausted)
    assert spent > 40


def test_the_logs_of_a_policy_allow_for_both_clocks():
    policy = Policy.parse("3 per 1000000ns; 5 per 2000000ns")
    assert logs_of(policy) == (Log(3, 1_000_000, 1_000_000), Log(5, 2_000_000, 2_000_000))
    assert logs_of(policy, Tolerance(500, 7))[0] == Log(3, 999_493, 1_000_508)
    assert logs_of(Policy.parse("3 per 1s; fixed-window 5 per 9s")) == ()


def log_of(episode: Episode) -> EventLog:
    log = EventLog(metadata={"fresh_keys": True})
    rows = [
        *((job, 200) for job in episode.admissions),
        *((job, 503) for job in episode.rejections),
    ]
    for number, ((sent, received), status) in enumerate(rows):
        log.append(
            Event(key=b"k", sequence=number, sent_ns=sent, received_ns=received, status=status,
                  outcome=outcome_of(status))
        )  # fmt: skip
    return log


@pytest.mark.parametrize("logs", [350, pytest.param(5_000, marks=pytest.mark.slow)])
def test_a_verdict_rests_on_it_where_nothing_plainer_was_found(logs, monkeypatch):
    """Called violated is only what no choice explains, and nearly all of that.

    Where denials count, two at one instant may each be taken for the reason of the other.
    """
    rng = random.Random(3)
    together = missed = 0
    for _ in range(logs):
        quotas = tuple(
            Quota(rng.randint(1, 3), rng.randint(1, 6)) for _ in range(rng.choice((1, 2)))
        )
        policy = Policy(quotas)
        episode = replace(some_episode(rng, (4, 3, 0)), denied_count=rng.random() < 0.3)
        log = log_of(episode)
        verdict = judge(log, policy, tolerance_ppm=0, denied_count=episode.denied_count)
        explained = brute(episode, logs_of(policy))
        if verdict.outcome == VIOLATED:
            assert not explained, (policy, episode, verdict)
        if episode.admissions and not episode.denied_count:
            missed += not explained and verdict.outcome != VIOLATED
        together += any(
            episode.claim == "wrong-rejection" and not episode.nested
            for episode in verdict.evidence
        )
        if core.native() is not None:
            with monkeypatch.context() as context:
                context.setenv("RATEPROOF_CORE", "python")
                again = judge(log, policy, tolerance_ppm=0, denied_count=episode.denied_count)
            assert again == verdict, (policy, episode)
    assert together >= logs // 300
    assert missed <= together // 5
