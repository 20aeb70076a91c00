"""Quotas kept by a Redis or Valkey server, for every machine that reaches it."""

import itertools
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rateproof.enforce.counters import Counters
from rateproof.enforce.stores.redis.ledger import RedisLedger
from rateproof.enforce.stores.redis.service import Service
from rateproof.enforce.stores.tables import check_quota
from rateproof.errors import StoreError
from rateproof.policy import Quota

if TYPE_CHECKING:
    from rateproof.enforce.stores import Store

__all__ = ["RedisStore"]


class RedisStore:
    """The quotas of one server or Cluster; see `Store`.

    Args:
        service: what is asked.
        beside: tables of this process: its counters, and its ledgers if `local`.
        local: decide by these while the server does not answer.
    """

    def __init__(self, service: Service, beside: "Store", *, local: bool) -> None:
        self.service = service
        self._beside = beside
        self.local = local
        self._mutex = threading.Lock()
        self._ledgers: dict[tuple[Quota, ...], RedisLedger] = {}
        self._numbers = itertools.count()
        self._closed = False

    def ledger(self, quotas: Sequence[Quota]) -> RedisLedger:
        """The ledger of these quotas; see `Store`."""
        quotas = tuple(quotas)
        with self._mutex:
            if self._closed:
                raise StoreError("the limiter is closed", "open another one")
            if quotas not in self._ledgers:
                for quota in quotas:
                    check_quota(quota, capacity=1)
                local = self._beside.ledger(quotas) if self.local else None
                number = next(self._numbers)  # never twice: denials are remembered by it
                self._ledgers[quotas] = RedisLedger(self.service, number, quotas, local)
            return self._ledgers[quotas]

    def counters(self) -> Counters:
        """Counters of this process and the children that it forks."""
        return self._beside.counters()

    def retain(self, quotas: Sequence[Quota]) -> None:
        """Let go of ledgers with other quotas, and of their tables; see `Store`."""
        with self._mutex:
            self._ledgers = {
                kept: ledger for kept, ledger in self._ledgers.items() if set(kept) <= set(quotas)
            }
            self._beside.retain(quotas)

    def close(self) -> None:
        """Let go of the connections, once or more often."""
        with self._mutex:
            self._closed = True
            for ledger in self._ledgers.values():
                ledger.close()
            self.service.denials.clear()
            self.service.link.close()
            self._beside.close()
