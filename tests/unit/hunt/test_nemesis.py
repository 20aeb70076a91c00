"""The nemesis: what it does follows from the seed, and what it causes is not the server's fault."""

import pytest

from rateproof.errors import InvalidArgument
from rateproof.events import Event, EventLog
from rateproof.hunt import iteration
from rateproof.hunt.server.nemesis import DEEDS, Deed, aftermath_ns, parse_deeds, plan, witnesses
from rateproof.policy import Policy
from rateproof.simulate.behaviours.constant import Constant
from rateproof.simulate.scenario import Group

SECOND = 1_000_000_000


def plans(seeds=range(200), deeds=DEEDS, duration_ns=8 * SECOND, window_ns=SECOND):
    return [plan(seed, 1, duration_ns, window_ns, deeds) for seed in seeds]


def test_equal_seeds_do_equal_things_and_others_do_others():
    assert plans() == plans()
    assert len(set(plans())) > 190
    assert plan(1, 1, SECOND, SECOND, DEEDS) != plan(1, 2, SECOND, SECOND, DEEDS)


def test_the_order_in_which_deeds_are_named_does_not_matter():
    assert plans(deeds=("pause", "kill")) == plans(deeds=("kill", "pause"))


def test_something_is_always_done_and_in_order_of_time_away_from_the_ends():
    for strokes in plans():
        assert 1 <= len(strokes) <= 3
        instants = [stroke.at_ns for stroke in strokes]
        assert instants == sorted(instants)
        assert all(8 * SECOND // 10 <= at_ns <= 8 * SECOND * 9 // 10 for at_ns in instants)


@pytest.mark.parametrize("deed", DEEDS)
def test_nothing_is_done_but_what_was_named(deed):
    assert {stroke.what for strokes in plans(deeds=(deed,)) for stroke in strokes} == {deed}


@pytest.mark.parametrize(
    ("window_ns", "longest_ns"), [(1, SECOND // 10), (SECOND, SECOND), (99 * SECOND, 5 * SECOND)]
)
def test_a_pause_lasts_up_to_a_window_within_bounds(window_ns, longest_ns):
    pauses = [s.for_ns for strokes in plans(deeds=("pause",), window_ns=window_ns) for s in strokes]
    assert max(pauses) <= longest_ns
    assert min(pauses) >= SECOND // 10
    assert max(pauses) > longest_ns * 9 // 10


def test_the_words_are_read_in_any_order():
    assert parse_deeds("pause, kill") == ("kill", "pause")
    assert parse_deeds("all") == DEEDS
    assert parse_deeds("none") == ()


@pytest.mark.parametrize("text", ["", "maim", "kill,maim", "kill pause"])
def test_another_word_is_refused_by_name(text):
    with pytest.raises(InvalidArgument, match="nemesis") as caught:
        parse_deeds(text)
    assert "kill, pause, restart" in caught.value.hint


def deed(what, at_s, until_s=None, **more):
    until_ns = None if until_s is None else round(until_s * SECOND)
    return Deed(what, round(at_s * SECOND), 0, until_ns=until_ns, **more)


@pytest.mark.parametrize(
    ("done", "text"),
    [
        (deed("kill", 1.31, 1.32, worker=2, pid=7), "killed worker 2 at 1.31 s"),
        (deed("pause", 2, 2.9, worker=1, pid=7), "paused worker 1 from 2.00 to 2.90 s"),
        (deed("restart", 1, 1.5), "restarted the server from 1.00 to 1.50 s"),
        (
            deed("kill", 1, worker=2, pid=7),
            "killed worker 2 at 1.00 s, since when nothing accepts connections",
        ),
    ],
)
def test_a_deed_says_what_was_done_to_whom_and_when(done, text):
    assert str(done) == text


def log_of(*rows):
    """Rows of (connection, error, sent, done), in seconds."""
    log = EventLog()
    for connection, error, sent_s, done_s in rows:
        sent_ns, done_ns = round(sent_s * SECOND), round(done_s * SECOND)
        answer = {"received_ns": None, "status": None, "outcome": "unknown"}
        if error is None:
            answer = {"received_ns": done_ns, "status": 200, "outcome": "admitted"}
        event = Event(
            key=b"a",
            sent_ns=sent_ns,
            done_ns=done_ns,
            error=error,
            connection=connection,
            **answer,
        )
        log.append(event)
    return log


HEALTHY = (0, None, 0, 0.1)
KILL = deed("kill", 2, 2.5, worker=1, pid=7)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ((1, "reset", 1.9, 2.1), "in flight"),
        ((1, "refused", 2.2, 2.2), "not yet recovered"),
        ((1, "refused", 2.9, 2.9), "just recovered"),
        ((0, "timeout", 5, 9), "idle since before"),
    ],
)
def test_an_error_that_a_deed_explains_is_no_crash(row, why):
    assert not any(iteration._failures(log_of(HEALTHY, row), [KILL]).values()), why
    assert iteration._failures(log_of(HEALTHY, row), [])[row[1]] == 1


@pytest.mark.parametrize(
    "row",
    [(1, "reset", 1.8, 1.9), (1, "refused", 3.1, 3.1), (1, "timeout", 3.1, 9)],
    ids=["before", "after", "long after"],
)
def test_an_error_that_no_deed_explains_is_a_crash(row):
    assert iteration._failures(log_of(HEALTHY, row), [KILL])[row[1]] == 1


def test_a_deed_that_never_ends_explains_all_that_follows():
    gone = deed("restart", 2)
    rows = [(n, "refused", 3 + n, 3 + n) for n in range(1, 5)]
    assert iteration._failures(log_of(HEALTHY, *rows), [gone])["refused"] == 0


@pytest.mark.parametrize("error", ["closed", "reset"])
def test_only_a_fresh_connection_that_breaks_shows_a_crash(error):
    """A healthy server may close one that idled just as the next request is sent."""
    fresh, used = (1, error, 5, 5), (0, error, 5, 5)
    assert iteration._failures(log_of(HEALTHY, fresh), [])[error] == 1
    assert iteration._failures(log_of(HEALTHY, used), [])[error] == 0


def crashes_of(*rows, lives=False):
    found = object.__new__(iteration.Iteration)
    told = {"log": log_of(*rows), "nemesis": (), "known": False, "crashes": (), "lives": lives}
    for name, value in told.items():
        object.__setattr__(found, name, value)
    return found


@pytest.mark.parametrize("error", ["closed", "reset"])
def test_a_server_that_breaks_connections_and_answers_others_has_not_crashed(error):
    broken, after = (1, error, 1, 2), (2, None, 3, 4)
    lives = crashes_of(HEALTHY, broken, after)
    assert (lives.crash_counts, lives.dropped) == ({}, {"closed": 0, "reset": 0} | {error: 1})
    again = crashes_of(HEALTHY, broken, after, (3, error, 5, 6))
    assert (again.crash_counts, again.dropped.total()) == ({}, 2), "and once more at the end"
    dead = crashes_of(HEALTHY, broken)
    assert (dead.crash_counts, dead.dropped.total()) == ({error: 1}, 0)
    asked = crashes_of(HEALTHY, broken, lives=True)
    assert (asked.crash_counts, asked.dropped.total()) == ({}, 1), "answered when asked once more"
    refused = crashes_of(HEALTHY, broken, (3, "refused", 2.5, 2.5), after)
    assert refused.crash_counts == {error: 1, "refused": 1}, "nobody listened in between"


def test_where_nothing_was_ever_answered_only_a_refusal_is_a_crash():
    rows = [(1, "timeout", 0, 1), (2, "closed", 1, 2), (3, "refused", 2, 2)]
    assert iteration._failures(log_of(*rows), []) == {"refused": 1, "timeout": 1}
    assert iteration._failures(log_of(HEALTHY, *rows), [])["timeout"] == 1
    assert iteration._failures(log_of(*rows), [], known=True)["timeout"] == 1


@pytest.mark.parametrize(
    ("policy", "interval_ns", "after_ns"),
    [
        ("5 per 5s", SECOND // 4, 5 * SECOND),
        ("1 per 1s", SECOND // 4, SECOND),
        ("1000 per 1s", SECOND // 200, SECOND),
        ("5 per 1h", 180 * SECOND, 5 * SECOND),
    ],
)
def test_witnesses_ask_for_four_times_what_they_may_have_and_stay(policy, interval_ns, after_ns):
    (quota,) = Policy.parse(policy).quotas
    assert witnesses(quota) == Group(Constant(interval_ns), 3)
    assert aftermath_ns(quota) == after_ns
