"""What a client did around the evidence."""

import pytest

from rateproof.hunt.report.clip import MOST_REQUESTS, clip
from rateproof.policy import Policy
from rateproof.prove import judge

POLICY = Policy.parse("5 per 5s")


def evidence_of(log, claim="over-admission"):
    (first, *_) = [p for p in judge(log, POLICY).evidence if p.claim == claim]
    return first


def test_it_has_the_evidence_and_its_client_alone_within_half_a_window(log_of):
    log = log_of(0, 0.1, 0.2, 0.3, 0.4, 0.5, rejected=[1, 20], key=b"a")
    log_of(0.15, key=b"b", log=log)
    found = clip(log, evidence_of(log), 3)
    assert [r.number for r in found.requests] == [1, 2, 3, 4, 5, 6, 7]
    assert [r.named for r in found.requests] == [True] * 6 + [False]
    assert [r.answer for r in found.requests] == ["200"] * 6 + ["429"]
    assert (found.iteration, found.opens_ns, found.left_out) == (3, 0, 0)


def test_of_very_many_requests_the_evidence_and_the_nearest_are_kept(log_of):
    rejected = [0.5 + n / 2_000 for n in range(2_000)]
    log = log_of(0, 0.1, 0.2, 0.3, 0.4, 1.6, rejected=rejected)
    found = clip(log, evidence_of(log))
    assert len(found.requests) == MOST_REQUESTS
    assert found.left_out == 2_006 - MOST_REQUESTS
    assert sum(r.named for r in found.requests) == 6
    assert [r.sent_ns for r in found.requests] == sorted(r.sent_ns for r in found.requests)


def test_the_window_of_a_wrong_rejection_ends_where_that_was_sent(log_of):
    log = log_of(0, 1, rejected=[2])
    found = clip(log, evidence_of(log, "wrong-rejection"))
    assert found.opens_ns == -3_000_000_000
    assert found.requests[-1].named
    assert found.requests[-1].outcome == "rejected"


def test_an_error_that_is_no_plain_word_is_not_repeated(log_of):
    log = log_of(0, 0.1, 0.2, 0.3, 0.4, 0.5, lost=[1], error="<script>")
    assert clip(log, evidence_of(log)).requests[-1].answer == "other"


@pytest.mark.parametrize(
    ("at_s", "rejected", "claim", "close_ns"),
    [
        ((0, 0.1, 0.2, 0.3, 0.4, 0.5), (), "over-admission", 626_250_000),
        ((0, 1, 2, 2, 2, 2), (), "over-admission", None),
        ((0,), (1,), "wrong-rejection", None),
    ],
)
def test_of_a_window_far_longer_than_the_evidence_a_chart_opens_on_that(
    log_of, at_s, rejected, claim, close_ns
):
    log = log_of(*at_s, rejected=rejected)
    assert clip(log, evidence_of(log, claim)).close_ns == close_ns
