"""Evidence is a part of the log of which no request can be left out, and stands alone as a document."""

import json
import random
from collections import Counter

import pytest

from rateproof.clock import EXACT, Tolerance
from rateproof.events import Event, EventLog
from rateproof.policy import Policy
from rateproof.prove import INCONCLUSIVE, VIOLATED, judge, verify
from rateproof.prove.evidence import Document, to_document

ALGORITHMS = (
    "sliding-log",
    "fixed-window",
    "sliding-counter",
    "first-hit-window",
    "token-bucket",
    "leaky-queue",
)
OVER, WRONG = frozenset({"over-admission"}), frozenset({"wrong-rejection"})


def a_quota(rng: random.Random, algorithm: str) -> str:
    limit, window = rng.randint(1, 4), rng.choice([6, 60, 600_000])
    if algorithm == "token-bucket":
        return f"{algorithm} {limit} per {window}ns burst {rng.randint(1, 4)}"
    return f"{algorithm} {limit} per {window}ns"


def admissions(rng: random.Random, policy: Policy) -> EventLog:
    """Too many for some window, at a few instants or each for some time."""
    quota = policy.quotas[0]
    window, most = quota.window_ns, max(quota.limit, quota.burst)
    log = EventLog({"fresh_keys": rng.random() < 0.7})
    span = rng.choice([1, window // 3, window, 2 * window, 3 * window])
    took = rng.choice([0, 0, 1, window // 10, window // 2, 2 * window])
    sent = sorted(rng.randrange(span) for _ in range(rng.randint(most + 1, 3 * most + 6)))
    for number, sent_ns in enumerate(sent):
        took_ns = rng.randint(0, took) if rng.random() < 0.7 else 0
        log.append(
            Event(
                key=b"client-7",
                sequence=number,
                sent_ns=sent_ns,
                received_ns=sent_ns + took_ns,
                status=200,
                outcome="admitted",
            )
        )
    return log


def without(document: dict, request: int) -> dict:
    requests = [*document["requests"]]
    number = requests.pop(request)["number"]
    without_need = [one for one in document["without_need"] if one != number]
    return {**document, "requests": requests, "without_need": without_need}


def every_request_is_needed(rng: random.Random, policy: Policy, logs: int) -> Counter[str]:
    """Judge so many logs; how often there was evidence, and of what kind."""
    seen: Counter[str] = Counter()
    tolerance = Tolerance(rng.choice([0, 500]), rng.choice([0, 0, 1]))
    for _ in range(logs):
        log = admissions(rng, policy)
        verdict = judge(
            log, policy, claims=OVER,
            tolerance_ppm=tolerance.ppm, granularity_ns=tolerance.granularity_ns,
        )  # fmt: skip
        for piece in verdict.evidence:
            document = json.loads(json.dumps(to_document(piece, tolerance, log.metadata)))
            again = verify(Document.read(document))
            assert again.outcome == VIOLATED, document
            assert again.evidence[0].sentence() == document["sentence"]
            assert piece.minimal
            seen["complete" if piece.complete else "nested" if piece.nested else "searched"] += 1
            if piece.complete or len(piece.events) == 1:
                continue
            for request in range(len(piece.events)):
                rest = verify(Document.read(without(document, request)))
                assert (rest.outcome, rest.causes) == (INCONCLUSIVE, ("not-shown",)), (
                    document,
                    request,
                )
    return seen


@pytest.mark.parametrize("policies", [6, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_request_of_evidence_can_be_left_out(algorithm, policies):
    rng = random.Random(algorithm)
    seen = Counter[str]()
    for _ in range(policies):
        policy = Policy.parse(a_quota(rng, algorithm))
        seen += every_request_is_needed(rng, policy, 5)
    assert seen["nested"] > policies // 3
    assert (seen["complete"] > 0) == (algorithm == "first-hit-window")


@pytest.mark.parametrize("policies", [12, pytest.param(100, marks=pytest.mark.slow)])
def test_no_request_of_evidence_against_several_quotas_can_be_left_out(policies):
    rng = random.Random(7)
    seen = Counter[str]()
    for _ in range(policies):
        quotas = [a_quota(rng, rng.choice(ALGORITHMS)) for _ in range(rng.randint(2, 3))]
        seen += every_request_is_needed(rng, Policy.parse("; ".join(quotas)), 4)
    assert min(seen["nested"], seen["searched"]) > policies // 6


def answers(rng: random.Random) -> EventLog:
    """A few admissions and rejections of one key at a few instants, some under way for long."""
    log = EventLog({"fresh_keys": True})
    for number in range(rng.randint(3, 8)):
        sent_ns = rng.randrange(9)
        status = rng.choice([200, 200, 429])
        log.append(
            Event(
                key=b"client-7",
                sequence=number,
                sent_ns=sent_ns,
                received_ns=sent_ns + rng.randint(0, 4),
                status=status,
                outcome="admitted" if status == 200 else "rejected",
            )
        )
    return log


@pytest.mark.parametrize("logs", [350, pytest.param(2_500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("denied_count", [False, True])
def test_no_rejection_of_evidence_can_be_left_out(denied_count, logs):
    """Of what counts nothing may be: a rejection without need rests on there being no more."""
    rng = random.Random(9)
    seen = Counter[str]()
    for _ in range(logs):
        policy = Policy.parse(f"{rng.randint(1, 3)} per {rng.randint(1, 6)}ns")
        log = answers(rng)
        verdict = judge(log, policy, claims=WRONG, tolerance_ppm=0, denied_count=denied_count)
        for piece in verdict.evidence:
            seen["nested" if piece.nested else "together"] += 1
            document = to_document(piece, EXACT, log.metadata, denied_count=denied_count)
            again = verify(Document.read(document))
            assert again.outcome == VIOLATED, (policy, document["requests"])
            if piece.nested or not denied_count:
                assert again.evidence[0].sentence() == document["sentence"]
            refused = range(len(piece.events) - piece.without_need, len(piece.events))
            for request in refused if piece.without_need > 1 and not denied_count else []:
                rest = verify(Document.read(without(document, request)))
                assert rest.outcome == INCONCLUSIVE, (policy, document["requests"], request)
    assert seen["nested"] > logs // 30, seen
    assert seen["together"] > logs // 300, seen
