"""Claims about how a generator is judged: by what it did itself, and not by one hiccup."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rateproof.simulate.audit import Audit, judgement

MS = 1_000_000
TOLERANCE = 10 * MS


def audited(own_lags, *, dropped=(), turns=(), cpu_share=0.1, tolerance=TOLERANCE):
    audit = Audit(tolerance_ns=tolerance, cpu_ns=round(cpu_share * 10**9), wall_ns=10**9)
    for own_lag in own_lags:
        audit.sent(own_lag + 1_000 * MS, own_lag, paced=False)
    for count, own_lag in dropped:
        audit.drop(count, own_lag)
    for turn in turns:
        audit.turn(turn)
    return audit.figures()


def said(figures, what):
    return judgement(figures, TOLERANCE)[what]


def test_a_run_without_a_request_counts():
    figures = audited([])
    assert figures["own_lag_p99_ns"] is figures["lag_max_ns"] is None
    assert said(figures, "valid")
    assert said(figures, "warnings") == said(figures, "remarks") == []


def test_every_figure_is_there():
    audit = Audit(tolerance_ns=TOLERANCE, cpu_ns=250, wall_ns=1_000, reconnects=3, unsent=1)
    audit.sent(5 * MS, 3 * MS, paced=True)
    audit.sent(70 * MS, 11 * MS, paced=False)
    audit.drop(4, None)
    audit.turn(12 * MS)
    audit.turn(10 * MS)
    figures = audit.figures()
    assert figures == {
        "requests": 2,
        "paced": 1,
        "lag_p50_ns": figures["lag_p50_ns"],
        "lag_p99_ns": 70 * MS,
        "lag_max_ns": 70 * MS,
        "connection_wait_p50_ns": None,
        "connection_wait_p99_ns": None,
        "connection_wait_max_ns": None,
        "own_lag_p50_ns": figures["own_lag_p50_ns"],
        "own_lag_p99_ns": 11 * MS,
        "own_lag_max_ns": 11 * MS,
        "late": 1,
        "dropped": 4,
        "stalls": 1,
        "stall_max_ns": 12 * MS,
        "stalled_ns": 12 * MS,
        "waited": 0,
        "unsent": 1,
        "overrun": False,
        "reconnects": 3,
        "wall_ns": 1_000,
        "cpu_share": 0.25,
    }
    assert 5 * MS <= figures["lag_p50_ns"] <= 5 * MS * 1.001


def test_what_the_server_held_up_is_no_fault_of_the_generator():
    figures = audited([MS] * 1_000)
    assert figures["lag_p50_ns"] > 100 * TOLERANCE
    assert said(figures, "warnings") == []


@given(st.integers(1, 1_000), st.integers(0, 1_000))
def test_latencies_are_unreliable_where_one_of_a_hundred_and_at_least_two_are_late(requests, late):
    late = min(late, requests)
    figures = audited([12 * MS] * late + [MS] * (requests - late))
    assert bool(said(figures, "warnings")) == (late >= 2 and late > requests / 100)


def test_no_lateness_makes_a_run_invalid():
    """A verdict rests on what was sent, whenever that was."""
    figures = audited([25 * MS] * 10, turns=[40 * MS] * 50)
    assert said(figures, "valid") is True
    assert len(said(figures, "warnings")) == 2
    for warning in said(figures, "warnings"):
        assert warning.endswith(": latencies are unreliable, counts and verdicts are not")


def test_the_tolerance_itself_is_tolerated():
    assert said(audited([TOLERANCE] * 10), "warnings") == []
    assert said(audited([TOLERANCE + 1] * 10), "warnings") != []


def test_a_request_that_the_generator_never_got_round_to_is_as_late_as_one_that_it_sent():
    figures = audited([MS] * 10, dropped=[(1, 500 * MS), (1, 500 * MS)])
    assert figures["dropped"] == 2
    assert said(figures, "warnings")


def test_requests_dropped_since_the_server_was_busy_are_told_and_do_not_warn():
    figures = audited([MS] * 10, dropped=[(90, None)])
    assert said(figures, "warnings") == []
    assert said(figures, "remarks") == ["90 requests were due before the end and never sent"]
    one = audited([MS] * 10, dropped=[(1, None)])
    assert said(one, "remarks") == ["1 request was due before the end and never sent"]


def test_a_full_core_is_a_remark_while_the_schedule_holds_and_a_cause_when_it_does_not():
    full = "the generator used 97 % of a core"
    kept, missed = (audited([lag] * 10, cpu_share=0.97) for lag in (MS, 20 * MS))
    assert (said(kept, "warnings"), said(kept, "remarks")) == ([], [full])
    assert said(missed, "warnings")[1:] == [full]
    assert said(missed, "remarks") == []


def test_the_warning_names_the_figures():
    (warning,) = said(audited([25 * MS] * 3 + [MS]), "warnings")
    assert warning.startswith(
        "this machine sent 3 of 4 requests late (more than 10 ms; slowest 1 %: 25.0 ms or more): "
    )


@pytest.mark.parametrize("unsent", [0, 1])
def test_the_log_says_whether_it_is_valid_and_why_not(unsent):
    entries = judgement(audited([MS] * 5) | {"unsent": unsent}, TOLERANCE)
    assert entries["valid"] is (unsent == 0) is not bool(entries["invalid_because"])
    assert entries["audit"]["requests"] == 5
    assert entries["remarks"] == []


def test_requests_that_waited_for_a_connection_are_told_and_not_called_the_generators_fault():
    figures = audited([MS] * 100) | {"waited": 2, "connection_wait_p99_ns": 25 * MS}
    (warning,) = said(figures, "warnings")
    assert warning == (
        "2 of 100 requests waited for a connection, all that max_connections allows were busy "
        "(more than 10 ms; slowest 1 %: 25.0 ms or more): latencies leave that wait out, "
        "response times count it"
    )
    assert said(figures | {"waited": 1}, "warnings") == []
    assert said(figures | {"connection_wait_p99_ns": TOLERANCE}, "warnings") == []


@pytest.mark.parametrize(
    ("turns", "warned"),
    [
        ([20 * MS] * 6, True),
        ([20 * MS] * 5, False),  # a hundredth of the run itself is tolerated
        ([500 * MS], False),  # one hiccup spoils nothing
        ([20 * MS, 81 * MS], True),
    ],
)
def test_a_generator_that_stands_still_for_more_than_a_hundredth_spoils_latencies(turns, warned):
    figures = audited([MS] * 100, turns=turns) | {"wall_ns": 10 * 10**9}
    told = (
        f"this machine stood still ({len(turns)} times, {sum(turns) / MS:.1f} ms in all, up to "
        f"{max(turns) / MS:.1f} ms) and read answers late: "
        "latencies are unreliable, counts and verdicts are not"
    )
    assert said(figures, "warnings") == ([told] if warned else [])


def test_a_long_standstill_is_told_in_seconds():
    figures = audited([MS] * 100, turns=[1240 * MS] * 2) | {"wall_ns": 10 * 10**9}
    assert "(2 times, 2.5 s in all, up to 1.2 s)" in said(figures, "warnings")[0]


@pytest.mark.parametrize(("unsent", "valid"), [(2, True), (3, False)])
def test_requests_that_this_machine_could_not_send_condemn_the_run(unsent, valid):
    figures = audited([MS] * 200) | {"unsent": unsent}
    told = "3 of 200 requests were never sent: this machine had no descriptor or port left"
    assert said(figures, "invalid_because") == ([] if valid else [told])


def test_a_run_whose_reader_was_too_slow_is_invalid():
    assert said(audited([MS]) | {"overrun": True}, "invalid_because") == [
        "events came faster than their reader took them: the run was ended"
    ]


def test_figures_of_before_are_judged_without_what_they_lack():
    figures = audited([25 * MS] * 3, turns=[40 * MS, 30 * MS])
    for name in ("waited", "unsent", "stalled_ns", "overrun", "reconnects", "wall_ns"):
        del figures[name]
    assert said(figures, "valid")
    assert ["late" in warning for warning in said(figures, "warnings")] == [True]
