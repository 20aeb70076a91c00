"""The progress of a long piece of work, for people who wait."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_TELL_EACH_S: Final = 10


@dataclass
class Progress:
    """Says every ten seconds how much of a work is done, and how long the rest will take."""

    what: str
    total: int
    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _begun: float = field(init=False)
    _told: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._begun = self.clock()

    def at(self, done: int) -> None:
        """Note that so much of it is done, and say so if it is time."""
        passed = self.clock() - self._begun
        if passed - self._told >= _TELL_EACH_S and 0 < done < self.total:
            self._told = passed
            left = passed / done * (self.total - done)
            self.say(f"{self.what}: {100 * done // self.total} %, {left:.0f} s left")
