"""Claims about the generator: the published sequence, from the digest of a seed."""

from collections import Counter

from rateproof.simulate.programs.rng import Rng


def test_the_sequence_from_state_zero_is_the_published_one() -> None:
    """The first outputs of SplitMix64 seeded with 0, as in the authors' test data."""
    rng = Rng("")
    rng._state = 0
    assert [rng.bits(64) for _ in range(3)] == [
        0xE220_A839_7B1D_CDAF,
        0x6E78_9E6A_A1B9_65F4,
        0x06C4_5D18_8009_454F,
    ]


def test_fewer_bits_are_the_highest_of_them() -> None:
    whole, part = Rng("1/0"), Rng("1/0")
    assert [whole.bits(64) >> 12 for _ in range(9)] == [part.bits(52) for _ in range(9)]


def test_a_seed_repeats_its_sequence_and_a_near_one_has_another() -> None:
    first = [Rng("7/1").bits(64) for _ in range(2)]
    assert first[0] == first[1] != Rng("7/2").bits(64)


def test_clients_of_near_numbers_start_anywhere_alike() -> None:
    """4,096 neighbours fall into 16 equal classes: chi-square below its 99.9 % quantile, 37.7."""
    counts = Counter(Rng(f"1/{client}").bits(4) for client in range(4_096))
    assert sum((counts[k] - 256) ** 2 / 256 for k in range(16)) < 37.7
