"""Key by key: the same judgement as that of the whole log, those first that pressed hardest."""

import json
import random
from dataclasses import replace

import pytest

from rateproof import cli
from rateproof.errors import InvalidArgument
from rateproof.events import Event, EventLog
from rateproof.policy import Policy
from rateproof.prove import CONSISTENT, INCONCLUSIVE, VIOLATED, judge, judge_keys
from rateproof.prove.judgement import by_key

MS = 1_000_000
FIVE = Policy.parse("5 per 5s")


def log_of(keys, **metadata):
    """By key, its requests as (sent in ms, status), each answered a millisecond later."""
    log = EventLog({"fresh_keys": True, **metadata})
    for key, requests in keys.items():
        for sent, status in requests:
            log.append(
                Event(
                    key=key,
                    sent_ns=sent * MS,
                    received_ns=None if status is None else (sent + 1) * MS,
                    status=status,
                    outcome={200: "admitted", 429: "rejected"}.get(status, "unknown"),
                    sequence=len(log) + 1,
                )
            )
    return log


def burst(count, start=0, status=200):
    return [(start + i, status) for i in range(count)]


KEYS = {
    b"idle": burst(2),
    b"full": [*burst(5), (10, 429)],
    b"near": [*burst(5), (6, 429), (5_030, 200)],
    b"nearer": [*burst(5), (6, 429), (5_004, 200)],
    b"over": burst(6),
}


def test_each_key_has_its_own_verdict_and_those_that_pressed_hardest_come_first():
    found = judge_keys(log_of(KEYS), FIVE)
    assert [(key.key, key.verdict.outcome) for key in found] == [
        (b"over", VIOLATED),
        (b"nearer", CONSISTENT),
        (b"near", CONSISTENT),
        (b"full", CONSISTENT),
        (b"idle", INCONCLUSIVE),
    ]
    assert [key.margin_ns for key in found] == [-4_994 * MS, 5 * MS, 31 * MS, None, None]
    assert [key.excess for key in found] == [None, 1, 1, 1, None]
    assert found[-1].verdict.causes == ("never-stressed",)


def test_one_request_is_not_requests():
    (once,) = judge_keys(log_of({b"once": burst(1)}), FIVE)
    assert "1 request, 1 admitted" in once.sentence()


def test_a_line_has_the_figures():
    over, nearer, *_, idle = judge_keys(log_of(KEYS), FIVE)
    assert nearer.sentence() == (
        "'nearer': consistent; 7 requests, 6 admitted; 6 in 5.005000 s; could have shown 1 more"
    )
    assert idle.sentence() == "'idle': inconclusive, never-stressed; 2 requests, 2 admitted"
    assert over.to_json() == {
        "key": "'over'",
        "key_base64": "b3Zlcg==",
        "run": None,
        "outcome": "violated",
        "causes": [],
        "requests": 6,
        "admitted": 6,
        "rejected": 0,
        "unknown": 0,
        "margin_ns": -4_994 * MS,
        "excess": None,
    }


def test_what_is_true_of_the_whole_log_is_true_of_each_key():
    """A lost answer, a log that is cut off: each key's rejections are judged as in the whole."""
    keys = {b"a": [(0, 200), (20_000, 429)], b"b": burst(6)}
    assert judge_keys(log_of(keys), FIVE)[0].verdict.outcome == VIOLATED
    cut_off = judge_keys(log_of(keys, complete=False), FIVE, claims=frozenset({"wrong-rejection"}))
    assert all("log-cut-off" in key.verdict.causes for key in cut_off)
    unfresh = log_of({**keys, b"c": [(0, None)]}, fresh_keys=False)
    by_key = {key.key: key.verdict for key in judge_keys(unfresh, FIVE)}
    assert by_key[b"a"].counts.judged == 0


@pytest.mark.parametrize("core", ["native", "python"])
def test_a_log_is_violated_where_one_of_its_keys_is(core, monkeypatch):
    if core == "python":
        monkeypatch.setenv("RATEPROOF_CORE", "python")
    rng = random.Random(3)
    violated = 0
    for _ in range(60):
        keys = {}
        for key in (b"a", b"b", b"c"):
            now, keys[key] = 0, []
            for _ in range(rng.randrange(1, 9)):
                now += rng.choice((1, 10, 900, 4_000))
                keys[key].append((now, rng.choice((200, 200, 200, None))))
        log = log_of(keys)
        whole, found = judge(log, FIVE), judge_keys(log, FIVE)
        over = {key.key for key in found if key.verdict.outcome == VIOLATED}
        assert over == {piece.key for piece in whole.evidence}
        assert bool(over) == (whole.outcome == VIOLATED)
        assert sum(key.verdict.counts.events for key in found) == whole.counts.events
        assert sum(key.verdict.counts.judged for key in found) == whole.counts.judged
        if not over:
            margins = [key.margin_ns for key in found if key.margin_ns is not None]
            assert margins == [call.margin_ns for call in whole.closest]
        violated += bool(over)
    assert 10 < violated < 55


def test_the_closest_five_are_named_in_the_verdict():
    keys = {b"%d" % i: [*burst(5), (6, 429), (5_010 - i % 7, 200)] for i in range(20)}
    verdict = judge(log_of(keys), FIVE)
    assert [call.key for call in verdict.closest] == [b"13", b"6", b"19", b"12", b"5"]
    assert verdict.closest[0].margin_ns == 5 * MS
    assert "closest calls: '13' 6 in 5.005000 s; '6' 6 in 5.005000 s; '19' 6" in verdict.describe()
    assert verdict.to_json()["closest"][0] == {
        "key": "'13'",
        "key_base64": "MTM=",
        "quota": "5 per 5s",
        "allowed": 5,
        "window_ns": 5_000 * MS,
        "margin_ns": 5 * MS,
    }


def test_an_unknown_claim_is_refused():
    with pytest.raises(InvalidArgument, match="claims"):
        judge_keys(log_of(KEYS), FIVE, claims=frozenset({"speed"}))


def test_header_fields_alone_are_not_judged_key_by_key():
    with pytest.raises(InvalidArgument, match="over the whole log, not key by key"):
        judge_keys(log_of(KEYS), FIVE, claims=frozenset({"headers"}))


def test_keys_in_several_runs_are_told_apart():
    log = EventLog({"fresh_keys": True})
    for run in (0, 1):
        log.extend(
            Event(**{n: getattr(event, n) for n in event.__slots__} | {"run": run})
            for event in log_of({b"a": burst(5 + run)})
        )
    found = judge_keys(log, FIVE)
    assert [(key.run, key.verdict.outcome) for key in found] == [(1, VIOLATED), (0, INCONCLUSIVE)]
    assert found[0].sentence().startswith("'a', run 1: violated")
    of_rejections = frozenset({"wrong-rejection"})
    found = judge_keys(log, FIVE, claims=of_rejections)
    whole = judge(log, FIVE, claims=of_rejections)
    assert sorted(key.run for key in found) == [0, 1]
    for key in found:
        assert (key.verdict.outcome, key.verdict.causes) == (INCONCLUSIVE, ("not-judged",))
        assert key.verdict.reasons == whole.reasons
    assert (whole.outcome, whole.causes) == (INCONCLUSIVE, ("not-judged",))


def test_check_lists_a_line_for_each_key(tmp_path, capsys):
    path = tmp_path / "log.jsonl"
    lines = [
        {"key": event.key.decode(), "sent_ns": event.sent_ns, "received_ns": event.received_ns,
         "status": event.status}
        for event in log_of(KEYS)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert cli.main(["check", str(path), "--by-key"]) == 1
    said = capsys.readouterr()
    assert [line.partition(":")[0] for line in said.out.splitlines()] == [
        "'over'",
        "'nearer'",
        "'near'",
        "'full'",
        "'idle'",
    ]
    assert said.err.startswith("policy: 5 per 5s (default)\nVIOLATED: 6 let through")
    assert cli.main(["check", str(path), "--by-key", "--json"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["key"] for row in rows] == ["'over'", "'nearer'", "'near'", "'full'", "'idle'"]


def test_keys_with_few_requests_have_the_verdict_that_a_search_gives_them(monkeypatch):
    """Those that are told of without a search: any number of requests up to the limit, of any width."""
    draws = random.Random(5)
    policy = Policy.parse("3 per 20ms; token-bucket 5 per 1s")
    log = EventLog({"fresh_keys": True})
    for _ in range(120):
        sent, status = draws.randrange(60) * MS, draws.choice((200, 200, 200, None))
        took = draws.choice((0, 1, 30)) * MS
        log.append(
            Event(
                key=b"%d" % draws.randrange(50), sent_ns=sent,
                received_ns=None if status is None else sent + took, status=status,
                outcome="unknown" if status is None else "admitted",
            )
        )  # fmt: skip
    native = judge_keys(log, policy)
    assert len({id(key.verdict) for key in native}) < len(native), (
        "none is told of without a search"
    )
    monkeypatch.setenv("RATEPROOF_CORE", "python")
    assert [nameless(key) for key in judge_keys(log, policy)] == [nameless(key) for key in native]
    searched = []
    monkeypatch.undo()
    monkeypatch.setattr(by_key, "verdict_of", lambda trial, *_, **__: searched.append(trial))
    with pytest.raises(AttributeError):
        judge_keys(log_of({b"%d" % key: burst(2) for key in range(20)} | {b"over": burst(6)}), FIVE)
    assert len(searched) == 1, "of 21 keys one has to be searched"


def nameless(key):
    """Of verdicts that keys share, the pressure names no key."""
    pressure = tuple(replace(one, key=b"") for one in key.verdict.pressure)
    return replace(key, verdict=replace(key.verdict, pressure=pressure))
