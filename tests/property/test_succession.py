"""A policy that follows another, on real tables: nobody starts anew, whatever the traffic."""

from hypothesis import given
from hypothesis import strategies as st

from rateproof.clock import ManualClock
from rateproof.enforce.algorithms import RULES
from rateproof.enforce.limiter import Limiter
from rateproof.enforce.server.succession import LAG_NS, Succession
from rateproof.enforce.stores import open_store
from rateproof.policy import Policy, Quota

SECOND = 1_000_000_000
HITS = 60

quotas = st.builds(
    lambda limit, seconds: Quota(limit, seconds * SECOND), st.integers(1, 6), st.integers(1, 8)
)
pauses = st.lists(
    st.sampled_from([0, SECOND // 4, SECOND, 3 * SECOND]), min_size=HITS, max_size=HITS
)


def most(times, window_ns):
    """The most of these instants in any half-open window."""
    return max((sum(t <= other < t + window_ns for other in times) for t in times), default=0)


@given(quotas, quotas, pauses, st.integers(0, HITS - 1), st.data())
def test_no_window_around_a_change_holds_more_than_either_policy_allows(
    old, new, pauses, change, data
):
    clock, store = ManualClock(100 * SECOND), open_store("memory://", 10)
    lagging = data.draw(st.integers(0, 3), label="hits that still are decided by the old policy")
    succession, admitted, changed_ns = Succession(Policy((old,))), [], None
    for number, pause in enumerate(pauses):
        clock.advance(pause)
        if number == change:
            changed_ns = clock.now_ns()
            succession = succession.after(Policy((new,)), changed_ns)
        late = changed_ns is not None and number < change + lagging
        late = late and clock.now_ns() < changed_ns + LAG_NS
        succession = succession.at(clock.now_ns())
        policy = Policy((old,)) if late else succession.in_force
        if Limiter(policy, store=store, clock=clock).hit("a"):
            admitted.append(clock.now_ns())
    store.close()
    known_ns = changed_ns + LAG_NS
    assert most([t for t in admitted if t >= known_ns], new.window_ns) <= new.limit
    before = [t for t in admitted if t < known_ns + old.window_ns]
    assert most(before, old.window_ns) <= old.limit
    if new.window_ns <= old.window_ns:
        assert most(admitted, new.window_ns) <= max(old.limit, new.limit)


@given(quotas, st.sampled_from(sorted(RULES)), st.integers(1, 9), pauses)
def test_a_quota_remembers_no_admission_for_longer_than_is_said(quota, algorithm, burst, pauses):
    burst = burst if algorithm == "token-bucket" else quota.limit
    quota = Quota(quota.limit, quota.window_ns, algorithm, burst)
    clock = ManualClock(100 * SECOND)
    with Limiter(quota, clock=clock, capacity=10) as limiter:
        for pause in pauses[:20]:
            clock.advance(pause)
            limiter.hit("a")
        clock.advance(quota.memory_ns)
        free = limiter.peek("a")
    assert (free.remaining, free.reset_after_ns) == (burst, 0)
