"""Claims on a store that several ask at once, by the time of the machine."""

import mmap
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any, ClassVar, TypeVar

import pytest

from rateproof.enforce.algorithms import RULES
from rateproof.enforce.limiter import Limiter
from rateproof.events import ADMITTED, Event, EventLog
from rateproof.policy import Policy
from rateproof.prove import OVER_ADMISSION, VIOLATED, judge
from rateproof.testing.store_agreement import StoreSuite

__all__ = ["StoreRaces"]

T = TypeVar("T")

_ADMISSIONS = 15
_PATIENCE_NS = 20_000_000_000
_MEETING_S = 60
_RACED = [
    *(f"{algorithm} 5 per day" for algorithm in RULES),
    "; ".join(f"{algorithm} {5 + more} per day" for more, algorithm in enumerate(RULES)),
]


class StoreRaces(StoreSuite):
    """Claims for a store that is asked by several at once: derive a class of tests from it.

    pytest collects a class whose name begins with `Test`; it needs `open_store`. Time is the
    machine's: nobody has to be able to set the store's clock.
    """

    rounds: ClassVar[int] = 400
    """The number of times that two hits at once are tried, for each policy."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Let processes race where they share."""
        if "workers" in metafunc.fixturenames:
            metafunc.parametrize(
                "workers", ["threads", "processes"] if self.shared else ["threads"]
            )

    @pytest.mark.parametrize("policy", _RACED)
    def test_of_two_hits_at_once_that_do_not_both_fit_one_is_admitted(
        self, workers: str, policy: str
    ) -> None:
        """In each round, of a key of its own, a hit of cost 3 by both where 4 or 5 are left."""

        def race(me: int, limiter: Limiter, meeting: _Meeting) -> list[bool]:
            won = []
            for number in range(1, self.rounds + 1):
                if me == 0 and number % 2:
                    limiter.hit(str(number))
                meeting.wait(me, number)
                won.append(_admits(limiter, str(number), cost=3))
            return won

        for number, (one, other) in enumerate(
            zip(*self._at_once(workers, policy, race), strict=True)
        ):
            if one + other != 1:
                raise AssertionError(
                    f"in round {number + 1} {'both' if one else 'none'} were admitted"
                )

    @pytest.mark.parametrize("algorithm", RULES)
    def test_never_more_than_the_policy_allows_in_any_window(
        self, workers: str, algorithm: str
    ) -> None:
        """Judged by what callers saw; and what falls out of the window is admitted anew."""
        policy = f"{algorithm} 5 per 50ms"

        def hammer(me: int, limiter: Limiter, meeting: _Meeting) -> list[tuple[int, int]]:
            meeting.wait(me, 1)
            admitted: list[tuple[int, int]] = []
            end_ns = time.monotonic_ns() + _PATIENCE_NS
            while len(admitted) < _ADMISSIONS:
                asked_ns = time.monotonic_ns()
                if _admits(limiter, "a"):
                    admitted.append((asked_ns, time.monotonic_ns()))
                elif asked_ns > end_ns:
                    raise AssertionError(f"{len(admitted)} admitted of '{policy}' in 20 s")
            return admitted

        admitted = [each for seen in self._at_once(workers, policy, hammer) for each in seen]
        log = EventLog()
        for sent_ns, received_ns in sorted(admitted):
            log.append(
                Event(
                    key=b"a",
                    sent_ns=sent_ns,
                    received_ns=received_ns,
                    status=200,
                    outcome=ADMITTED,
                )
            )
        verdict = judge(log, Policy.parse(policy), claims=frozenset({OVER_ADMISSION}))
        if verdict.outcome == VIOLATED:
            evidence = [f"{each.sentence()}\n{each.timeline()}" for each in verdict.evidence[:1]]
            raise AssertionError(
                "\n".join([f"{policy!r} does not hold", *evidence, *verdict.reasons])
            )

    def _at_once(
        self, workers: str, policy: str, work: "Callable[[int, Limiter, _Meeting], list[T]]"
    ) -> list[list[T]]:
        """Return the results of two workers, each with a limiter on one store."""
        meeting = _Meeting()

        def join(me: int, limiter: Limiter) -> list[T]:
            try:
                return work(me, limiter, meeting)
            finally:
                meeting.leave(me)

        with self._fresh_name() as name:

            def opened() -> Limiter:
                return Limiter(policy, store=self.open_store(name, 2 * self.rounds))

            def alone(me: int) -> list[T]:
                with opened() as limiter:
                    return join(me, limiter)

            if workers == "processes":
                return _in_processes(alone)
            with opened() as limiter:
                return _in_threads(lambda me: join(me, limiter))


def _admits(limiter: Limiter, key: str, cost: int = 1) -> bool:
    """True if the store admits it: one that cannot be reached must not pass for one that denies."""
    decision = limiter.hit(key, cost=cost)
    if decision.reason == "error":
        raise AssertionError("the store could not be reached")
    return decision.admitted


class _Meeting:
    """A barrier of two workers; of processes if they were forked after it was made."""

    def __init__(self) -> None:
        self._places = memoryview(mmap.mmap(-1, 16)).cast("Q")

    def wait(self, me: int, number: int) -> None:
        """Come to the meeting of this number, 1 or more, and go on when the other has too.

        Raises:
            TimeoutError: the other does not come.
        """
        self._places[me] = number
        deadline = time.monotonic() + _MEETING_S
        while self._places[1 - me] < number:
            time.sleep(0)
            if time.monotonic() > deadline:
                raise TimeoutError("the other worker does not come")

    def leave(self, me: int) -> None:
        """Come no more: who waits for this worker goes on."""
        self._places[me] = 2**64 - 1


def _in_threads(work: Callable[[int], T]) -> list[T]:
    """The results of `work(0)` and `work(1)`, done by threads that take turns all the time."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(work, range(2)))
    finally:
        sys.setswitchinterval(interval)


def _in_processes(work: Callable[[int], T]) -> list[T]:
    """The results of `work(0)` and `work(1)`, done by forked processes: one for each."""
    with ProcessPoolExecutor(2, get_context("fork"), _adopt, (work,)) as pool:
        return list(pool.map(_work, range(2)))


_WORK: list[Callable[[int], Any]] = []
"""In a forked process: its work, which need not be pickled so."""


def _adopt(work: Callable[[int], Any]) -> None:
    _WORK.append(work)


def _work(me: int) -> Any:
    return _WORK[0](me)
