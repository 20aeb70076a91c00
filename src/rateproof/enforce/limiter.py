"""The limiter: keys in, decisions out."""

from types import TracebackType
from typing import Literal, NoReturn, Self

from rateproof.clock import Clock, SystemClock
from rateproof.enforce.decision import Answer, Decision
from rateproof.enforce.stores import DEFAULT_CAPACITY, distinct_quotas, open_store
from rateproof.errors import InvalidArgument, NeverPossible
from rateproof.policy import Policy, Quota

__all__ = ["Limiter"]

_MAX_NOW_NS = 2**61 - 1


class Limiter:
    """Admits what a policy allows, for any number of keys, threads and processes.

    Args:
        policy: such as `"5 per 5s"`, or a `Quota`, or a `Policy`.
        store: where admissions are kept. `memory://`: this process and the
            children it forks. `shm://NAME`: every process of this user on this
            machine that opens the same name, no service needed.
        clock: the machine's monotonic clock if None. Limiters that share a
            store must share a clock.
        on_full: what to decide, uncounted, for a key that the store has no room
            for: `deny` or `admit`. Live keys are never evicted for new ones.
        capacity: how many keys can be live at once, the same for every limiter
            on the store. Each takes 13 bytes for each admission of each quota.

    Raises:
        InvalidArgument: a policy, store, `on_full` or capacity that cannot be.
        StoreMismatch: the store has this quota in another core or capacity.
        StoreError: the store cannot be opened.

    >>> from rateproof import Limiter, ManualClock
    >>> clock = ManualClock()
    >>> limiter = Limiter("2 per 5s", clock=clock)
    >>> [limiter.hit("client-7").admitted for _ in range(3)]
    [True, True, False]
    >>> clock.advance(limiter.hit("client-7").retry_after_ns)
    >>> limiter.hit("client-7").admitted
    True
    >>> limiter.close()
    """

    def __init__(
        self,
        policy: str | Quota | Policy,
        *,
        store: str = "memory://",
        clock: Clock | None = None,
        on_full: Literal["deny", "admit"] = "deny",
        capacity: int = DEFAULT_CAPACITY,
    ) -> None:
        if on_full not in {"deny", "admit"}:
            raise InvalidArgument(f"on_full is {on_full!r}", "'deny' or 'admit'")
        self._policy = _policy(policy)
        # None lets the store read the machine's clock where it decides.
        self._clock = None if type(clock) is SystemClock else clock
        self._skip_full = on_full == "admit"
        self._max_cost = min(quota.limit for quota in self._policy.quotas)
        tables = distinct_quotas(self._policy)
        self._order = [(quota, tables.index(quota)) for quota in self._policy.quotas]
        self._store = open_store(store, self._policy, capacity)

    @property
    def policy(self) -> Policy:
        """What it enforces."""
        return self._policy

    def hit(self, key: str | bytes, cost: int = 1) -> Decision:
        """Decide whether a request of `key` may pass, and count it if it may.

        Args:
            key: the client's identity. A str counts as its UTF-8 bytes, lone
                surrogates included; the empty key is a key like others.
            cost: how many admissions it takes, all or nothing; at most the
                least limit of the policy.

        Raises:
            TypeError: the key is neither str nor bytes, or the cost no int.
            InvalidArgument: the cost is below 1.
            NeverPossible: the cost is above a limit, so no wait would help.
            StoreError: the limiter is closed, or its store failed.

        >>> from rateproof import Limiter, ManualClock
        >>> with Limiter("5 per 5s; 6 per hour", clock=ManualClock()) as limiter:
        ...     first, second = limiter.hit("a", cost=4), limiter.hit(b"a", cost=2)
        >>> first.admitted, first.remaining, [state.remaining for state in first.quotas]
        (True, 1, [1, 2])
        >>> second.admitted, second.remaining, second.retry_after_ns
        (False, 1, 5000000000)
        """
        cost = self._checked(cost)
        decided = self._store.hit(_bytes(key), cost, self._now_ns(), skip_full=self._skip_full)
        return self._decision(*decided)

    async def ahit(self, key: str | bytes, cost: int = 1) -> Decision:
        """`hit` for coroutines. It never waits for a network, so it simply decides."""
        return self.hit(key, cost)

    def peek(self, key: str | bytes, cost: int = 1) -> Decision:
        """What `hit` would decide now, counting nothing: `remaining` is what is free.

        Raises as `hit` does.

        >>> from rateproof import Limiter, ManualClock
        >>> with Limiter("5 per 5s", clock=ManualClock()) as limiter:
        ...     limiter.peek("a").remaining, limiter.peek("a").remaining
        (5, 5)
        """
        cost = self._checked(cost)
        decided = self._store.peek(_bytes(key), cost, self._now_ns(), skip_full=self._skip_full)
        return self._decision(*decided)

    def reset(self, key: str | bytes) -> None:
        """Forget what was admitted for `key`: all its quotas are free again.

        Raises:
            TypeError: the key is neither str nor bytes.
            StoreError: the limiter is closed, or its store failed.
        """
        self._store.reset(_bytes(key), self._now_ns())

    def close(self) -> None:
        """Let go of the store. Closing twice does no harm; deciding afterwards is an error.

        What is in `shm://` stays there for the other processes, and for the next.
        """
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Limiter cannot be pickled or copied: open one in each process on the same shm://NAME"
        )

    def __repr__(self) -> str:
        return f"Limiter({str(self._policy)!r})"

    def _checked(self, cost: int) -> int:
        if not isinstance(cost, int) or isinstance(cost, bool):
            raise TypeError(f"cost is {type(cost).__name__}, not int")
        if cost < 1:
            raise InvalidArgument(f"cost {cost}", "a cost is 1 or more")
        if cost > self._max_cost:
            raise NeverPossible(
                f"cost {cost} is above the limit {self._max_cost} of {str(self._policy)!r}",
                "no wait would let it pass",
            )
        return cost

    def _now_ns(self) -> int | None:
        if self._clock is None:
            return None
        now_ns = self._clock.now_ns()
        if not 0 <= now_ns <= _MAX_NOW_NS:
            raise InvalidArgument(f"the clock reads {now_ns} ns", "0 to 2**61 - 1 can be stored")
        return now_ns

    def _decision(self, admitted: bool, answers: list[Answer]) -> Decision:  # noqa: FBT001 - private
        return Decision.of(admitted, ((quota, answers[index]) for quota, index in self._order))


def _policy(policy: str | Quota | Policy) -> Policy:
    if isinstance(policy, str):
        return Policy.parse(policy)
    if isinstance(policy, Quota):
        return Policy((policy,))
    if isinstance(policy, Policy):
        return policy
    raise TypeError(f"policy is {type(policy).__name__}, not str, Quota or Policy")


def _bytes(key: str | bytes) -> bytes:
    if isinstance(key, bytes):
        return key
    if isinstance(key, str):
        return key.encode("utf-8", "surrogatepass")
    raise TypeError(f"key is {type(key).__name__}, not str or bytes")
