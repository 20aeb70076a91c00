"""The clients that a limit would reject the most of, and whether each may be many."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rateproof.output import printable
from rateproof.plan.bounds import gates
from rateproof.plan.traffic import Peaks, Traffic
from rateproof.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Beyond", "Names", "top_clients"]

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
    """The names of clients as they are shown: digests, others in each process, or the keys.

    Args:
        plain: show the keys.
    """

    def __init__(self, *, plain: bool) -> None:
        self._plain, self._salt = plain, secrets.token_bytes(16)

    def of(self, key: bytes) -> str:
        """Return the name of a key."""
        if self._plain:
            return printable(key.decode("utf-8", "surrogateescape"))
        return f"client-{hashlib.blake2b(key, key=self._salt, digest_size=4).hexdigest()}"


def top_clients(
    traffic: Traffic, peaks: Peaks, limit: int, policy: Policy, names: Names
) -> list[Beyond]:
    """Return those with the highest peaks above a limit, the highest first."""
    above = [code for code, peak in enumerate(peaks.most) if peak > limit]
    wanted = sorted(above, key=lambda code: (-peaks.most[code], code))[:_MOST]
    figures = gates(policy)
    told: dict[int, Sequence[Any]] = {}
    for _, found in traffic.each_part(lambda part: part.clients(wanted, [figures]), wanted):
        told |= {one[0]: one for one in found}
    return [
        Beyond(
            name=names.of(traffic.keys[code]),
            requests=told[code][1],
            peak=peaks.most[code],
            agents=told[code][2],
            paths=told[code][3],
            rejected=told[code][6][0],
        )
        for code in wanted
    ]
