"""Randomness that two languages draw alike."""

from hashlib import blake2b

_MASK = (1 << 64) - 1
_UNIT_BITS = 52
_GAMMA = 0x9E37_79B9_7F4A_7C15


class Rng:
    """SplitMix64: a counter, scrambled; the same numbers here and in the native engine.

    Source: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
    Generators" (OOPSLA 2014), figure 17, with the output function of Java's
    `SplittableRandom`. Period 2**64; for simulation, not for secrets.

    Args:
        seed: any text. The initial state is its 8-byte BLAKE2b digest, read as
            a little-endian number, so that near seeds give unrelated sequences.
    """

    __slots__ = ("_state",)

    def __init__(self, seed: str) -> None:
        self._state = int.from_bytes(blake2b(seed.encode(), digest_size=8).digest(), "little")

    def bits(self, count: int) -> int:
        """The next number, uniform on 0 to 2**`count` - 1; `count` from 1 to 64."""
        self._state = (self._state + _GAMMA) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB) & _MASK
        return (z ^ (z >> 31)) >> (64 - count)

    def unit(self) -> float:
        """A draw of U, uniform on the open interval (0, 1).

        The midpoints of 2**52 equal cells: (k + 1/2) / 2**52 needs 53 bits, which a
        double has; one bit more and the last midpoint would round to 1.
        """
        return (self.bits(_UNIT_BITS) + 0.5) / (1 << _UNIT_BITS)
