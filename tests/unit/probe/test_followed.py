"""Keys that are followed as their answers come."""

import pytest

from rateproof.probe.followed import Followed, Length, LostError, differ
from rateproof.probe.seen import Seen

MS = 1_000_000
S = 1000 * MS


def _key(limit=2, begins=None, filled_ns=0, **given):
    seen = [Seen(filled_ns, filled_ns + MS, 1, 0)] if begins else []
    given = {"answer_ns": 2 * MS, "width_ns": 2 * MS} | given
    return Followed(limit, Length(S, S), seen=seen, begins=begins or {}, **given)


def _answers(key, asks, at_ns, *admitted):
    key.seen += [Seen(at_ns, at_ns + MS, each, 1 - each) for each in admitted]
    return asks.send(key.seen[-len(admitted) :])


def test_a_key_that_was_admitted_all_it_asked_for_tells_no_instant():
    """A window began while it was filled: it is not full, and the next admission no edge."""
    key = _key()
    asks = key.busy(0)
    assert next(asks) == (0, 3)
    with pytest.raises(LostError):
        _answers(key, asks, 0, 1, 1, 1)


def test_a_window_begins_between_the_last_denial_and_the_first_admission():
    key = _key()
    asks = key.busy(0)
    next(asks)
    at_ns, requests = _answers(key, asks, 0, 1, 1, 0)
    assert requests == 1
    later_ns, _ = _answers(key, asks, at_ns, 0)
    _answers(key, asks, later_ns, 1)
    assert key.begins == {0: (at_ns, later_ns + MS)}


@pytest.mark.parametrize(
    ("phase_ns", "filled_ns", "apart"),
    [
        (S // 4, S // 2, True),
        (0, S // 2, False),
        (S // 2, S // 2, False),
    ],
)
def test_two_keys_differ_whose_windows_begin_neither_at_one_instant_nor_as_they_were_filled(
    phase_ns, filled_ns, apart
):
    begun_ns = 3 * S + phase_ns
    one = _key(begins={0: (S, S + 5 * MS)}, foretold=True)
    other = _key(begins={0: (begun_ns, begun_ns + 5 * MS)}, filled_ns=filled_ns, foretold=True)
    assert differ([one, other]) == apart
    assert not differ([one])


@pytest.mark.parametrize(("answer_ms", "tells"), [(20, True), (50, False)])
def test_an_edge_is_foretold_before_one_of_n_comes_back_only_by_quick_answers(answer_ms, tells):
    """Of 10 in a second, one by one, each comes back a tenth of one later."""
    assert _key(10, answer_ns=answer_ms * MS).tells is tells
