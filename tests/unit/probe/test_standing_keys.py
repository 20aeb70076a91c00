"""The keys that every name has to stand: who answers them as a policy would, on simulated limiters."""

import random
from collections import deque
from itertools import pairwise
from math import isqrt

import pytest
from proving import simulated
from proving.unlisted import UNKNOWN, grouped_log, uneven_bucket

from rateproof.probe.families import FAMILIES
from rateproof.probe.family import explains
from rateproof.probe.inference import Kind
from rateproof.probe.seen import Box, volleys, widened
from rateproof.probe.standing_keys import across, always, closely, measuring, refilled
from rateproof.simulate.behaviours.schedule import Schedule

MS, S = 1_000_000, 1_000_000_000
BEGIN_NS, WIDTH_NS = 10**15, 4 * MS
OF = {family.name: family for family in FAMILIES}


def _kind(name, limit, window_ns):
    """The limiters of a family whose window is known to a thousandth."""
    each_ns = window_ns // (limit if OF[name].refills else 1)
    box = Box(limit, each_ns - each_ns // 1000, each_ns + each_ns // 1000)
    if OF[name].other == "phase":
        box = box._replace(other_low_ns=BEGIN_NS - MS, other_high_ns=BEGIN_NS + MS)
    return Kind(OF[name], limit, box.low_ns, box.high_ns, [box])


def _every(kind):
    """All that a name has to stand, and the last that comes back, which goes on as the busy one."""
    busy, *alone = always(kind)
    *closest, last = closely(kind, BEGIN_NS, WIDTH_NS)
    return busy, *alone, *closest, last, refilled(kind, BEGIN_NS, last, busy, WIDTH_NS)


def _unexplained(limiter, kind, keys=()):
    """Count the keys that no limiter of a kind would have answered so, each answer within a millisecond."""
    rng, found = random.Random(1), 0
    for steps in keys or _every(kind):
        admits, seen = limiter(), []
        for at_ns, count in steps:
            for sent_ns in range(BEGIN_NS + at_ns, BEGIN_NS + at_ns + 50_000 * count, 50_000):
                took_ns = rng.randint(200_000, 1_000_000)
                decided_ns = sent_ns + rng.randint(0, took_ns)
                seen.append((decided_ns, sent_ns, sent_ns + took_ns))
        history = [
            widened(sent_ns, received_ns, admitted=admits(decided_ns))
            for decided_ns, sent_ns, received_ns in sorted(seen)
        ]
        found += not explains(kind.family, kind.boxes[0], [volleys(history)])
    return found


@pytest.mark.parametrize("limit", [1, 2, 5, 12])
@pytest.mark.parametrize(
    "name", ["sliding-log", "first-hit-window", "token-bucket", "fixed-window", "sliding-counter"]
)
def test_a_limiter_of_the_family_stands_all_of_them(name, limit):
    kind = _kind(name, limit, S - S % limit)
    limiter = simulated.LIMITERS[name](limit, S - S % limit, BEGIN_NS)
    assert _unexplained(limiter, kind) == 0


@pytest.mark.parametrize("name", ["sliding-log", "token-bucket", "fixed-window"])
def test_answers_that_take_as_long_as_the_window_leave_no_instant_just_before_its_end(name):
    for window_ns in range(4 * MS, 120 * MS, 4 * MS):
        for steps in closely(_kind(name, 5, window_ns), BEGIN_NS, 60 * MS):
            Schedule(steps)  # raises where an instant is negative or out of order


@pytest.mark.parametrize(
    ("name", "family", "times"),
    [
        ("windows that grow while a key is busy", "first-hit-window", 1),
        ("a window that is longer if it was filled at once", "first-hit-window", 1.2),
        ("a log that blocks after 5 denials", "sliding-log", 1),
        ("a log that idle keys reset", "window that each request pushes on", 0.5),
        ("a log of groups that are gone with their first", "sliding-log", 1),
        ("a log of groups that are gone with their newest", "sliding-log", 1),
        ("a window that admissions push on once half is used", "first-hit-window", 1),
        ("a log that forgets all once it was full", "sliding-log", 1),
        ("a log that forgets all once it was full", "first-hit-window", 1),
        ("a log that forgets all unless it was full", "sliding-log", 1),
        ("a bucket a quarter of which is slower", "token-bucket", 1),
        ("a bucket in which 20 denials cost a token", "token-bucket", 1),
        ("a window that each denial makes a little longer", "first-hit-window", 1),
        ("a log whose window wavers by 2 %", "sliding-log", 1),
        ("a window in whose last tenth nobody is admitted", "first-hit-window", 1),
    ],
)
def test_a_limiter_that_is_in_no_list_does_not_stand_them_as_its_neighbour(name, family, times):
    limiter = UNKNOWN[name](4, S, 1)
    assert _unexplained(limiter, _kind(family, 4, int(times * S)))


@pytest.mark.parametrize("part", [8, 24])
@pytest.mark.parametrize("newest", [False, True])
def test_requests_that_are_close_are_not_one_group(part, newest):
    limiter = grouped_log(5, S, apart_ns=S // part, newest=newest)
    assert _unexplained(limiter, _kind("sliding-log", 5, S))


@pytest.mark.parametrize("limit", [4, 35])
def test_tokens_come_back_as_quickly_amid_as_the_first_ones(limit):
    """Neither the first token tells that, nor when all of them are back."""
    window_ns = S - S % limit
    limiter = uneven_bucket(limit, window_ns, first=True)
    kind = _kind("token-bucket", limit, 10 * window_ns // 7)
    assert _unexplained(limiter, kind, closely(kind, BEGIN_NS, WIDTH_NS))


@pytest.mark.parametrize("limit", [4, 10, 35])
@pytest.mark.parametrize("slower", [1010, 1036, 1060])
def test_all_tokens_are_back_when_the_rate_says_so(slower, limit):
    """The last quarter comes back at 0.7 of the speed: the rate is that of all, or of what was drained."""
    window_ns = S - S % limit
    limiter = uneven_bucket(limit, window_ns, first=False)
    kind = _kind("token-bucket", limit, slower * window_ns // 1000)
    assert _unexplained(limiter, kind)


@pytest.mark.parametrize("number", [2, 3, 4])
def test_a_window_from_the_first_request_that_ends_at_a_tick_is_none_of_blocks(number):
    """All that is used in two blocks comes back at once."""
    kind = _kind(f"blocks of 1/{number}", 12, S)
    ticks = simulated.first_hit(12, S, BEGIN_NS, tick_ns=S // number)
    assert _unexplained(ticks, kind, closely(kind, BEGIN_NS, WIDTH_NS))
    alike = simulated.blocks(12, S, BEGIN_NS, number=number)
    assert not _unexplained(alike, kind, closely(kind, BEGIN_NS, WIDTH_NS))


@pytest.mark.parametrize("name", ["fixed-window", "fixed-window, a full one puts off the next"])
def test_a_window_in_which_little_was_used_is_not_put_off(name):
    """Full keys of both come back at the same instants."""
    kind = _kind("fixed-window", 12, S)
    by_ns = 0 if name == "fixed-window" else S // 12
    limiter = simulated.LIMITERS[name](12, S, BEGIN_NS - by_ns)
    keys = [*across(kind, BEGIN_NS, WIDTH_NS)]
    assert keys
    assert _unexplained(limiter, kind, keys) == (len(keys) if by_ns else 0)


def test_parts_of_a_filling_are_as_close_as_slow_answers_allow():
    """Answers take a 40th of the window: groups of an eighth of it, gone with their newest, are told still."""
    box = Box(6, 517 * MS, 518 * MS)
    kind = Kind(OF["sliding-log"], 6, box.low_ns, box.high_ns, [box], 13 * MS)
    (first, second, *_), *_ = closely(kind, BEGIN_NS, 13 * MS)
    assert second[0] - first[0] < S // 16
    limiter = grouped_log(6, 517 * MS + MS // 2, apart_ns=S // 16, newest=True)
    assert _unexplained(limiter, kind, [closely(kind, BEGIN_NS, 13 * MS)[0]])


@pytest.mark.parametrize("extended", [False, True])
def test_denials_that_extend_a_block_are_told_from_those_that_do_not(extended):
    name = "sliding-log, a denial blocks"
    box = Box(4, S - MS, S + MS, 4 * S // 3 - MS, 4 * S // 3 + MS)
    kind = Kind(OF[name], 4, box.low_ns, box.high_ns, [box])
    limiter = simulated.blocked(simulated.sliding_log(4, S), 4 * S // 3, extended=extended)
    *_, last = closely(kind, BEGIN_NS, WIDTH_NS)
    assert bool(_unexplained(limiter, kind, [last])) == extended


def test_when_a_block_ends_is_foretold_and_not_only_how_it_may_have_been():
    """Denied just before, on a key of its own: what extends the block would be refuted by it."""
    name = "sliding-log, a denial blocks"
    box = Box(4, S - MS, S + MS, 3 * S - MS, 3 * S + MS)
    kind = Kind(OF[name], 4, box.low_ns, box.high_ns, [box])
    shorter = simulated.blocked(simulated.sliding_log(4, S), 2 * S, extended=True)
    once = [
        each for each in closely(kind, BEGIN_NS, WIDTH_NS) if each[1] == (kind.whole_ns // 2, 1)
    ]
    assert len(once) == 2
    assert _unexplained(shorter, kind, once[:1]) == 1


def test_keys_that_are_asked_once_each_divide_the_time_in_which_they_come_back_evenly():
    """Of a window that denials push on: three keys leave a quarter of what was possible."""
    family = OF["window that each request pushes on"]
    kind = Kind(family, 30, S, 2 * S, [Box(30, S, 3 * S // 2), Box(30, 3 * S // 2, 2 * S)])
    asked = [steps[-1][0] for steps in measuring(kind, BEGIN_NS, WIDTH_NS)]
    least_ns, most_ns = (isqrt(box.low_ns * box.high_ns) for box in kind.boxes)
    quarters = [least_ns + (most_ns - least_ns) * n // 4 for n in (1, 2, 3)]
    assert asked == pytest.approx(quarters, abs=5 * MS)


def test_a_short_window_that_denials_push_on_is_asked_of_one_key_after_ever_more_of_it():
    """Each denial begins it anew: three of them leave a quarter of what was possible, for one filling."""
    family = OF["window that each request pushes on"]
    kind = Kind(family, 30, S // 2, S, [Box(30, S // 2, 3 * S // 4), Box(30, 3 * S // 4, S)])
    (key,) = measuring(kind, BEGIN_NS, WIDTH_NS)
    instants = [at_ns for at_ns, _ in key]
    gaps = [later - earlier for earlier, later in pairwise(instants)]
    least_ns, most_ns = (isqrt(box.low_ns * box.high_ns) for box in kind.boxes)
    quarters = [least_ns + (most_ns - least_ns) * n // 4 for n in (1, 2, 3)]
    assert [count for _, count in key] == [30, 1, 1, 1]
    assert gaps == pytest.approx(quarters, abs=5 * MS)


@pytest.mark.parametrize(("limit", "polls"), [(30, 15), (4, 3)])
def test_of_a_log_that_counts_denials_one_key_is_asked_as_often_as_changes_nothing(limit, polls):
    """Fewer denials than the limit leave room when what filled the key is gone."""
    family = OF["sliding-log that counts denied requests"]
    boxes = [Box(limit, S // 2, 3 * S // 4), Box(limit, 3 * S // 4, S)]
    kind = Kind(family, limit, S // 2, S, boxes)
    (key,) = measuring(kind, BEGIN_NS, WIDTH_NS)
    assert [count for _, count in key] == [limit] + [1] * polls
    steps = {later - earlier for (earlier, _), (later, _) in pairwise(key[1:])}
    assert max(steps) - min(steps) <= 1


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("sliding-log, a denial blocks", 1),
        ("sliding-log, a denial blocks, and more of them extend that", 3),
    ],
)
def test_a_long_block_that_denials_do_not_extend_is_polled_on_one_key(name, keys):
    boxes = [Box(4, 5 * S, 5 * S + MS, 8 * S, 9 * S), Box(4, 5 * S, 5 * S + MS, 9 * S, 10 * S)]
    kind = Kind(OF[name], 4, 5 * S, 5 * S + MS, boxes)
    denied = [
        steps for steps in measuring(kind, BEGIN_NS, WIDTH_NS) if steps[1][0] == kind.whole_ns // 2
    ]
    assert len(denied) == keys
    assert sum(len(steps) - 2 for steps in denied) == 3


@pytest.mark.parametrize(("seconds", "halved"), [(1, True), (2, False)])
def test_a_window_of_one_tick_is_a_clocks_and_is_used_in_part_before_its_end(seconds, halved):
    """As of a fixed window: what puts off the next of a full one leaves that of another."""
    ticking, window_ns = OF["first-hit-window, its clock in whole seconds"], seconds * S
    kind = Kind(ticking, 15, window_ns, window_ns, [Box(15, window_ns, window_ns, 0, MS)])
    assert kind.clockwise is halved
    first = [steps[0][1] for steps in closely(kind, BEGIN_NS, WIDTH_NS)]
    assert (8 in first) is halved


@pytest.mark.parametrize("name", ["sliding-counter", "sliding-counter, its weight rounded down"])
def test_of_a_counter_the_rest_of_one_is_asked_early_and_late_in_the_next_window(name):
    """Which is 7/10 and 1/4, however it is rounded: no part at which a weight in quarters changes."""
    kind = Kind(OF[name], 10, S, S, [Box(10, S, S, BEGIN_NS % S, BEGIN_NS % S)])
    begun = [steps for steps in closely(kind, BEGIN_NS, WIDTH_NS) if steps[0][1] == 1]
    assert [[count for _, count in steps] for steps in begun] == [[1, 9, 1, 1]]
    (steps,) = begun
    assert [at_ns / S % 1 for at_ns, _ in steps] == pytest.approx([0.75, 0.125, 0.3, 0.75])


def test_a_busy_key_of_a_clock_is_filled_just_after_each_edge_and_denied_just_before():
    """As often as one of another rule, whose times are left alone."""
    first, later = ((0, 10), (S // 4, 1)), ((8 * S // 6, 11), (14 * S // 6, 11))
    busy = ((0, 10), (S // 6, 7), (7 * S // 6, 11), *later)  # before, the first is full still
    kind = Kind(OF["fixed-window"], 10, S, S, [Box(10, S, S, BEGIN_NS + S // 2, BEGIN_NS + S // 2)])
    *begun, (one, _), (all_, more), (two, _), (again, _) = refilled(
        kind, BEGIN_NS, first, busy, WIDTH_NS
    )
    assert (tuple(begun), more) == (first, 11)
    assert one < S // 2 < all_ < two < 3 * S // 2 < again
    assert again - two == all_ - one < S // 5
    log = kind._replace(family=OF["sliding-log"])
    assert refilled(log, BEGIN_NS, first, busy, WIDTH_NS) == (*first, *later)


def test_a_block_of_half_a_window_is_met_after_denials_though_answers_are_slow():
    """Denials come late enough for it to outlast the window, and what an answer may be off."""
    boxes = [Box(40, low_ns, low_ns + MS) for low_ns in range(189 * MS, 205 * MS, MS)]
    kind = Kind(OF["sliding-log"], 40, boxes[0].low_ns, boxes[-1].high_ns, boxes, 4 * MS)
    limiter = UNKNOWN["a log that blocks after 5 denials"](40, 200 * MS, 0)
    keys = closely(kind, BEGIN_NS, 10 * MS)
    whole = kind._replace(boxes=[Box(40, 189 * MS, 206 * MS)])
    assert _unexplained(limiter, whole, keys) == 1
    assert _unexplained(simulated.LIMITERS["sliding-log"](40, 200 * MS, 0), whole, keys) == 0


@pytest.mark.parametrize(("part", "told"), [(1, True), (5, True), (20, True), (100, False)])
def test_for_how_long_a_denial_blocks_is_foretold_where_a_log_answers_otherwise(part, told):
    """Else a log that never blocks is named by a block that ends when its window does."""
    window_ns, block_ns = 4 * S, 4 * S // part
    box = Box(20, window_ns - 8 * MS, window_ns + 8 * MS, 9 * block_ns // 10, 11 * block_ns // 10)
    kind = Kind(OF["sliding-log, a denial blocks"], 20, box.low_ns, box.high_ns, [box], 2 * MS)
    keys = closely(kind, BEGIN_NS, WIDTH_NS)
    assert bool(keys) is told
    log = simulated.sliding_log(20, window_ns)
    blocking = simulated.blocked(log, block_ns, extended=False)
    assert not told or _unexplained(log, kind, keys)
    assert not told or not _unexplained(blocking, kind, keys)


def test_a_counter_whose_weight_goes_by_quarters_is_none_that_rounds_to_the_nearest():
    """With a limit of 2 both are alike but where one of the window before is left."""
    admitted = {}

    def quarters(now_ns):
        window, since_ns = divmod(now_ns - BEGIN_NS, S)
        left = admitted.get(window - 1, 0) * (1 - since_ns * 4 // S / 4)
        admits = admitted.get(window, 0) + left < 2
        admitted[window] = admitted.get(window, 0) + admits
        return admits

    kind = _kind("sliding-counter, its weight rounded to the nearest", 2, S)
    keys = [keys for keys in closely(kind, BEGIN_NS, WIDTH_NS) if keys[0][1] == 1]
    assert _unexplained(lambda: quarters, kind, keys) == 1


def _put_off(limit, pushed, *, most=3):
    """A window of 1 s that ends later for what is pushed, but after 3 s at most."""
    state = {"begun": -S, "end": -S, "count": 0}

    def admits(now_ns):
        if now_ns >= state["end"]:
            state.update(begun=now_ns, end=now_ns + S, count=0)
        admitted = state["count"] < limit
        state["count"] += admitted
        if pushed(admitted):
            state["end"] = min(now_ns + S, state["begun"] + most * S)
        return admitted

    return admits


@pytest.mark.parametrize(("most", "found"), [(3, True), (60, False)])
@pytest.mark.parametrize(
    ("name", "pushed"),
    [
        ("window that each request pushes on", lambda _: True),
        ("window that each admission pushes on", lambda admitted: admitted),
        ("window that each denial pushes on", lambda admitted: not admitted),
    ],
)
def test_a_window_that_is_pushed_on_for_three_at_most_is_found(name, pushed, most, found):
    kind = _kind(name, 10, S)
    keys = closely(kind, BEGIN_NS, WIDTH_NS)
    assert keys
    assert bool(_unexplained(lambda: _put_off(10, pushed, most=most), kind, keys)) is found


@pytest.mark.parametrize(("most", "found"), [(5, True), (20, True), (2_000, False)])
def test_denials_of_which_only_so_many_count_are_found(most, found):
    def capped():
        log = deque()

        def admits(now_ns):
            while log and log[0] + S <= now_ns:
                log.popleft()
            admitted = len(log) < 10
            if len(log) < 10 + most:
                log.append(now_ns)
            return admitted

        return admits

    kind = _kind("sliding-log that counts denied requests", 10, S)
    keys = closely(kind, BEGIN_NS, WIDTH_NS)
    assert bool(_unexplained(capped, kind, keys)) is found


@pytest.mark.parametrize(("whole", "found"), [(True, True), (False, False)])
@pytest.mark.parametrize("limit", [2, 4, 30])
def test_a_bucket_that_loses_the_rest_of_a_token_at_each_request_is_found(limit, whole, found):
    def truncated():
        level, last_ns = float(limit), 0

        def admits(now_ns):
            nonlocal level, last_ns
            last_ns = last_ns or now_ns
            more = (now_ns - last_ns) * limit / (4 * S)
            if not whole or more >= 1:
                level, last_ns = min(limit, level + (int(more) if whole else more)), now_ns
            admitted = level >= 1
            level -= admitted
            return admitted

        return admits

    kind = _kind("token-bucket", limit, 4 * S)
    keys = closely(kind, BEGIN_NS, WIDTH_NS)
    assert bool(_unexplained(truncated, kind, keys[:1])) is found


def test_a_window_of_what_counts_denials_is_known_no_closer_than_an_answer():
    """Else it is hardly the rule: only part of the denials counted."""
    for name in ("sliding-log that counts denied requests", "window that each denial pushes on"):
        kind = _kind(name, 5, S)._replace(interval_ns=10 * MS)
        assert kind.strained
        assert not kind._replace(interval_ns=MS).strained
