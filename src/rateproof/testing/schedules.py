"""Random schedules for a store, and what the reference store decides on them."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from rateproof.enforce.decision import Ruling
from rateproof.enforce.stores import Ledger, Store, distinct_quotas
from rateproof.enforce.stores.plain import PlainStore
from rateproof.policy import ALGORITHMS, Policy, Quota

Operation: TypeAlias = Literal["hit", "ahit", "peek", "reset", "clear"]

_KEYS = (b"", b"a", b"a\0", b"\xff}{")
_STARTS_NS = (0, 3, 10**15, 2**59)

_OPERATIONS: Mapping[Operation, float] = {"hit": 20, "ahit": 3, "peek": 5, "reset": 2, "clear": 0.3}
"""Weights by which they are drawn."""


class StoreCall(NamedTuple):
    """One call of a ledger, never before the call before.

    Who calls is `opener` 0 or 1, of those that opened the store by its name; `alone` asks the
    ledger of the first quota only.
    """

    operation: Operation
    key: bytes
    cost: int
    now_ns: int
    opener: int
    alone: bool

    def __str__(self) -> str:
        what = {"reset": f"reset {self.key!r}", "clear": "clear"}.get(
            self.operation, f"{self.operation} {self.key!r} cost {self.cost}"
        )
        quotas = " (first quota alone)" if self.alone else ""
        return f"{what} at {self.now_ns} ns by opener {self.opener}{quotas}"


StoreCalls = Sequence[StoreCall]


class Ledgers:
    """The ledgers, of an open store and distinct quotas, that the steps of a schedule ask."""

    def __init__(self, store: Store, quotas: Sequence[Quota]) -> None:
        self._of: dict[bool, Ledger] = {
            alone: store.ledger(quotas[: 1 if alone else None]) for alone in (False, True)
        }

    def take(self, step: StoreCall, now_ns: int | None) -> Ruling | None:
        """Take the step; its answer, None for those that have none."""
        ledger = self._of[step.alone]
        match step.operation:
            case "hit" | "peek":
                ruling: Ruling = getattr(ledger, step.operation)(step.key, step.cost, now_ns)
                return ruling
            case "ahit":
                return asyncio.run(ledger.ahit(step.key, step.cost, now_ns))
            case "reset":
                ledger.reset(step.key)
            case "clear":
                ledger.clear()
        return None


def reference_store() -> PlainStore:
    """A store that is the specification, with room for every key of a schedule."""
    return PlainStore(256)


def draw_quotas(draw: random.Random, algorithms: Sequence[str], step_ns: int) -> list[Quota]:
    """One to three quotas, with limits up to 9 and windows of a few steps to some seconds."""
    drawn = [_draw_quota(draw, draw.choice(algorithms), step_ns) for _ in range(draw.randint(1, 3))]
    return distinct_quotas(Policy(tuple(drawn)))


def _draw_quota(draw: random.Random, algorithm: str, step_ns: int) -> Quota:
    limit = draw.randint(1, 9)
    record = ALGORITHMS[algorithm]
    parameter = draw.randint(1, 9) if record.parameter.most else 0
    least = record.least_window_ns(limit, parameter)
    steps = least + draw.choice([draw.randint(0, 12), draw.randint(0, 10**6), 10**9])
    if step_ns > 1:
        steps *= parameter or limit  # so that a block and what a bucket refills are whole steps
    burst = draw.randint(1, 9) if record.has_burst else limit
    return Quota(limit, steps * step_ns, algorithm, burst, parameter)


def draw_calls(
    draw: random.Random, quotas: Sequence[Quota], openers: int, step_ns: int
) -> list[StoreCall]:
    """A schedule that moves, or not, to about when something changes by the last answer."""
    store = reference_store()
    ledgers = Ledgers(store, quotas)
    most = min(quota.burst for quota in quotas)
    now_ns = round_up(draw.choice(_STARTS_NS), step_ns)
    waits_ns = [0]
    steps: list[StoreCall] = []
    for _ in range(draw.randint(20, 60)):
        ahead_ns = draw.choice([0, 0, *waits_ns, quotas[-1].window_ns // 3])
        now_ns += max(0, round_up(ahead_ns, step_ns) + draw.randint(-1, 4) * step_ns)
        step = StoreCall(
            operation=draw.choices([*_OPERATIONS], [*_OPERATIONS.values()])[0],
            key=draw.choice(_KEYS),
            cost=min(most, draw.randint(1, 9)),
            now_ns=now_ns,
            opener=draw.randrange(openers),
            alone=draw.random() < 0.1,
        )
        steps.append(step)
        ruling = ledgers.take(step, now_ns)
        if ruling is not None:
            waits_ns = [a.retry_after_ns for a in ruling.answers]
            waits_ns += [a.reset_after_ns for a in ruling.answers]
    store.close()
    return steps


def round_up(ns: int, step_ns: int) -> int:
    """The least whole number of steps that is not shorter."""
    return -(-ns // step_ns) * step_ns


def shortest(steps: StoreCalls, fails: Callable[[StoreCalls], bool]) -> StoreCalls:
    """Leave out what can be while it still fails: halves, quarters, down to single steps."""
    size = len(steps) // 2
    while size:
        start = 0
        while start < len(steps):
            fewer = [*steps[:start], *steps[start + size :]]
            if fails(fewer):
                steps = fewer
            else:
                start += size
        size //= 2
    return steps
