"""Recorded logs, good and bad: each comes out as its own metadata says."""

from pathlib import Path

import pytest

from rateproof.events import EventLog, read_log
from rateproof.policy import Policy
from rateproof.prove import CLAIMS, Verdict, judge

HISTORIES = Path(__file__).parents[2] / "histories"
NAMES = sorted(path.name for path in HISTORIES.glob("*.jsonl"))

each_core = pytest.mark.parametrize("core", ["native", "python"])


def of(name: str) -> tuple[EventLog, Verdict]:
    log = read_log(HISTORIES / name)
    verdict = judge(
        log,
        Policy.parse(log.metadata["policy"]),
        claims=frozenset(log.metadata.get("claims", CLAIMS)),
        denied_count=log.metadata.get("denied_count", False),
    )
    return log, verdict


def test_there_are_histories():
    assert len(NAMES) > 15


@each_core
@pytest.mark.parametrize("name", NAMES)
def test_is_judged_as_it_should_be(name, core, monkeypatch):
    if core == "python":
        monkeypatch.setenv("RATEPROOF_CORE", "python")
    log, verdict = of(name)
    expected = log.metadata
    assert verdict.outcome == expected["verdict"], verdict.reasons
    assert list(verdict.causes) == expected.get("causes", [])
    assert verdict.counts.unknown == expected.get("unknown", verdict.counts.unknown)
    assert verdict.counts.judged == expected.get("judged", verdict.counts.judged)
    assert expected.get("reason", "") in "; ".join(verdict.reasons)
    if "headers" in expected:
        assert [finding.rule for finding in verdict.headers.findings] == expected["headers"]
    if verdict.outcome == "violated" and "headers" not in expected:
        assert {len(piece.events) for piece in verdict.evidence} == {expected["requests"]}
        assert len(verdict.evidence) == expected.get("pieces", len(verdict.evidence))
        claims = {piece.claim for piece in verdict.evidence}
        assert claims == {expected.get("claim", "over-admission")}
    else:
        assert verdict.evidence == ()


@pytest.mark.parametrize("name", NAMES)
def test_evidence_alone_is_judged_violated_again(name):
    """The few requests of an over-admission need nothing else of the log."""
    log, verdict = of(name)
    for piece in verdict.evidence:
        if piece.claim == "over-admission":
            numbers = {event.number for event in piece.events}
            alone = EventLog({"fresh_keys": True})
            alone.extend(event for event in log if event.sequence in numbers)
            again = judge(alone, Policy.parse(log.metadata["policy"]))
            assert again.outcome == "violated"
            assert again.evidence[0].events == piece.events


def test_strange_keys_reach_no_text_unescaped():
    _, verdict = of("strange-keys.jsonl")
    for piece in verdict.evidence:
        for text in (piece.sentence(), piece.timeline(), str(piece.to_json())):
            assert all(character.isprintable() or character == "\n" for character in text), text
        assert "\n" not in piece.sentence()
        assert len(piece.sentence()) < 200
