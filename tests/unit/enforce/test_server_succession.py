"""One policy after another: which quotas hold, and until when."""

import pytest

from rateproof.enforce.server.succession import LAG_NS, MAX_LEAVING, Succession
from rateproof.errors import InvalidArgument
from rateproof.policy import Policy, Quota

SECOND = 1_000_000_000
FIVE, THREE, HOURLY = (Policy.parse(text) for text in ("5 per 5s", "3 per 5s", "9 per 1h"))


def test_the_first_policy_holds_alone():
    succession = Succession(FIVE)
    assert succession.in_force == FIVE
    assert succession.next_ns is None


def test_an_old_quota_holds_beside_the_new_one_for_its_window():
    end = 7 * SECOND + 5 * SECOND + LAG_NS
    succession = Succession(FIVE).after(THREE, 7 * SECOND)
    assert succession.in_force == Policy.parse("3 per 5s; 5 per 5s")
    assert succession.next_ns == end
    assert succession.at(end - 1) == succession
    assert succession.at(end) == Succession(THREE)


def test_a_quota_that_stays_is_not_doubled_and_does_not_end():
    both = Policy.parse("5 per 5s; 9 per 1h")
    succession = Succession(FIVE).after(both, SECOND)
    assert succession == Succession(both)
    assert succession.after(FIVE, SECOND).in_force == Policy.parse("5 per 5s; 9 per 1h")


def test_the_same_policy_again_changes_nothing():
    assert Succession(FIVE).after(Policy.parse("5/5s"), SECOND) == Succession(FIVE)


def test_quotas_of_several_changes_each_end_in_their_own_time():
    succession = Succession(HOURLY).after(FIVE, 0).after(THREE, SECOND)
    assert succession.in_force == Policy.parse("3 per 5s; 9 per 1h; 5 per 5s")
    succession = succession.at(succession.next_ns)
    assert succession.in_force == Policy.parse("3 per 5s; 9 per 1h")
    assert succession.next_ns == 3600 * SECOND + LAG_NS


def test_at_most_eight_quotas_leave_at_once_and_ceased_ones_do_not_count():
    succession = Succession(HOURLY)
    for limit in range(1, MAX_LEAVING + 1):
        succession = succession.after(Policy.parse(f"{limit} per 5s"), 0)
    assert len(succession.leaving) == MAX_LEAVING
    with pytest.raises(InvalidArgument, match="9 quotas would hold beside '99 per 5s'"):
        succession.after(Policy.parse("99 per 5s"), 0)
    later = succession.after(Policy.parse("99 per 5s"), 5 * SECOND + LAG_NS)
    assert later.in_force == Policy.parse("99 per 5s; 9 per 1h; 8 per 5s")


def test_a_quota_that_comes_back_in_time_never_left():
    assert Succession(FIVE).after(THREE, 0).after(FIVE, SECOND).in_force == Policy.parse(
        "5 per 5s; 3 per 5s"
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5 per 5s", 5),
        ("token-bucket 5 per 5s", 5),
        ("token-bucket 1 per 2s burst 10", 20),
        ("fixed-window 5 per 5s", 5),
        ("first-hit-window 5 per 5s", 5),
        ("sliding-counter 5 per 5s", 10),
    ],
)
def test_an_admission_matters_to_a_quota_for_so_long(text, seconds):
    assert Policy.parse(text).quotas[0].memory_ns == seconds * SECOND


def test_a_bucket_is_waited_for_to_the_last_nanosecond():
    assert Quota(3, 10 * SECOND, "token-bucket", burst=2).memory_ns == 2 * 3_333_333_334
