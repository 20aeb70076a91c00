"""The lines that a probe prints of what a server says."""

from collections import Counter
from dataclasses import replace

import pytest

from rateproof.policy import Policy
from rateproof.probe.budget import Budget
from rateproof.probe.confirmation import Confirmation
from rateproof.probe.course import Course, Round
from rateproof.probe.families import FAMILIES, LAST
from rateproof.probe.finding import Finding
from rateproof.probe.hello import Hello
from rateproof.probe.identity import IN_KEY, NOT_IN_KEY, UNTRIED, Dimension
from rateproof.probe.inference import Hypotheses, Kind, Recovery
from rateproof.probe.page import describe, headline
from rateproof.probe.plain_data import to_json
from rateproof.probe.seen import Box, Seen
from rateproof.probe.several import Several
from rateproof.units import SECOND_NS


def finding(hello):
    return Finding(
        url="http://127.0.0.1:1/",
        key="query:clientId",
        course=Course(),
        kinds=(),
        delaying=False,
        dimensions=(),
        hello=hello,
        statuses=Counter({302: 1}),
        rejected_statuses=frozenset({429}),
        requests=1,
        elapsed_ns=1,
        budget=Budget(),
    )


def test_nothing_that_a_server_says_acts_on_a_terminal():
    wild = "\x1b[2J\x9b1m\u202e\r"
    hello = Hello(302, f"/login{wild}", {f"x-ratelimit-{wild}": f"5{wild}"})
    text = describe(finding(hello))
    assert all(line.isprintable() for line in text.split("\n"))
    assert r"x-ratelimit-\x1b[2J" in text
    assert r": 5\x1b[2J\x9b1m\u202e\r (not relied on)" in text
    assert r"/login\x1b[2J" in text


@pytest.mark.parametrize(
    ("statuses", "rejected", "words"),
    [
        ({200: 3, 403: 2, 509: 1}, 429, "if the target rejects by 403,509: --rejected 403,509"),
        ({200: 3, 403: 2}, 403, None),
        ({403: 2}, 429, None),
        ({200: 3, None: 1}, 429, None),
        ({200: 3, 403: 2, 429: 1}, 429, None),
    ],
)
def test_a_status_that_may_be_a_rejection_is_told_where_none_was_seen(statuses, rejected, words):
    asked = replace(
        finding(Hello(200)), statuses=Counter(statuses), rejected_statuses=frozenset({rejected})
    )
    told = describe(asked)
    assert words in told if words else "--rejected" not in told
    assert ("forbidden (403)" in told) == (403 in statuses and rejected != 403)


def shared(*told, limit=1):
    """A finding of no policy, where fresh identities are denied once others used the limit up."""
    dimensions = tuple(Dimension(*each) for each in (("query:clientId", NOT_IN_KEY), *told))
    return replace(finding(Hello(200)), course=Course(limit=limit), dimensions=dimensions)


def confirmed(found, limit, families=FAMILIES[:1], window_ns=5 * SECOND_NS, most_ns=0, **proof):
    """A finding with as many predictions as a name takes, of the first of some families."""
    hypotheses = Hypotheses(Recovery(limit, 0, 0, 1, 2), 2, (), interval_ns=0)
    box = Box(limit, window_ns, max(window_ns, most_ns))
    hypotheses.boxes = {family: [box] for family in families}
    key = [Seen(0, 1, limit, 2), Seen(SECOND_NS, SECOND_NS + 1, 0, 1)]
    course = Course(
        limit=limit,
        hypotheses=hypotheses,
        keys=[key],
        proof=Confirmation(
            (families[0], limit),
            **({"true": 12, "keys": 4, "stood": True, "closely": True} | proof),
        ),
    )
    return replace(found, course=course, kinds=hypotheses.kinds())


def test_a_limit_that_all_clients_share_is_said_to_be_so_and_without_a_number_unless_it_is_known():
    """A limit of a few clients, while others used the same one up, is none."""
    found = shared(("address", NOT_IN_KEY), limit=7)
    first, *rest = describe(found).splitlines()
    assert first == "the limit seems to be shared by all clients: which it is could not be told"
    assert to_json(found)["limit"] is None
    known = confirmed(found, 7)
    first, *rest = describe(known).splitlines()
    assert first == "7 per 5s"
    assert any("seems to be shared by all clients" in line for line in rest)
    assert to_json(known)["limit"] == 7


@pytest.mark.parametrize(
    ("seen", "one"),
    [
        ({"alone": 7, "connections": 8}, True),
        ({"alone": 7, "connections": 1}, False),
        ({"alone": 0, "connections": 8}, False),
        ({"alone": 6, "connections": 8}, False),
    ],
)
def test_one_counter_is_only_said_where_several_connections_got_no_more(seen, one):
    """7 were admitted at once: more than the 6 of one connection, or nothing to compare them with."""
    named = confirmed(finding(Hello(200)), 7)
    told = replace(named, course=replace(named.course, **seen))
    (line,) = [line for line in describe(told).splitlines() if line.startswith("counters")]
    assert ("one, as far as seen" in line) == one == to_json(told)["one_counter_as_far_as_seen"]
    assert ("not told" in line) != one


def test_from_one_address_a_limit_by_address_looks_like_one_that_all_share():
    assert "shared by all clients, or by all of one address:" in describe(shared())
    by_address = describe(shared(("address", IN_KEY)))
    assert "shared by" not in by_address
    assert "limits by address, not by query:clientId" in by_address


@pytest.mark.parametrize("missing", [{"true": 11}, {"excluded": {FAMILIES[1]: 2}}])
def test_without_predictions_or_with_a_rival_left_nothing_is_named(missing):
    found = confirmed(finding(Hello(200)), 5, **missing)
    assert found.exit_code == 2
    first, *rest = describe(found).splitlines()
    assert first.startswith("not named: about 5 per 5s")
    assert any("by a rule that is not known here" in line for line in rest)
    assert to_json(found)["policy"] is None


def test_a_family_that_is_left_forbids_the_name_unless_it_would_answer_the_same():
    log, other = FAMILIES[:2]
    left = confirmed(finding(Hello(200)), 5, (log, other), excluded={other: 3})
    assert left.exit_code == 2
    assert "or 1 other family" in describe(left).splitlines()[0]
    same = confirmed(finding(Hello(200)), 5, (log, other), excluded={other: 0}, alike=[other])
    assert same.exit_code == 0
    assert "first-hit-window 5 per 5s: it would have answered the same" in describe(same)


def test_a_name_carries_its_interval_its_reach_and_what_came_true():
    found = confirmed(finding(Hello(200)), 5, window_ns=4_393_000_000)
    text = describe(found)
    assert text.splitlines()[0] == "5 per 4393ms (± 0 ms)"
    assert "12 of 12 on 4 keys came true" in text
    assert (
        "to 8 requests and 3 denials of a key (3 in one window), in up to 1 s, idle for up to 1 s"
        in text
    )
    assert (
        "a limit on all keys together: none up to 5 admissions in 4.39 s, on 1 key at once" in text
    )
    assert "a second quota behind it: not tried" in text
    assert to_json(found)["predictions"] == {"true": 12, "keys": 4, "wrong": 0}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("own phase", "more would be told by --max-requests 2100 --max-time 121s"),
        ("window", "not confirmed which it is"),
    ],
)
def test_a_family_that_explains_so_much_is_an_instance_of_a_rule_that_is_not_known(other, words):
    (family,) = (each for each in LAST if each.other == other)
    found = confirmed(finding(Hello(200)), 5, (family,), 10 * SECOND_NS, true=0)
    first, *rest = describe(found).splitlines()
    assert first.startswith(
        f"not named: 5 at once, by a rule that is not known here, such as {family.record.name} "
    )
    assert family.name in first
    assert any(words in line for line in rest)


def test_a_phase_for_each_key_of_windows_of_any_length_is_worth_no_larger_budget():
    (family,) = (each for each in LAST if each.other == "own phase")
    text = describe(confirmed(finding(Hello(200)), 5, (family,), most_ns=90 * SECOND_NS, true=0))
    assert text.splitlines()[0] == "not named: 5 at once, by a rule that is not known here"
    assert "a larger budget would tell no more" in text


def test_a_rule_whose_window_is_known_better_than_answers_tell_is_not_named():
    found = confirmed(finding(Hello(200)), 5)
    strained = [kind._replace(interval_ns=1_000_000) for kind in found.kinds]
    found.course.hypotheses._kinds = strained
    text = describe(replace(found, kinds=strained))
    assert text.startswith("not named")
    assert "hardly the rule: a larger budget would tell no more" in text


def test_where_several_counters_answer_no_budget_is_said_to_tell_more():
    course = Course(limit=5, several=Several(5, 20))
    found = replace(finding(Hello(200)), course=course)
    assert to_json(found)["would_tell"] == ""
    assert "more would be told" not in describe(found)


def test_a_window_that_is_not_known_closely_is_said_to_be_why_nothing_is_named():
    found = confirmed(finding(Hello(200)), 5, most_ns=5_250_000_000)
    assert "the window is not known closely enough" in describe(found).splitlines()[0]


@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        ({"true": 11}, "but too few predictions could be made"),
        ({"excluded": {FAMILIES[1]: 2}}, f"but too few keys speak against {FAMILIES[1].name}"),
        ({"varies_ns": None}, "but too few keys were asked just before and after they come back"),
    ],
)
def test_what_a_name_lacks_still_is_said(lacking, words):
    found = confirmed(finding(Hello(200)), 5, **lacking)
    assert describe(found).splitlines()[0] == f"not named: about 5 per 5s, {words}"


def test_a_second_quota_was_looked_for_as_far_as_one_key_was_filled_anew():
    found = confirmed(finding(Hello(200)), 5)
    filled = [Seen(at_ns, at_ns + 1, 5, 1) for at_ns in range(0, 18 * SECOND_NS, 6 * SECOND_NS)]
    for keys, words in ((filled[:2], "not tried"), (filled, "none up to 15 admissions of a key")):
        found.course.keys.append(keys)
        assert f"a second quota behind it: {words}" in describe(found)


def test_blocks_that_would_look_the_same_as_a_log_are_part_of_its_name():
    found = confirmed(finding(Hello(200)), 5, varies_ns=123_456_789)
    assert "not told apart blocks of 130 ms or less" in describe(found)
    assert "a window that varies by up to 130 ms" in describe(found)
    assert to_json(found)["varies_up_to_ns"] == 123_456_789
    silent = confirmed(finding(Hello(200)), 5, varies_ns=123_456_789, true=0)
    assert "130 ms or less" not in describe(silent)


@pytest.mark.parametrize(
    ("varies_ns", "late"),
    [(123_456_789, "up to 130 ms late"), (None, "late, it is not known how much")],
)
@pytest.mark.parametrize(
    ("family", "begin"), [("fixed-window", "windows"), ("blocks of 1/3", "blocks")]
)
def test_edges_of_a_clock_that_would_look_the_same_are_part_of_its_name(
    family, begin, varies_ns, late
):
    families = [each for each in FAMILIES if each.name == family]
    found = confirmed(finding(Hello(200)), 5, families, varies_ns=varies_ns, edges=4)
    assert f"{begin} of a clock that begin {late}, each by another time" in describe(found)
    assert to_json(found)["varies_up_to_ns"] == varies_ns
    assert "of a clock that begin" not in describe(confirmed(found, 5, families, true=0))


@pytest.mark.parametrize(
    ("varies_ns", "apart"),
    [(123_456_789, "130 ms apart or less"), (None, "it is not known how often")],
)
def test_ticks_at_which_a_counter_weighs_are_part_of_its_name(varies_ns, apart):
    families = [each for each in FAMILIES if each.name == "sliding-counter"]
    found = confirmed(finding(Hello(200)), 5, families, varies_ns=varies_ns, edges=4)
    assert f"a clock that ticks, {apart}, and a window" in describe(found)
    assert to_json(found)["varies_up_to_ns"] == varies_ns


def test_how_often_in_a_row_a_full_key_came_back_in_time_is_part_of_what_was_tried():
    found = confirmed(finding(Hello(200)), 5)
    rows = (0, 5, 0), (4.9, 0, 1), (5.1, 5, 0), (10, 0, 1), (10.2, 5, 0)
    found.course.keys.append(
        [Seen(int(at * SECOND_NS), int(at * SECOND_NS) + 1, *row) for at, *row in rows]
    )
    assert "when a full key is back: 2 times in a row" in describe(found)
    assert to_json(found)["reach"]["returns"] == 2
    bucket = [family for family in FAMILIES if family.name == "token-bucket"]
    assert "a full key is back" not in describe(confirmed(found, 5, bucket))


def test_a_family_that_few_keys_refute_and_none_could_is_as_close_as_answers_tell():
    of = {each.name: each for each in FAMILIES}
    fixed, put_off = of["fixed-window"], of["fixed-window, a full one puts off the next"]
    proof = {"edges": 2, "excluded": {fixed: 1}, "alike": [fixed]}
    found = confirmed(finding(Hello(200)), 5, (put_off,), **proof)
    text = " ".join(describe(found).split())
    assert text.startswith("fixed-window 5 per 5s (fixed-window, a full one puts off the next)")
    assert "not told apart as closely as answers tell: fixed-window" in text


def test_exit_2_says_which_budget_would_tell_more():
    found = confirmed(finding(Hello(200)), 200, true=0)
    assert "--max-requests 7700 --max-time" in describe(found)


@pytest.mark.parametrize(
    ("spent", "words"),
    [
        ((1, SECOND_NS), "another run, with fresh phases"),
        ((1_900, SECOND_NS), "--max-requests 4200 --max-time 100s"),
        ((1, 90 * SECOND_NS), "--max-requests 2100 --max-time 200s"),
    ],
)
def test_the_budget_that_was_used_up_is_not_advised_again(spent, words):
    requests, elapsed_ns = spent
    found = confirmed(finding(Hello(200)), 5, true=0)
    text = describe(replace(found, requests=requests, elapsed_ns=elapsed_ns))
    assert f"more would be told by {words}" in text


def test_what_a_rate_allows_in_time_is_advised():
    found = confirmed(finding(Hello(200)), 5, true=0)
    slow = replace(found, budget=Budget(100, 10 * SECOND_NS, max_rate=2))
    assert "--max-requests 680 --max-time 40" in describe(slow)  # 340 s more


@pytest.mark.parametrize(("high_s", "words"), [(11, "--max-time 108s"), (900, "--max-time 260s")])
def test_a_window_of_which_nothing_is_known_asks_for_no_hours(high_s, words):
    """Three times the least, of one that may be 90 times as long."""
    found = confirmed(finding(Hello(200)), 5, true=0)
    kind = found.kinds[0]
    box = kind.boxes[0]._replace(low_ns=10 * SECOND_NS, high_ns=high_s * SECOND_NS)
    found.course.hypotheses.kinds = lambda: [
        kind._replace(low_ns=box.low_ns, high_ns=box.high_ns, boxes=[box])
    ]
    assert words in describe(found)


def test_a_limit_that_is_seen_is_said_though_the_budget_ended():
    found = finding(Hello(200))
    found.course.limit = 50
    assert describe(found).startswith("50 at once: too little of the budget was left")
    found.course.limit = 0
    found.course.keys.append([Seen(0, 1, 1, 0), Seen(2, 3, 38, 0)])
    admitted = replace(found, statuses=Counter({200: 40}))
    assert headline(admitted) == "no limit seen up to 39 admissions of a key"


def test_a_window_beyond_the_time_asks_for_more_time():
    course = Course(limit=5, held_ns=30 * SECOND_NS)
    text = describe(replace(finding(Hello(200)), course=course))
    assert "--max-requests 2100 --max-time 260s" in text


def test_of_an_unknown_rule_it_is_said_when_a_key_came_back():
    found = confirmed(finding(Hello(200)), 5)
    found.course.hypotheses.learn([[Seen(0, 1, 7, 1)]])
    found.course.held_ns, found.course.back_ns = 2 * SECOND_NS, 3 * SECOND_NS
    text = describe(replace(found, kinds=()))
    assert "the first key was admitted again after 2 s to 3 s" in text


def test_for_how_long_a_denial_blocks_is_said_and_a_window_in_milliseconds():
    family = next(each for each in FAMILIES if each.name == "sliding-log, a denial blocks")
    box = Box(5, 990_300_000, 998_300_000, 4_900_000_000, 5_100_000_000)
    kind = Kind(family, 5, box.low_ns, box.high_ns, [box])
    text = describe(replace(finding(Hello(200)), course=Course(limit=5), kinds=[kind]))
    assert "5 per 994ms (sliding-log, a denial blocks: for 4.9 s to 5.1 s) (± 4.3 ms)" in text


@pytest.mark.parametrize(
    ("several", "first"),
    [
        (Several(12, 40, 40, 1_950_000_000, 2_050_000_000), "together 40 per 2s"),
        (Several(12, 40, 40, 1_500_000_000, 2_050_000_000), "together 40 at once"),
        (Several(12, 40, 39, 1_950_000_000, 2_050_000_000), "together about 40 per 2s"),
        (Several(12, 40, 8, 150_000_000, 250_000_000), "together about 40 at once"),
        (Several(12, 40, None, 5 * SECOND_NS, None), "together about 40 at once"),
    ],
)
def test_of_several_counters_only_what_they_admit_together_is_named(several, first):
    found = replace(finding(Hello(200)), course=Course(limit=20, burst=20, several=several))
    line, *rest = describe(found).splitlines()
    assert line == f"several counters, {first}: each request meets any of them"
    assert found.exit_code == 2
    data = to_json(found)
    assert (data["policy"], data["limit"], data["together"]) == (None, None, 40)
    assert data["counters_at_least"] == 4
    assert any("limit of each: at most 12" in told for told in rest)


def test_a_key_that_the_policy_does_not_explain_forbids_the_name():
    known = confirmed(finding(Hello(200)), 5)
    assert (known.exit_code, str(known.quota)) == (0, "5 per 5s")
    known.course.hypotheses.learn([[Seen(0, 1, 7, 1)]])
    left_out = replace(known, kinds=known.course.hypotheses.kinds())
    assert (left_out.exit_code, left_out.quota) == (2, None)
    text = describe(left_out)
    assert text.startswith("not named: 5 at once, by a rule that is not known here\n")
    assert "a larger budget would tell no more" in text
    assert "--max-requests" not in text


def test_several_counters_are_the_headline_and_no_policy():
    one = confirmed(finding(Hello(200)), 5)
    assert one.exit_code == 0
    for sticky, words in ((True, "at least 4: which one is met goes by"), (False, "together ")):
        one.course.several = Several(5, 20, sticky=sticky)
        assert (one.exit_code, to_json(one)["policy"]) == (2, None)
        assert describe(one).startswith(f"several counters, {words}")


def test_what_the_requests_did_not_suffice_for_is_said():
    told = (("query:clientId", UNTRIED), ("path", UNTRIED), ("address", NOT_IN_KEY))
    dimensions = tuple(Dimension(*each) for each in told)
    text = describe(replace(finding(Hello(200)), dimensions=dimensions))
    assert "not by address" in text
    assert "not tried beyond 394 requests in all: query:clientId, path" in text


@pytest.mark.parametrize(("number", "policy"), [(2, "1500ms blocks 1"), (3, "2s blocks 2")])
def test_blocks_are_named_as_sliding_blocks_whose_window_is_all_but_the_one_that_is_open(
    number, policy
):
    """K + 1 blocks of 1 s together are K in which no more than N are admitted."""
    blocks = [family for family in FAMILIES if family.number == number]
    found = confirmed(finding(Hello(200)), 5, blocks, window_ns=3 * SECOND_NS, edges=4)
    first, *_ = describe(found).splitlines()
    assert first == f"sliding-blocks 5 per {policy}"
    told = to_json(found)
    assert told["policy"] == first
    (candidate,) = told["candidates"]
    assert candidate["window_low_ns"] == Policy.parse(first).quotas[0].window_ns


def test_polls_that_answer_alike_are_one_entry_of_a_row():
    found, ms = finding(Hello(200)), 1_000_000
    polls = tuple((number * 10 * ms, 1) for number in range(1, 8))
    found.course.rounds = [
        Round(((0, 8), *polls), (5, 0, 0, 0, 0, 0, 0, 1)),
        Round(((0, 5),), (2, 3)),
    ]
    *_, one, two, _, _ = describe(found).splitlines()
    assert one.split("  ")[0] == "5, 6 x 0, 1"
    assert one.endswith("8 at 0s, 1 at 10ms to 60ms, 1 at 70ms")
    assert two.startswith("2, 3 ")
    assert two.endswith(" 5 at 0s")
