"""A diagnosis says how a target limits, never of one that keeps its promise."""

from random import Random

import pytest

from rateproof.events import Event, EventLog, derived, outcome_of
from rateproof.policy import Policy
from rateproof.prove import judge

MS = 1_000_000
FIVE = Policy.parse("5 per 1s")
ONLY = {claim: frozenset({claim}) for claim in ("over-admission", "wrong-rejection")}


def log_of(*rows, fresh=True, **metadata):
    """Rows of (key, ms, status) or (key, ms, status, more)."""
    log = EventLog({"fresh_keys": fresh, "scenario": {"key": "header:X-Key"}} | metadata)
    for number, (key, at_ms, status, *more) in enumerate(rows):
        received_ns = None if status is None else at_ms * MS + MS
        event = Event(
            key=key.encode(),
            sequence=number + 1,
            sent_ns=at_ms * MS,
            received_ns=received_ns,
            done_ns=at_ms * MS + MS,
            status=status,
            outcome=outcome_of(status),
            **(more[0] if more else {}),
        )
        log.append(event)
    return log


def times(key, count, status, at_ms=0, **more):
    return [(key, at_ms + 2 * i, status, more) for i in range(count)]


def test_more_than_twice_the_limit_and_nothing_rejected_is_no_limit():
    verdict = judge(log_of(*times("a", 11, 200, bytes=17)), FIVE)
    assert (verdict.outcome, verdict.diagnosis) == ("violated", ("no-limit",))
    assert "none of 11 requests was rejected" in verdict.reasons[0]
    assert "admitted 11 times within 1 s" in verdict.reasons[0]
    assert "every answer was 200, 17 bytes long" in verdict.reasons[0]


def test_twice_the_limit_may_be_a_window_of_another_kind():
    assert judge(log_of(*times("a", 10, 200)), FIVE).diagnosis == ()


def test_no_limit_is_not_consistent_for_one_who_asks_for_rejections_only():
    verdict = judge(log_of(*times("a", 11, 200)), FIVE, claims=ONLY["wrong-rejection"])
    assert (verdict.outcome, verdict.causes) == ("inconclusive", ("no-limit", "not-judged"))


ALL_TOGETHER = [*times("a", 5, 200), *times("b", 3, 429, 20), *times("c", 3, 429, 40)]


def test_one_limit_for_all_is_told_from_a_limit_for_each():
    verdict = judge(log_of(*ALL_TOGETHER), FIVE)
    assert (verdict.outcome, verdict.diagnosis) == ("violated", ("other-key",))
    assert verdict.reasons[0] == (
        "the target limits all clients together (by address?) rather than by header:X-Key: 2 of 3 "
        "keys were rejected before anything of theirs was admitted, and all keys together never "
        "had more than 5 admitted in 1 s"
    )


def test_one_limit_for_all_is_not_consistent_for_one_who_asks_for_admissions_only():
    log = log_of(*ALL_TOGETHER, ("a", 60, 429))
    verdict = judge(log, FIVE, claims=ONLY["over-admission"])
    assert (verdict.outcome, verdict.causes) == ("inconclusive", ("other-key",))


def test_a_limit_by_something_else_is_not_one_for_all_who_had_more():
    rows = [row for n in range(3) for row in times(f"k{n}", 5, 200, n)]
    verdict = judge(log_of(*rows, *times("b", 3, 429, 20), *times("c", 3, 429, 40)), FIVE)
    assert verdict.diagnosis == ("other-key",)
    assert "limits by something else than header:X-Key, such as the address" in verdict.reasons[0]


@pytest.mark.parametrize(
    "rows",
    [
        [*times("a", 5, 200), *times("a", 3, 429, 20), *times("b", 1, 429, 30)],
        [*times("a", 5, 200), ("b", 20, None), ("b", 30, 429), ("c", 20, None), ("c", 30, 429)],
    ],
    ids=["one key", "requests were lost before"],
)
def test_rejections_that_something_else_explains_do_not_show_another_key(rows):
    assert judge(log_of(*rows), FIVE).diagnosis == ()


def test_keys_that_may_have_been_in_use_before_do_not_show_another_key():
    assert judge(log_of(*ALL_TOGETHER, fresh=False), FIVE).diagnosis == ()


def on(connection, key, admitted, rejected=0, at_ms=0):
    rows = times(key, admitted, 200, at_ms, connection=connection)
    return rows + times(key, rejected, 429, at_ms + 2 * admitted, connection=connection)


def test_a_limit_for_each_connection_is_told():
    log = log_of(*on(1, "a", 5, 2), *on(2, "a", 5, 2, at_ms=1), *on(3, "b", 5, 1))
    verdict = judge(log, FIVE)
    assert (verdict.outcome, verdict.diagnosis) == ("violated", ("own-limit-per-connection",))


def test_connections_one_after_the_other_may_have_met_a_server_that_forgot():
    log = log_of(*on(1, "a", 5, 2), *on(2, "a", 5, 2, at_ms=100), *on(3, "b", 5, 1))
    verdict = judge(log, FIVE)
    assert (verdict.outcome, verdict.diagnosis) == ("violated", ())


def spread(key, connections, each, refused, at_ms):
    """One key on many connections at once: each admits some, and rejects some."""
    lanes = [on(ord(key) * 100 + n, key, each, refused, at_ms + n) for n in range(connections)]
    return [row for lane in lanes for row in lane]


def test_counters_that_do_not_know_of_each_other_are_told_from_below():
    rows = [*spread("a", 4, 3, 1, 0), *spread("b", 4, 3, 1, 400), *on(9, "c", 5, 1, 700)]
    verdict = judge(log_of(*rows), FIVE)
    assert verdict.diagnosis == ("several-counters",)
    assert "looks like 3 or more counters" in verdict.reasons[0]


def test_several_counters_are_not_told_from_one_higher_limit_that_explains_all():
    rows = [*on(1, "a", 10, 3), *on(2, "b", 5, 0, 400), *on(3, "b", 5, 3, 401)]
    verdict = judge(log_of(*rows), FIVE)
    assert (verdict.outcome, verdict.diagnosis) == ("violated", ("several-counters",))
    assert "looks like one counter whose limit is 10, or 2 or more counters" in verdict.reasons[0]


def test_where_nobody_is_rejected_too_early_one_counter_may_have_any_higher_limit():
    rows = [*on(1, "c", 5, 1), *on(2, "a", 10, 0, 20_000), *on(3, "b", 8, 0, 20_400)]
    verdict = judge(log_of(*rows, fresh=False), FIVE)
    assert (verdict.outcome, verdict.diagnosis) == ("violated", ("several-counters",))
    assert "looks like one counter whose limit is at least 10, or 2 or" in verdict.reasons[0]


def test_one_counter_rejects_nobody_before_it_admitted():
    rows = [*on(1, "a", 10, 3), *on(2, "b", 8, 0, 400), *on(3, "c", 0, 1, 700)]
    verdict = judge(log_of(*rows), FIVE)
    assert "looks like 2 or more counters" in verdict.reasons[0]


def test_bursts_that_one_window_edge_could_divide_do_not_show_several_counters():
    rows = [*spread("a", 4, 3, 1, 0), *spread("b", 4, 3, 1, 1_000)]
    verdict = judge(log_of(*rows), FIVE)
    assert (verdict.outcome, verdict.diagnosis) == ("violated", ())


REFUSED = [*times("a", 5, 200), *times("a", 3, 403, 20), *times("b", 3, 200)]


def test_another_status_that_comes_only_after_the_limit_is_no_violation():
    verdict = judge(log_of(*REFUSED), FIVE)
    assert (verdict.outcome, verdict.causes) == ("inconclusive", ("other-status",))
    assert "403 seems to be how this target rejects" in verdict.reasons[0]
    assert (
        "as admitted, since only 429 or 503 is taken for a rejection: --rejected 403"
        in (verdict.reasons[0])
    )


def test_the_statuses_that_are_named_are_those_in_force():
    log = derived(log_of(*times("a", 5, 200), *times("a", 3, 429, 20)), {403})
    verdict = judge(log, FIVE)
    assert (verdict.outcome, verdict.causes) == ("inconclusive", ("other-status",))
    assert "429 seems to be how" in verdict.reasons[0]
    assert "since only 403 is taken for a rejection: --rejected 429" in verdict.reasons[0]
    assert judge(derived(log, {429}), FIVE).outcome == "consistent"


def test_a_failure_that_comes_only_after_the_limit_may_be_a_rejection():
    log = log_of(*times("a", 5, 200), *times("a", 3, 509, 20))
    verdict = judge(log, FIVE)
    assert (verdict.outcome, verdict.causes) == (
        "inconclusive",
        ("other-status", "unknown-outcomes"),
    )
    assert "as unknown, since only 429 or 503 is taken" in verdict.reasons[0]
    assert judge(derived(log, {509}), FIVE).outcome == "consistent"


def test_a_failure_that_may_be_a_rejection_excuses_no_admission():
    log = log_of(*times("a", 6, 200), *times("a", 3, 509, 20))
    assert judge(log, FIVE).outcome == "violated"


def test_failures_without_a_rejection_may_be_some():
    log = log_of(*times("a", 3, 200), *times("a", 5, 509, 20))
    verdict = judge(log, FIVE)
    assert verdict.causes == ("unknown-outcomes",)
    assert "if the target rejects by 509: --rejected 509" in " ".join(verdict.reasons)
    told = judge(log_of(*times("b", 5, 200), ("b", 30, 429), *times("a", 6, 500)), FIVE)
    assert "--rejected" not in " ".join(told.reasons)


@pytest.mark.parametrize(
    ("claim", "cause"), [("over-admission", "too-coarse"), ("wrong-rejection", "not-judged")]
)
def test_a_log_without_rejections_that_cannot_tell_may_have_some(claim, cause):
    pressed = [*times("a", 5, 200), ("a", 1_000, 200)]
    log = log_of(*pressed, *times("b", 3, 200), ("b", 30, 403))
    verdict = judge(log, FIVE, claims=ONLY[claim])
    assert (verdict.outcome, verdict.causes) == ("inconclusive", (cause,))
    assert verdict.reasons[0].endswith("; if the target rejects by 403: --rejected 403")
    assert "--rejected" not in judge(log_of(*pressed), FIVE, claims=ONLY[claim]).reasons[0]
    assert judge(derived(log, {403}), FIVE).outcome == "violated"


def test_evidence_that_rests_on_another_status_says_so():
    log = log_of(*times("a", 3, 200), *times("a", 3, 403, 20), ("b", 0, 429))
    verdict = judge(log, FIVE)
    assert verdict.outcome == "violated"
    told = "this takes 403 for admitted; if the target rejects by 403: --rejected 403,429,503"
    assert told in verdict.reasons
    assert "--rejected" not in " ".join(judge(log_of(*times("a", 6, 200)), FIVE).reasons)


def test_only_what_is_a_rejection_is_no_failure_of_the_server():
    rejected = judge(derived(log_of(*times("a", 12, 509)), {509}), FIVE)
    assert (rejected.outcome, rejected.diagnosis) == ("violated", ("nothing-admitted",))
    assert "every answer was 509: it never admits anything" in rejected.reasons[0]
    log = derived(log_of(*times("a", 12, 503, retry_after_s=1.0)), {403})
    assert "every answer was a failure of the server (503: 12)" in judge(log, FIVE).reasons[0]


@pytest.mark.parametrize(
    "more",
    [("b", 30, 403), ("a", 30, 404), ("c", 30, 429)],
    ids=["too early", "two of them", "it rejects as it should"],
)
def test_another_status_that_comes_otherwise_counts_as_admitted(more):
    verdict = judge(log_of(*REFUSED, more), FIVE)
    assert verdict.outcome == "violated"
    assert "other-status" not in verdict.diagnosis


@pytest.mark.parametrize(
    ("status", "outcome", "words"),
    [
        (200, "violated", "no limit seen"),
        (302, "inconclusive", "every answer was 302 (Found): redirects are not followed"),
        (400, "inconclusive", "it does not accept such requests"),
        (401, "inconclusive", "it asks for credentials first"),
        (404, "inconclusive", "there is nothing at that address"),
        (418, "inconclusive", "the target may be another one than was meant"),
        (429, "violated", "every answer was 429 (Too Many Requests): it never admits anything"),
        (499, "inconclusive", "every answer was 499"),
        (500, "inconclusive", "every answer was a failure of the server (500: 12)"),
        (503, "inconclusive", "the server may be down"),
        (599, "inconclusive", "every answer was a failure of the server (599: 12)"),
    ],
)
def test_one_status_for_everything_is_named(status, outcome, words):
    verdict = judge(log_of(*times("a", 12, status)), FIVE)
    assert words in verdict.reasons[0]
    assert verdict.outcome == outcome


def test_client_errors_are_no_admissions_where_others_are_rejected_unless_they_are_named():
    rows = [*times("a", 5, 401), ("a", 30, 429), *times("b", 5, 401)]
    verdict = judge(log_of(*rows), FIVE)
    assert verdict.outcome == "inconclusive"
    assert verdict.reasons[0].startswith("every admitted answer was 401 (Unauthorized)")
    assert verdict.reasons[0].endswith("--admitted 401")
    assert judge(log_of(*rows, admitted_statuses=[401]), FIVE).outcome == "consistent"
    rows += times("b", 7, 401)
    assert judge(log_of(*rows), FIVE).outcome == "inconclusive"
    assert judge(log_of(*rows, admitted_statuses=[401]), FIVE).outcome == "violated"


def test_client_errors_among_what_is_admitted_are_a_remark():
    rows = [*times("a", 3, 200), ("a", 10, 404), ("a", 11, 404), ("a", 30, 429)]
    verdict = judge(log_of(*rows), FIVE)
    assert verdict.outcome == "consistent"
    assert (
        "some answers that count as admitted were redirects or client errors (404: 2)"
        in " ".join(verdict.reasons)
    )
    assert judge(log_of(*rows, admitted_statuses=[404]), FIVE).reasons == ()


@pytest.mark.parametrize("noted", [7, None, {"a": 1}, ["x"], "401"])
def test_admitted_statuses_of_another_form_are_none(noted):
    log = log_of(*times("a", 12, 401), admitted_statuses=noted)
    assert judge(log, FIVE).outcome == "inconclusive"


def test_header_fields_are_not_told_of_where_only_admissions_are_asked():
    log = log_of(*times("a", 5, 200), ("a", 30, 429, {"retry_after_s": 1.0}))
    assert judge(log, FIVE).headers is not None
    assert judge(log, FIVE, claims=ONLY["over-admission"]).headers is None


def test_several_statuses_are_counted():
    verdict = judge(log_of(*times("a", 3, 302), *times("b", 9, 404)), FIVE)
    assert "a client error or a redirect (404: 9, 302: 3)" in verdict.reasons[0]
    assert "there is nothing at that address" in verdict.reasons[0]


def test_a_503_with_the_mark_of_a_limiter_is_a_rejection_and_no_outage():
    verdict = judge(log_of(*times("a", 12, 503, retry_after_s=1.0)), FIVE)
    assert verdict.outcome == "violated"
    assert (
        "every answer was 503 (Service Unavailable): it never admits anything"
        in (verdict.reasons[0])
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("refused", "nothing listens there"),
        ("dns", "the name of the host is not known"),
        ("tls", "does that port speak TLS"),
        ("protocol", "what comes back is not HTTP"),
        ("closed", "it hangs up without an answer"),
        ("timeout", "it takes longer than the timeout"),
    ],
)
def test_a_target_that_answers_nothing_is_described_by_how_it_does_not(error, words):
    verdict = judge(log_of(*times("a", 12, None, error=error)), FIVE)
    assert verdict.outcome == "inconclusive"
    assert f"no request was answered ({error}: 12): " in verdict.reasons[0]
    assert words in verdict.reasons[0]


def a_limiter_that_keeps_its_promise(rng, losing=0.05):
    """Any clients on any connections, with requests lost now and then."""
    rows, admitted = [], {}
    at_ms = 0
    for _ in range(rng.randint(1, 400)):
        at_ms += rng.choice((0, 1, 3, 40))
        key = f"k{rng.randrange(rng.choice((1, 3, 30)))}"
        times_of = admitted[key] = [t for t in admitted.get(key, ()) if t > at_ms - 1_000]
        passes = len(times_of) < 5
        if passes:
            times_of.append(at_ms)
        lost = rng.random() < losing
        status = None if lost else 200 if passes else 429
        rows.append((key, at_ms, status, {"connection": rng.randrange(8)}))
    return rows


@pytest.mark.parametrize("logs", [80, pytest.param(1_000, marks=pytest.mark.slow)])
def test_nothing_is_ever_found_against_a_limiter_that_keeps_its_promise(logs):
    for seed in range(logs):
        verdict = judge(log_of(*a_limiter_that_keeps_its_promise(Random(seed))), FIVE)
        assert set(verdict.diagnosis) <= {"nothing-admitted"}, seed
        assert verdict.outcome != "violated", seed


@pytest.mark.parametrize("status", [200, 302, 403, 408, 500, 509])
def test_a_limiter_is_judged_alike_whichever_status_it_is_said_to_reject_by(status):
    """And where that is not said, it is not called consistent."""
    outcomes = set()
    for seed in range(10):
        rows = a_limiter_that_keeps_its_promise(Random(seed), losing=0)
        if status == 200:
            rows = [(*row[:2], {200: 201}.get(row[2], row[2]), *row[3:]) for row in rows]
        other = [(*row[:2], {429: status}.get(row[2], row[2]), *row[3:]) for row in rows]
        plain, said = judge(log_of(*rows), FIVE), judge(derived(log_of(*other), {status}), FIVE)
        assert said.outcome == plain.outcome, seed
        assert (said.counts, said.diagnosis) == (plain.counts, plain.diagnosis), seed
        outcomes.add(said.outcome)
        if plain.counts.rejected:
            assert judge(log_of(*other), FIVE).outcome != "consistent", seed
    assert "consistent" in outcomes


def test_a_log_without_requests_says_so():
    verdict = judge(log_of(), FIVE)
    assert verdict.outcome == "inconclusive"
    assert "no request was sent" in verdict.describe()


def test_one_byte_is_not_bytes():
    reasons = judge(log_of(*times("a", 11, 200, bytes=1)), FIVE).reasons
    assert "every answer was 200, 1 byte long" in reasons[0]
