"""Claims about the pacer: one ceiling over all who ask."""

from rateproof.simulate.transports.pacer import Pacer

SECOND = 10**9


def test_slots_are_handed_out_at_equal_distances_in_the_order_asked_for() -> None:
    pacer = Pacer(4)
    assert [pacer.reserve(0) for _ in range(4)] == [0, SECOND // 4, SECOND // 2, 3 * SECOND // 4]


def test_no_burst_follows_a_pause() -> None:
    pacer = Pacer(1)
    pacer.reserve(0)
    assert [pacer.reserve(10 * SECOND) for _ in range(3)] == [10 * SECOND, 11 * SECOND, 12 * SECOND]


def test_no_slot_lies_in_the_past() -> None:
    assert Pacer(1_000).reserve(123) == 123
