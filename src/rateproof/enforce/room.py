"""Shares of the places in a limiter's tables: no address can lock every new client out.

A client that invents identities takes a place with each, for as long as its admissions
bind. So once more than half of the places are held by keys that still bind, an address
that holds more than a thousandth of them gets no further ones: its new keys are treated
as by a full table (`on_full`). Keys that have a place are decided as ever.

*Shared* by all who use the store, and kept when they restart: the places, and a table of
what each address took of each quota's, a token bucket of a thousandth of the places. The quota
is the one of which one admission binds for longest, and the bucket fills in its memory. So an
address gets at most two thousandths in that time while more than half are held; one that cannot
be counted for lack of room is given its place.

*By each process*: an estimate of the places that are held, from 1,024 of them, made anew
after 1/256 of the places were taken here, or after a second. It says `crowded` only three
standard deviations above half, so that chance gives rather than refuses.
"""

import math
from collections.abc import Callable, Iterable
from typing import Final

from rateproof.clock import SystemClock
from rateproof.enforce.decision import Decision
from rateproof.enforce.stores import Store, Tables
from rateproof.policy import Policy, Quota
from rateproof.policy.token_bucket import TOKEN_BUCKET
from rateproof.units import MAX_DURATION_NS, SECOND_NS

_SAMPLE: Final = 1024
_SHARE: Final = 1000
_LOOKS: Final = 256


def of_addresses(table: Quota, quotas: Iterable[Quota]) -> bool:
    """True of a table of what addresses took of the places for one of the quotas."""
    return (table.algorithm, table.burst) == (TOKEN_BUCKET.name, table.limit) and any(
        table.window_ns == _window_ns(quota, table.limit) for quota in quotas
    )


def _window_ns(longest: Quota, share: int) -> int:
    """One ns longer than what anybody asks for: it is not a table of the policy's."""
    window_ns = max(longest.memory_ns, TOKEN_BUCKET.least_window_ns(share, 0)) + 1
    return min(window_ns, MAX_DURATION_NS - 1)


class Room:
    """The places of one limiter's tables, and who takes them; see the module.

    Args:
        store: of the limiter.
        policy: that it enforces.
        ledger: of the policy.
        now: the reading that its ledgers are told, None for their own clock.
        peek: the limiter's, by this policy.
        refuse: what it decides where there is no place, given the time until there is one.
    """

    def __init__(
        self,
        store: Store,
        policy: Policy,
        ledger: Tables,
        *,
        now: Callable[[], int | None],
        peek: Callable[[bytes], Decision],
        refuse: Callable[[int], Decision],
    ) -> None:
        longest = max(policy.quotas, key=_held_ns)
        self.place = policy.quotas.index(longest)
        """Place in the policy of the quota by which a key is known for longest."""
        self.burst = longest.burst
        self.crowded = False
        """True if more than half of the places are held, as far as this process knows."""
        self.refuse = refuse
        """Decide about a key that may have no place for so long."""
        self._ledger, self._index = ledger, list(ledger.quotas).index(longest)
        self._now, self._peek = now, peek
        self._alone = len(policy.quotas) == 1
        self._slots = ledger.slots
        self._share = share = max(1, self._slots // _SHARE)
        bucket = Quota(share, _window_ns(longest, share), TOKEN_BUCKET.name, share)
        self._shares = store.ledger([bucket])
        self.table = f"{longest} ".encode()
        """A name for the places: rooms of policies with this quota have the same."""
        self._clock = SystemClock()
        self._taken, self._turn, self._stale_ns = 0, 0, 0

    def took(self, decision: Decision, cost: int = 1) -> bool:
        """True if the call took a place: before it, nothing bound its key."""
        decided = decision.admitted and decision.reason == "quota"
        return decided and self._remaining(decision) == self.burst - cost

    def take(self, address: bytes) -> None:
        """An address took a place; empty: nobody's share."""
        if address:
            self._shares.hit(self.table + address, 1, self._now())
        self._taken += 1
        self._look()

    def knows(self, key: bytes) -> bool:
        """True if the key has a place, for something binds it, or is exempt and takes none."""
        seen = self._peek(key)
        return seen.reason == "exempt" or self._remaining(seen) < self.burst

    def wait_ns(self, address: bytes, places: int = 1) -> int | None:
        """The time until new keys of an address may have so many places; None: they may now.

        More than a whole share is never asked for: tables of less than two thousand places
        give each address one at a time.
        """
        if not self.crowded or not address:
            return None
        self._look()
        cost = min(places, self._share)
        share = self._shares.peek(self.table + address, cost, self._now()).answers[0]
        if not self.crowded or share.admitted or share.full:
            return None
        return share.retry_after_ns

    def _remaining(self, decision: Decision) -> int:
        return decision.remaining if self._alone else decision.quotas[self.place].remaining

    def _look(self) -> None:
        """Estimate anew, if that is due."""
        reading_ns = self._now()
        now_ns = self._clock.now_ns() if reading_ns is None else reading_ns
        if now_ns < self._stale_ns and self._taken * _LOOKS < self._slots:
            return
        self._taken, self._stale_ns, self._turn = 0, now_ns + SECOND_NS, self._turn + 1
        live, looked = self._ledger.sample(self._index, reading_ns, self._turn, _SAMPLE)
        spread = 0.0 if looked == self._slots else 1.5 * math.sqrt(looked)
        self.crowded = 2 * (live - spread) > looked


def _held_ns(quota: Quota) -> int:
    """The time for which one admission binds: of a token bucket, until its token is back."""
    return quota.record.memory_ns(quota.limit, quota.window_ns, 1, quota.parameter)
