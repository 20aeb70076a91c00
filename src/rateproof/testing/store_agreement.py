"""Claims on a store that is told the time: it decides as the reference does, to the nanosecond."""

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import ClassVar, NamedTuple
from uuid import uuid4

import pytest

from rateproof.enforce.algorithms import RULES
from rateproof.enforce.counters import Count
from rateproof.enforce.decision import Answer, Ruling
from rateproof.enforce.stores import Store
from rateproof.errors import StoreError
from rateproof.policy import Policy, Quota
from rateproof.testing.schedules import (
    Ledgers,
    StoreCalls,
    draw_calls,
    draw_quotas,
    reference_store,
    round_up,
    shortest,
)

__all__ = ["StoreAgreement", "StoreSuite"]

_ROOM = 256
_CROWD = 8
_START_NS = 10**15

_EACH_AND_MIXED = pytest.mark.parametrize(
    "algorithms", [*([name] for name in RULES), sorted(RULES)], ids=[*RULES, "mixed"]
)


class _Difference(NamedTuple):
    store: str
    reference: str


class StoreSuite:
    """The opening of stores for the claims: to be completed by who derives from them."""

    shared: ClassVar[bool] = False
    """True if all who open the same name share what is in it, in other processes too."""

    def open_store(self, name: str, capacity: int) -> Store:
        """Open the store of this name, of letters, digits and hyphens: to be written.

        It is new, unless it was opened before and not removed, and has room for `capacity` keys at
        once, for each quota. Who asked for it closes it; where `shared`, forked processes ask too.
        """
        raise NotImplementedError

    def remove_store(self, name: str) -> None:
        """Delete what is left of the store of this name, if anything is: all have closed it."""

    @contextmanager
    def _fresh_name(self) -> Iterator[str]:
        name = f"agreement-{uuid4().hex}"
        try:
            yield name
        finally:
            self.remove_store(name)


class StoreAgreement(StoreSuite):
    """Claims that hold a store to the reference store: derive a class of tests from it.

    pytest collects a class whose name begins with `Test`. It needs `open_store`, and
    `tell_time` if the store does not decide by the time that its ledgers are told.

    The schedules are random and the same in each run; one that tells the store from
    the reference is shortened before it is shown.
    """

    step_ns: ClassVar[int] = 1
    """In what steps the store counts time: windows are drawn, and waits rounded up, to these."""

    schedules: ClassVar[int] = 25
    """The number of random schedules that each claim is tried with."""

    def tell_time(self, store: Store, now_ns: int) -> int | None:  # noqa: ARG002 - for who derives
        """Make it `now_ns`, in whole steps, for an open store: perhaps less than before.

        Returns:
            What its ledgers are told next: `now_ns`, or None for a store that decides
            by a clock of its own, which is to be set here.
        """
        return now_ns

    @_EACH_AND_MIXED
    def test_decides_as_the_reference_does(self, algorithms: Sequence[str]) -> None:
        """Each answer to hits and peeks of any cost, under one to three quotas, and after resets.

        All quotas admit and are charged or none is; policies share the quotas that they
        have in common; time passes or stands still; where the store is `shared`, two
        have it open.
        """
        for draw in self._draws(algorithms):
            quotas = draw_quotas(draw, algorithms, self.step_ns)
            steps: StoreCalls = draw_calls(draw, quotas, 2 if self.shared else 1, self.step_ns)
            if self._difference(quotas, steps) is not None:
                raise AssertionError(self._shortest_difference(quotas, steps))

    @_EACH_AND_MIXED
    def test_a_crowded_store_refuses_but_never_forgets_or_invents(
        self, algorithms: Sequence[str]
    ) -> None:
        """Keys come and go where there is room for eight: what is not `full` is as if each were alone.

        Only a key that nothing binds is refused, only while eight others are bound, and
        uncounted. With `skip_full` it passes.
        """
        for draw in self._draws(algorithms):
            quota = draw_quotas(draw, algorithms, self.step_ns)[0]
            now_ns = round_up(_START_NS, self.step_ns)
            with self._opened(capacity=_CROWD) as store, closing(reference_store()) as roomy:
                ledger, alone = store.ledger([quota]), roomy.ledger([quota])
                for _ in range(120):
                    now_ns += round_up(quota.window_ns * draw.randint(0, 2) // 10, self.step_ns)
                    key, skip_full = b"%d" % draw.randrange(40), draw.random() < 0.2
                    told_ns = self.tell_time(store, now_ns)
                    ruling = ledger.hit(key, 1, told_ns, skip_full=skip_full)
                    if ruling.reason != "full":
                        self._check(quota, ruling, alone.hit(key, 1, now_ns))
                        continue
                    live, _ = alone.sample(0, now_ns, 0, alone.slots)
                    bound = alone.peek(key, 1, now_ns).answers[0].reset_after_ns > 0
                    seen = f"{quota}: no room, {ruling}, with {bound=}, {skip_full=}, {live} keys"
                    _check(not bound and live >= _CROWD and ruling.admitted == skip_full, seen)

    @pytest.mark.parametrize("algorithm", RULES)
    def test_a_clock_that_steps_back_loosens_nothing(self, algorithm: str) -> None:
        """However far the clock falls behind the true time, every stretch keeps the policy's gap."""
        for draw in self._draws(algorithm):
            quota = draw_quotas(draw, [algorithm], self.step_ns)[0]
            true_ns = round_up(_START_NS, self.step_ns)
            behind_ns = 0
            admitted_at_ns: list[int] = []
            with self._opened() as store:
                ledger = store.ledger([quota])
                for _ in range(40):
                    true_ns += round_up(quota.window_ns * draw.randint(0, 4) // 10, self.step_ns)
                    back = draw.choice([0, 0, 0, 0.1, 1, 5])
                    behind_ns += round_up(round(quota.window_ns * back), self.step_ns)
                    cost = draw.randint(1, quota.burst)
                    told_ns = self.tell_time(store, max(0, true_ns - behind_ns))
                    if ledger.hit(b"a", cost, told_ns).admitted:
                        admitted_at_ns += [true_ns] * cost
            _check_gaps(quota, admitted_at_ns)

    def test_counts_what_it_is_told_to_count(self) -> None:
        """Once each; what is not counted stays 0."""
        with self._opened() as store:
            counters = store.counters()
            for which in (Count.ADMITTED, Count.DENIED, Count.DENIED, Count.CACHED):
                counters.add(which)
            totals = dict(zip(Count, counters.totals(), strict=True))
            counted = {count: total for count, total in totals.items() if total}
            expected = {Count.ADMITTED: 1, Count.DENIED: 2, Count.CACHED: 1}
            _check(counted == expected, f"counted {counted}, not {expected}")

    def test_a_closed_store_decides_nothing(self) -> None:
        """Closing twice does no harm; whatever is asked afterwards is a `StoreError`."""
        quota = Quota(5, 10**6 * self.step_ns)
        with self._opened() as store:
            ledger = store.ledger([quota])
            now_ns = self.tell_time(store, round_up(_START_NS, self.step_ns))
            ledger.hit(b"a", 1, now_ns)
            store.close()
            store.close()
            for deed in (
                lambda: ledger.hit(b"a", 1, now_ns),
                lambda: ledger.peek(b"a", 1, now_ns),
                lambda: ledger.reset(b"a"),
                ledger.clear,
                lambda: store.ledger([quota]),
            ):
                with pytest.raises(StoreError):
                    deed()

    def _draws(self, *about: object) -> Iterator[random.Random]:
        return (random.Random(f"{about} {number}") for number in range(self.schedules))

    @contextmanager
    def _opened(self, capacity: int = _ROOM) -> Iterator[Store]:
        with self._fresh_name() as name, closing(self.open_store(name, capacity)) as store:
            yield store

    def _difference(self, quotas: Sequence[Quota], steps: StoreCalls) -> _Difference | None:
        """The first step that the store answers unlike the reference."""
        with ExitStack() as stack:
            expected = Ledgers(stack.enter_context(closing(reference_store())), quotas)
            name = stack.enter_context(self._fresh_name())
            openers = []
            for _ in range(2 if self.shared else 1):
                store = stack.enter_context(closing(self.open_store(name, _ROOM)))
                openers.append((store, Ledgers(store, quotas)))
            for step in steps:
                store, ledgers = openers[step.opener]
                found = self._seen(ledgers.take(step, self.tell_time(store, step.now_ns)))
                wanted = self._seen(expected.take(step, step.now_ns))
                if found != wanted:
                    return _Difference(found, wanted)
        return None

    def _shortest_difference(self, quotas: Sequence[Quota], steps: StoreCalls) -> str:
        steps = shortest(steps, lambda fewer: self._difference(quotas, fewer) is not None)
        lines = ["the store does not decide as the reference does"]
        lines.append(f"policy     {Policy(tuple(quotas))}")
        lines += [f"schedule   {step}" for step in steps]
        if (found := self._difference(quotas, steps)) is not None:
            lines += [f"store      {found.store}", f"reference  {found.reference}"]
        return "\n".join(lines)

    def _check(self, quota: Quota, found: Ruling, wanted: Ruling) -> None:
        seen, expected = self._seen(found), self._seen(wanted)
        _check(seen == expected, f"{quota}:\n  store      {seen}\n  reference  {expected}")

    def _seen(self, ruling: Ruling | None) -> str:
        if ruling is None:
            return ""
        said = "admitted" if ruling.admitted else "denied"
        if ruling.reason not in {"quota", "cached"}:
            said += f" by {ruling.reason}"
        return "; ".join([said, *(self._figures(each) for each in ruling.answers)])

    def _figures(self, answer: Answer) -> str:
        retry_ns, reset_ns = (
            round_up(wait_ns, self.step_ns)
            for wait_ns in (answer.retry_after_ns, answer.reset_after_ns)
        )
        return f"{answer.remaining} left, retry after {retry_ns} ns, reset after {reset_ns} ns"


def _check(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - private
    if not holds:
        raise AssertionError(otherwise)


def _check_gaps(quota: Quota, admitted_at_ns: Sequence[int]) -> None:
    for first, start_ns in enumerate(admitted_at_ns):
        for count, end_ns in enumerate(admitted_at_ns[first:], 1):
            spanned_ns, gap_ns = end_ns - start_ns, quota.gap(count)
            _check(
                spanned_ns >= gap_ns,
                f"{quota}: {count} admissions within {spanned_ns} ns, not in {gap_ns} ns or more",
            )
