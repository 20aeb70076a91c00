"""The limiter: keys in, decisions out."""

from collections.abc import Callable, Collection, Hashable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Literal, NoReturn, Self, TypeAlias, TypeVar

from rateproof.clock import Clock, SystemClock
from rateproof.core import native
from rateproof.enforce.counters import Count, Stats
from rateproof.enforce.decision import Decision, Reason, Ruling, without_room
from rateproof.enforce.enforced_policy import EnforcedPolicy
from rateproof.enforce.room import Room
from rateproof.enforce.stores import (
    DEFAULT_CAPACITY,
    NETWORK_SCHEMES,
    Store,
    Tables,
    distinct_quotas,
    open_store,
)
from rateproof.enforce.stores.protocols import at_once
from rateproof.errors import InvalidArgument, StoreError, StoreUnreachable
from rateproof.policy import Policy, PolicyLike, policy_of

if TYPE_CHECKING or native() is not None:
    from rateproof._native import HotLimiter, natively
else:
    M = TypeVar("M")

    class HotLimiter:
        """A base without a native core: every call is decided in Python."""

        decides = False

    def natively(method: M) -> M:
        """The method as it is."""
        return method


Key: TypeAlias = str | bytes
Exempt: TypeAlias = Collection[Key] | Callable[[bytes], bool]

_MAX_NOW_NS = 2**60 - 1
_MAX_POLICIES = 1024
_COUNTED: dict[Reason, Count] = {
    "full": Count.FULL,
    "local": Count.ERROR,
    "cached": Count.CACHED,
}


class Limiter(HotLimiter):
    """Admits what a policy allows, for any number of keys, threads and processes.

    Args:
        policy: such as `"5 per 5s"`, or a `Quota`, or a `Policy`.
        store: where admissions are kept. `memory://`: this process and, with the
            native core, the children it forks. `shm://NAME`: every process of this
            user on this machine that opens the same name, no service needed.
            `redis://…`: every machine (see `docs/enforce/redis.md`). An open `Store`
            is shared by the limiters on it, with its tables in memory and its
            connections, and closed by the first of them that is closed.
        clock: the store's own clock if None. Limiters that share a store must
            share a clock.
        on_full: what to decide, uncounted, for a key that the store has no room
            for: `deny` or `admit`. Live keys are never evicted for new ones.
            Where a lock is not to be had in time, all who need it are denied.
        on_error: what to decide while the store cannot be reached: `deny`,
            `admit`, or `local`: by a table of this process alone.
        capacity: how many keys can be live at once, the same for every limiter
            on the store. A sliding log takes 14 bytes for each admission of
            each key and some more, the others 28 bytes a key.
        shadow: decide and count, but let everything pass.
        exempt: keys that pass uncounted, or a function that knows them by their
            bytes.
        counters: the store whose counters are added to, if not this one's.

    Raises:
        InvalidArgument: one of these cannot be.
        StoreMismatch: the store has this quota in another capacity or layout.
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

    def __init__(  # noqa: PLR0913 - each is a choice of its own, by keyword
        self,
        policy: PolicyLike,
        *,
        store: str | Store = "memory://",
        clock: Clock | None = None,
        on_full: Literal["deny", "admit"] = "deny",
        on_error: Literal["deny", "admit", "local"] = "deny",
        capacity: int = DEFAULT_CAPACITY,
        shadow: bool = False,
        exempt: Exempt = (),
        counters: str | None = None,
    ) -> None:
        check_options(store, clock, on_full, on_error, exempt)
        # None lets the store read its clock where it decides.
        self._clock = None if type(clock) is SystemClock else clock
        self._skip_full = on_full == "admit"
        self._admit_on_error = on_error == "admit"
        self._shadow = shadow
        self._exempt = exempt if callable(exempt) else frozenset(map(_bytes, exempt)).__contains__
        self._any_exempt = callable(exempt) or bool(exempt)
        self._plans: dict[PolicyLike, EnforcedPolicy] = {}
        local = on_error == "local"
        self._store = open_store(store, capacity, local=local) if isinstance(store, str) else store
        self._counting = self._store if counters is None else open_store(counters)
        try:
            self._plan = self._planned(policy)
            self._counters = self._counting.counters()
            self._choose_decider()
        except BaseException:
            self.close()
            raise

    @property
    def policy(self) -> Policy:
        """The policy that it enforces, unless a call names another one."""
        return self._plan.policy

    def prepare(self, policy: PolicyLike) -> None:
        """Open what calls with this policy need, so that the first one need not.

        Before workers are forked, `memory://` becomes one store of all of them.

        Raises:
            InvalidArgument: the policy cannot be, or the store cannot enforce it.
            StoreError: it cannot be opened.
        """
        self._planned(policy)

    @natively
    def hit(self, key: Key, cost: int = 1, *, policy: PolicyLike | None = None) -> Decision:
        """Decide whether a request of `key` may pass, and count it if it may.

        Args:
            key: the client's identity. A str counts as its UTF-8 bytes, lone
                surrogates included; the empty key is a key like others.
            cost: how many admissions it takes, all or nothing; at most the
                least limit of the policy (of a token bucket: its burst).
            policy: decide by this one instead of the limiter's, such as the
                plan that the client has booked. Quotas that policies have in
                common are shared; at most 1,024 policies a limiter, and as many
                as there are descriptors for their tables.

        Raises:
            TypeError: the key is neither str nor bytes, or the cost no int.
            InvalidArgument: the cost is below 1, or the policy cannot be.
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
        return at_once(self._decide("hit", key, cost, policy))

    @natively
    def peek(self, key: Key, cost: int = 1, *, policy: PolicyLike | None = None) -> Decision:
        """Return the decision that `hit` would make now, counting nothing: `remaining` is free.

        Raises as `hit` does.

        >>> from rateproof import Limiter, ManualClock
        >>> with Limiter("5 per 5s", clock=ManualClock()) as limiter:
        ...     limiter.peek("a").remaining, limiter.peek("a").remaining
        (5, 5)
        """
        return at_once(self._decide("peek", key, cost, policy))

    async def ahit(self, key: Key, cost: int = 1, *, policy: PolicyLike | None = None) -> Decision:
        """`hit` for coroutines: where the store waits for a network, others go on."""
        if self._never_waits:
            return self.hit(key, cost, policy=policy)
        return await self._decide("ahit", key, cost, policy)

    def reset(self, key: Key, *, policy: PolicyLike | None = None) -> None:
        """Forget what was admitted for `key`: all quotas of the policy are free again."""
        self._plan_of(policy).ledger.reset(_bytes(key))

    def clear(self, *, policy: PolicyLike | None = None) -> None:
        """`reset` every key."""
        self._plan_of(policy).ledger.clear()

    def stats(self) -> Stats:
        """Decisions so far, and the room left in the tables of the limiter's own policy."""
        totals, ledger, now_ns = self._counters.totals(), self._plan.ledger, self._now_ns()
        stats = Stats({count: totals[count] for count in Count}, {})
        if isinstance(ledger, Tables):
            slots = ledger.slots
            for index, quota in enumerate(ledger.quotas):
                try:
                    stats.tables[quota] = ledger.sample(index, now_ns, 0, slots)
                except StoreError as error:
                    stats.unreadable[quota] = error.message
        return stats

    def room(self, policy: PolicyLike | None = None) -> Room | None:
        """The places for keys and who takes them; None where the store has no tables (Redis)."""
        plan = self._plan_of(policy)
        if not isinstance(plan.ledger, Tables):
            return None
        peek = self.peek if policy is None else partial(self.peek, policy=policy)
        refuse = partial(self._without_place, plan)
        return Room(
            self._store, plan.policy, plan.ledger, now=self._now_ns, peek=peek, refuse=refuse
        )

    def close(self) -> None:
        """Let go of the store. Closing twice does no harm; deciding afterwards is an error.

        What is in `shm://` stays there for the other processes, and for the next.
        """
        if self.decides:
            self.let_go()
        self._store.close()
        self._counting.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Limiter cannot be pickled or copied: open one in each process on the same shm://NAME"
        )

    def __repr__(self) -> str:
        return f"Limiter({str(self.policy)!r})"

    def _choose_decider(self) -> None:
        """Let the native core decide where it can do all that this limiter is asked for."""
        self._never_waits = False
        ledger, counters, module = self._plan.ledger, self._counters, native()
        source = getattr(ledger, "source", None)
        mixed = self._skip_full and len(ledger.quotas) > 1  # asks some of the tables only
        if module is None or source is None or self._any_exempt or self._clock is not None or mixed:
            return
        if type(self).hit is Limiter.hit and isinstance(counters, module.Counters):
            decider = module.Decider(
                source, counters, self._plan.order, skip_full=self._skip_full, shadow=self._shadow
            )
            self.decide_by(decider)
            self._never_waits = isinstance(source[0], module.Table)

    async def _decide(
        self,
        ask: Literal["hit", "ahit", "peek"],
        key: Key,
        cost: int,
        policy: PolicyLike | None,
    ) -> Decision:
        """Decide: the specification of `hit`, `ahit` and `peek`.

        Only for `ahit` does it wait.
        """
        plan, raw = self._plan_of(policy), _bytes(key)
        plan.check(cost)
        count = _uncounted if ask == "peek" else self._counters.add
        if self._any_exempt and self._exempt(raw):
            count(Count.EXEMPT)
            return plan.untouched("exempt", admitted=True)
        now_ns, asking = self._now_ns(), getattr(plan.ledger, ask)
        try:
            ruling = asking(raw, cost, now_ns, skip_full=self._skip_full)
            if ask == "ahit":
                ruling = await ruling
        except StoreError as error:
            count(Count.ERROR)
            if not isinstance(error, StoreUnreachable):
                raise
            admitted = self._admit_on_error or self._shadow
            count(Count.ADMITTED if admitted else Count.DENIED)
            return plan.untouched("error", admitted=admitted)
        decision = plan.decision(ruling, shadow=self._shadow)
        for what in _counts(ruling, decision):
            count(what)
        return decision

    def _without_place(self, plan: EnforcedPolicy, wait_ns: int) -> Decision:
        """Decide about a new key that may not have a place, as of a full table."""
        ruling = Ruling(self._skip_full, [without_room(wait_ns)] * len(plan.order), "full")
        decision = plan.decision(ruling, shadow=self._shadow)
        for what in (*_counts(ruling, decision), Count.FLOOD):
            self._counters.add(what)
        return decision

    def _plan_of(self, policy: PolicyLike | None) -> EnforcedPolicy:
        return self._plan if policy is None else self._planned(policy)

    def _planned(self, policy: PolicyLike) -> EnforcedPolicy:
        # What cannot be hashed is no policy either.
        plan = self._plans.get(policy) if isinstance(policy, Hashable) else None
        if plan is None:
            if len(self._plans) >= _MAX_POLICIES:
                raise InvalidArgument(
                    f"{policy!r} is one policy too many for one limiter",
                    f"at most {_MAX_POLICIES}: a policy is for many keys",
                )
            read = policy_of(policy)
            plan = self._plans[policy] = EnforcedPolicy(
                read, self._store.ledger(distinct_quotas(read))
            )
        return plan

    def _now_ns(self) -> int | None:
        if self._clock is None:
            return None
        now_ns = self._clock.now_ns()
        if not isinstance(now_ns, int):
            raise TypeError(f"the clock reads {type(now_ns).__name__}, not int")
        if not 0 <= now_ns <= _MAX_NOW_NS:
            raise InvalidArgument(f"the clock reads {now_ns} ns", "0 to 2**60 - 1 can be stored")
        return now_ns


def _uncounted(_: int) -> None:
    """A peek is not counted."""


def _counts(ruling: Ruling, decision: Decision) -> Iterator[Count]:
    """The name that a decision is counted under."""
    yield Count.ADMITTED if decision.admitted else Count.DENIED
    near = any(5 * state.remaining < state.quota.burst for state in decision.quotas)
    if ruling.admitted and ruling.reason != "full" and near:
        yield Count.NEAR_LIMIT
    if ruling.reason in _COUNTED:
        yield _COUNTED[ruling.reason]
    if decision.reason == "shadow":
        yield Count.SHADOW


def check_options(
    store: object,
    clock: object = None,
    on_full: object = "deny",
    on_error: object = "deny",
    exempt: object = (),
) -> None:
    """Accept arguments of a `Limiter` that can be, by themselves and together."""
    # In tuples, not in sets: what is asked for may be unhashable.
    if on_full not in ("deny", "admit"):
        raise InvalidArgument(f"on_full is {on_full!r}", "'deny' or 'admit'")
    if on_error not in ("deny", "admit", "local"):
        raise InvalidArgument(f"on_error is {on_error!r}", "'deny', 'admit' or 'local'")
    if isinstance(exempt, str | bytes):
        raise InvalidArgument(f"exempt is {exempt!r}", "a collection of keys, or a function")
    if not isinstance(store, str) and not hasattr(store, "ledger"):
        raise TypeError(f"store is {type(store).__name__}, not str or Store")
    if getattr(store, "local", None) not in (None, on_error == "local"):
        raise InvalidArgument(
            f"on_error is {on_error!r} on a store that was opened for another",
            "open_store(url, local=True) for 'local', and only for that",
        )
    if clock is None:
        return
    if not callable(getattr(clock, "now_ns", None)):
        raise TypeError(f"clock is {type(clock).__name__}, not a Clock")
    if isinstance(store, str) and store.startswith(NETWORK_SCHEMES):
        raise InvalidArgument(
            f"clock= cannot be used with {store.partition('//')[0]}//",
            "Redis decides by its own clock",
        )


def _bytes(key: Key) -> bytes:
    if isinstance(key, bytes):
        return key
    if isinstance(key, str):
        return key.encode("utf-8", "surrogatepass")
    raise TypeError(f"key is {type(key).__name__}, not str or bytes")
