"""Evidence: one sentence, one drawing, plain data; keys never reach them raw."""

import json
from dataclasses import replace

import pytest

from rateproof.prove import Evidence, Witness
from rateproof.prove.evidence.wording import readable_key

MS = 1_000_000
S = 1_000 * MS


def piece(*numbers, **changes):
    events = tuple(
        Witness(number, i * 36_500_000, i * 36_500_000 + 500_000, 200, "admitted")
        for i, number in enumerate(numbers)
    )
    span = events[-1].received_ns - events[0].sent_ns
    return replace(
        Evidence(
            claim="over-admission",
            key=b"client-7",
            run=None,
            events=events,
            span_ns=span,
            allowed=5,
            seen=len(events),
            window_ns=5 * S,
            slack_ns=5 * S - span,
            nested=True,
            policy="5 per 5s",
        ),
        **changes,
    )


def test_consecutive_requests_are_named_by_the_first_and_last():
    assert piece(4, 5, 6, 7, 8, 9).sentence() == (
        "key 'client-7': requests #4 … #9 were all decided within 0.183 s: "
        "6 in less than 5 s, the policy allows 5"
    )


def test_scattered_requests_are_named_each_and_many_are_counted():
    assert "requests #1, #3 and #9 were all" in piece(1, 3, 9).sentence()
    assert "13 requests from #0 to #24 were all" in piece(*range(0, 26, 2)).sentence()
    assert "request #7 was" not in piece(7).sentence()
    assert "requests #1, #2 and #4611686018427387904 were" in piece(1, 2, 2**62).sentence()


def test_a_run_is_named_where_there_are_several():
    assert piece(1, 2, 3, run=4).sentence().startswith("key 'client-7', run 4: ")


def test_a_span_is_never_understated():
    assert "within 0.183 s" in piece(1, 2, span_ns=182_000_001).sentence()
    assert "within 0.000001 s" in piece(1, 2, span_ns=1).sentence()


def test_a_core_that_no_window_holds_says_so():
    sentence = piece(1, 2, 3, nested=False).sentence()
    assert sentence == (
        "key 'client-7': requests #1 … #3 cannot all have been admitted under '5 per 5s', "
        "whenever between sending and answer each was decided"
    )


def test_a_core_of_which_some_may_not_be_needed_says_so():
    told = "; not minimised: some of them may not be needed"
    assert piece(1, 2, 3, nested=False, minimal=False).sentence().endswith(told)
    assert told not in piece(1, 2, 3, nested=False).sentence()


@pytest.mark.parametrize(("seen", "held"), [(0, "none"), (3, "at most 3")])
def test_a_wrong_rejection_says_how_empty_the_window_was(seen, held):
    rejected = piece(8, 9, claim="wrong-rejection", seen=seen)
    assert rejected.sentence() == (
        "key 'client-7': request #9 was rejected, but the 5 s before it held "
        f"{held} of the 5 that the policy allows"
    )


def test_a_drawing_has_a_line_for_each_request_and_a_window():
    lines = piece(8, 9, 10, window_ns=200 * MS, slack_ns=126_500_000).timeline(60).split("\n")
    assert lines == [
        " #8     0.000 s 200 |",
        " #9     0.036 s 200        |",
        "#10     0.073 s 200               |",
        "         window     [--------------------------------------)",
        "                    200 ms, 0.126 s to spare",
    ]


def test_a_window_much_longer_than_the_requests_is_cut_off():
    lines = piece(8, 9, 10).timeline(60).split("\n")
    assert [line[20:] for line in lines] == [
        "|",
        " " * 19 + "|",
        " " * 38 + "[]",
        "[" + "-" * 38 + ">",
        "5 s, 4.926 s to spare",
    ]


def test_a_drawing_keeps_within_its_width():
    for width in (28, 40, 78, 200):
        for changes in ({}, {"claim": "wrong-rejection"}, {"window_ns": 1}, {"window_ns": 9**20}):
            text = piece(1, 20, 300, **changes).timeline(width)
            assert max(map(len, text.split("\n")[:-1])) <= width
        assert max(map(len, piece(1, 20, 300).timeline(width).split("\n"))) <= width


def test_an_answer_that_never_came_is_drawn_open():
    lost = piece(1, 2)
    events = (*lost.events, Witness(3, 0, None, None, "unknown"))
    assert "=>" in replace(lost, events=events).timeline().split("\n")[2]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (b"", "''"),
        (b"client-7", "'client-7'"),
        (b"a'b\\c", r"'a\x27b\x5cc'"),
        (b"\x1b[31m\r\n\x00", r"'\x1b[31m\x0d\x0a\x00'"),
        ("é".encode(), r"'\xc3\xa9'"),
        (b"x" * 40, f"'{'x' * 40}'"),
        (b"x" * 41, f"'{'x' * 37}...'"),
        (b"\xff" * 65_536, "'" + r"\xff" * 9 + "...'"),
    ],
)
def test_a_key_is_shown_in_printable_ascii_and_at_most_forty_characters(key, text):
    assert readable_key(key) == text


def test_plain_data_holds_the_exact_key_and_every_time():
    data = json.loads(json.dumps(piece(1, 2, key=b"\xff\n").to_json()))
    assert data["key"] == r"'\xff\x0a'"
    assert data["key_base64"] == "/wo="
    assert [event["sent_ns"] for event in data["events"]] == [0, 36_500_000]
    assert data["sentence"] == piece(1, 2, key=b"\xff\n").sentence()
