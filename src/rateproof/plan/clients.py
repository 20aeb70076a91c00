"""The clients that a limit would reject the most of, and whether each may be many."""

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any, Final

from rateproof.output import printable
from rateproof.plan.traffic import Peaks

_MOST: Final = 20
_MANY: Final = 5
"""From so many user agents on an address is likely to be that of several people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """A client that is beyond a limit.

    Args:
        name: its key, or a digest of it.
        requests: all of its requests.
        peak: the most that one window may have held.
        agents: different user agents.
        paths: different paths, without their queries.
        rejected: of the limit, at least and at most.
    """

    name: str
    requests: int
    peak: int
    agents: int
    paths: int
    rejected: tuple[int, int]

    @property
    def shared(self) -> bool:
        """True if it is likely to be an address that several clients share."""
        return self.agents >= _MANY


class Names:
    """The names of clients as they are shown: digests, others in each process, or the keys."""

    def __init__(self, *, plain: bool) -> None:
        self._plain, self._salt = plain, secrets.token_bytes(16)

    def of(self, key: bytes) -> str:
        """Return the name of a key."""
        if self._plain:
            return printable(key.decode("utf-8", "surrogateescape"))
        return f"client-{hashlib.blake2b(key, key=self._salt, digest_size=4).hexdigest()}"


def beyond(peaks: Peaks, limit: int) -> list[int]:
    """Return the codes of those with the highest peaks above a limit, the highest first."""
    above = (code for code, peak in enumerate(peaks.most) if peak > limit)
    return nsmallest(_MOST, above, key=lambda code: (-peaks.most[code], code))


def told_of(
    codes: Sequence[int],
    peaks: Peaks,
    known: Mapping[int, Sequence[Any]],
    names: Callable[[int], str],
) -> list[Beyond]:
    """Return what is known of clients: see `Replayed.clients`."""
    return [
        Beyond(
            name=names(code),
            requests=known[code][1],
            peak=peaks.most[code],
            agents=known[code][2],
            paths=known[code][3],
            rejected=known[code][6][0],
        )
        for code in codes
    ]
