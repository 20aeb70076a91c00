"""The searches over where windows begin, against every phase and every choice of instants."""

import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from math import prod

import pytest

from rateproof.clock import EXACT, Interval, Tolerance
from rateproof.events import ADMITTED, Event, EventLog
from rateproof.policy import Policy, Quota
from rateproof.prove import OVER_ADMISSION, judge
from rateproof.prove.over_admission.breach import Breach, find_breach
from rateproof.prove.over_admission.families import FAMILIES, Model, search
from rateproof.prove.over_admission.families.sliding_counter import earliest
from rateproof.prove.over_admission.feasible import feasible
from rateproof.prove.over_admission.gaps import (
    Exhausted,
    Explained,
    Feasible,
    Infeasible,
    Stair,
)
from rateproof.prove.over_admission.phases import Family, Work
from tests.samples import quick_first

ENDLESS = 10**12

Admits = Callable[[Sequence[int], int, int, int], bool]
"""Does a limiter of N per W and a phase admit hits at these instants, all of them?"""


def fixed_window(instants: Iterable[int], limit: int, window: int, phase: int) -> bool:
    counts: dict[int, int] = defaultdict(int)
    for instant in instants:
        counts[(instant - phase) // window] += 1
    return all(count <= limit for count in counts.values())


def sliding_counter(instants: Iterable[int], limit: int, window: int, phase: int) -> bool:
    """Rounding the weight down, as `limits` does."""
    counts: dict[int, int] = defaultdict(int)
    for instant in instants:
        slot, into = divmod(instant - phase, window)
        if counts[slot - 1] * (window - into) // window + counts[slot] >= limit:
            return False
        counts[slot] += 1
    return True


def renewing_counter(instants: Iterable[int], limit: int, window: int, phase: int) -> bool:
    """The same, but a hit after a window without any begins anew, as `limits` on Redis does."""
    begin = previous = current = None
    for instant in instants:
        if begin is None:
            begin, previous, current = instant - (instant - phase) % window, 0, 0
        elif instant >= begin + 2 * window:
            begin, previous, current = instant, 0, 0
        elif instant >= begin + window:
            begin, previous, current = begin + window, current, 0
        if previous * (begin + window - instant) // window + current >= limit:
            return False
        current += 1
    return True


def first_hit_window(instants: Iterable[int], limit: int, window: int, _: int) -> bool:
    opened = count = None
    for instant in instants:
        if opened is None or instant >= opened + window:
            opened, count = instant, 0
        count += 1
        if count > limit:
            return False
    return True


LIMITERS: dict[str, Admits] = {
    "fixed-window": fixed_window,
    "sliding-counter": sliding_counter,
    "first-hit-window": first_hit_window,
}


def some_choice_works(
    jobs: Iterable[Interval], family: Family, admits: Admits, *, monotone: bool
) -> bool:
    """Every choice of whole instants, under every phase."""
    phases = range(family.window_ns if admits is not first_hit_window else 1)

    def works(instants: Sequence[int]) -> bool:
        return any(admits(instants, family.limit, family.window_ns, phase) for phase in phases)

    choices: set[tuple[int, ...]] = {()}
    for sent, received in jobs:
        choices = {
            tuple(sorted((*chosen, instant)))
            for chosen in choices
            for instant in range(sent, received + 1)
        }
        if monotone:
            choices = set(filter(works, choices))
    return any(map(works, choices))


def a_family(rng: random.Random) -> Family:
    return Family(rng.choice(sorted(FAMILIES)), rng.randint(1, 3), rng.randint(2, 7), EXACT)


def some_jobs(rng: random.Random, family: Family) -> list[Interval]:
    """Enough that one window cannot take them, over one to three windows."""
    jobs = []
    span = rng.randint(1, 3) * family.window_ns
    for _ in range(rng.randint(family.limit + 1, 6)):
        sent = rng.randrange(span)
        jobs.append((sent, sent + rng.choice([0, 0, 0, 1, 1, 2, rng.randrange(8)])))
    return jobs


def judge_like_every_phase(rng: random.Random, instances: int) -> dict[str, int]:
    """Compare so many instances; how many were impossible for each family."""
    impossible: dict[str, int] = defaultdict(int)
    for _ in range(instances):
        family = a_family(rng)
        jobs = some_jobs(rng, family)
        admits = LIMITERS[family.algorithm]
        possible = some_choice_works(jobs, family, admits, monotone=family.monotone)
        impossible[family.algorithm] += not possible
        exact = family.algorithm != "sliding-counter"  # instants between two ns are allowed, too
        answer = search(jobs, family, ENDLESS)
        found = isinstance(answer, Infeasible)
        assert not (found and possible), (jobs, family)
        assert found == (not possible) or not exact, (jobs, family)
        if found and family.monotone:
            alone = [jobs[i] for i in answer.core]
            assert isinstance(search(alone, family, ENDLESS), Infeasible), (jobs, family)
        if found and family.algorithm == "sliding-counter":
            assert not some_choice_works(jobs, family, renewing_counter, monotone=False)
    return impossible


def test_answers_like_trying_every_phase_and_every_choice():
    impossible = judge_like_every_phase(random.Random(1), 1_200)
    assert min(impossible[algorithm] for algorithm in FAMILIES) > 40, impossible


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_answers_like_trying_every_phase_and_every_choice_at_length(seed):
    """The other half is in `test_feasible`."""
    judge_like_every_phase(random.Random(1_000 + seed), 20_000)


def twin_instances(rng: random.Random, instances: int) -> Iterator[tuple[list[Interval], Family]]:
    for _ in range(instances):
        limit, window = rng.randint(1, 7), rng.choice([5, 50, 1_000])
        family = Family(
            rng.choice(sorted(FAMILIES)), limit, window,
            Tolerance(rng.choice([0, 500, 50_000]), rng.choice([0, 0, 1, window // 20])),
        )  # fmt: skip
        pace = rng.choice([0.5, 0.9, 1, 1.2, 1.5]) * limit / window
        t, jobs, most = rng.randrange(-window, window), [], rng.choice([limit + 2, 20, 60, 200])
        while len(jobs) < most:
            t += rng.expovariate(pace) + rng.randrange(3 * window) * (rng.random() < 0.05)
            for _ in range(rng.choice([1, 1, 1, limit])):
                longest = 3 * window if rng.random() < 0.1 else window // 4 + 1
                took = rng.choice([0, 1, rng.randrange(longest)])
                jobs.append((int(t), int(t) + took))
        yield jobs, family


@pytest.mark.parametrize(
    ("seed", "instances"), [(2, 100), pytest.param(3, 2_000, marks=pytest.mark.slow)]
)
def test_the_native_screen_clears_what_the_search_explains(seed, instances, monkeypatch):
    """Verdict and evidence, at budgets at which what a search spends decides."""
    rng = random.Random(seed)
    outcomes = set()
    # Jobs that all opened long before the window in which they do not fit.
    opened = [(1, 2)] * 4 + [(2, 2)] * 2 + [(2, 3)] * 2 + [(2, 4)]
    first = (opened, Family("sliding-counter", 4, 5, Tolerance(50_000, 1)))
    for jobs, family in chain([first], twin_instances(rng, instances)):
        log = EventLog({"fresh_keys": rng.random() < 0.8})
        for sent, received in sorted(jobs):
            log.append(Event(key=b"k", sent_ns=sent, received_ns=received, status=200,
                             outcome=ADMITTED))  # fmt: skip
        asked = {
            "policy": Policy((Quota(family.limit, family.window_ns, family.algorithm),)),
            "claims": frozenset({OVER_ADMISSION}),
            "tolerance_ppm": family.tolerance.ppm,
            "granularity_ns": family.tolerance.granularity_ns,
            "budget": rng.choice([0, 1_000, 100_000]),
        }
        native = judge(log, **asked).to_json()
        with monkeypatch.context() as context:
            context.setenv("RATEPROOF_CORE", "python")
            assert judge(log, **asked).to_json() == native, (jobs, family)
        outcomes.add((family.algorithm, native["outcome"]))
    assert {(algorithm, "violated") for algorithm in FAMILIES} <= outcomes


def test_a_budget_that_does_not_suffice_is_noticed_before_anything_is_made_of_it(monkeypatch):
    """Overlapping hits may wait in as many ways as a window has room, each with nearly all of them."""
    paid = []
    add = Work.add
    monkeypatch.setattr(Work, "add", lambda work, looks: paid.append(looks) or add(work, looks))
    jobs = [(sent, 10**6 + sent) for sent in range(2_000)]
    family = Family("first-hit-window", 1_200, 500_000, Tolerance())
    assert isinstance(search(jobs, family, 10_000), Exhausted)
    assert len(paid) <= 4  # of the first ends of the first window


@pytest.mark.parametrize(
    ("seed", "instances"), [(9, 100), pytest.param(10, 4_000, marks=pytest.mark.slow)]
)
def test_instants_between_two_ns_count_for_a_sliding_counter(seed, instances):
    """On one clock, too: windows of 2 ns that begin at half a ns take one at 0, 7.4 and 8 each."""
    halves = [(0, 0), (7, 8), (8, 8)]
    assert isinstance(search(halves, Family("sliding-counter", 1, 2, EXACT), ENDLESS), Explained)
    rng = random.Random(seed)
    impossible = 0
    while impossible < instances:
        limit = rng.randint(1, 3)
        family = Family("sliding-counter", limit, rng.randint(limit + 1, 5), EXACT)
        jobs = some_jobs(rng, family)[:5]
        choices = prod(4 * (received - sent) + 1 for sent, received in jobs)
        if choices < 1_000 and isinstance(search(jobs, family, ENDLESS), Infeasible):
            impossible += 1
            finer = [(4 * sent, 4 * received) for sent, received in jobs]
            quarters = replace(family, window_ns=4 * family.window_ns)
            assert not some_choice_works(finer, quarters, sliding_counter, monotone=True), jobs


@pytest.mark.parametrize("runs", quick_first([1_500, 20_000]))
def test_leaving_out_admissions_never_breaks_a_fixed_window_or_a_sliding_counter(runs):
    """But a window opened by its first hit: {0, 4.9, 5.1, 5.1} is possible, and not without 0."""
    rng = random.Random(4)
    for _ in range(runs):
        limit, window, phase = rng.randint(1, 4), rng.randint(2, 9), rng.randrange(9)
        instants = sorted(rng.randrange(4 * window) for _ in range(rng.randint(2, 9)))
        fewer = [instant for instant in instants if rng.random() < 0.7]
        for admits in (fixed_window, sliding_counter):
            if admits(instants, limit, window, phase):
                assert admits(fewer, limit, window, phase), (instants, fewer)
    assert first_hit_window((0, 49, 51, 51), 2, 50, 0)
    assert not first_hit_window((49, 51, 51), 2, 50, 0)


def test_every_job_of_a_core_is_needed():
    """Jobs may be left out at all; else the core is every job up to the one at fault."""
    rng = random.Random(5)
    minimal = 0
    for jobs, family in twin_instances(rng, 600):
        quota = f"{family.algorithm} {family.limit} per {family.window_ns}ns"
        model = Model.of(Policy.parse(quota), family.tolerance)
        found, _ = find_breach(jobs, model, 10**6, whole=True)
        if not isinstance(found, Breach) or found.stair is not None:
            continue
        alone = [jobs[i] for i in found.core]
        if family.monotone and len(alone) <= 30:
            minimal += 1
            for left_out in range(len(alone)):
                fewer = alone[:left_out] + alone[left_out + 1 :]
                assert not isinstance(find_breach(fewer, model, 10**6)[0], Breach), (jobs, family)
        assert isinstance(find_breach(alone, model, 10**6, whole=True)[0], Breach), (jobs, family)
    assert minimal > 10


def some_lengths_work(instants: Sequence[int], family: Family, coarse: int) -> bool:
    """Say whether windows opened by a hit, each of a length within `coarse` of W, take these hits."""
    if not instants:
        return True
    return any(
        taken <= family.limit and some_lengths_work(instants[taken:], family, coarse)
        for length in range(max(1, family.window_ns - coarse), family.window_ns + coarse + 1)
        for taken in [sum(instant < instants[0] + length for instant in instants)]
    )


@pytest.mark.parametrize("instances", quick_first([1_000, 10_000]))
def test_windows_of_a_coarse_clock_may_each_be_longer_or_shorter_by_a_step(instances):
    rng = random.Random(8)
    impossible = 0
    for _ in range(instances):
        coarse = rng.randint(1, 2)
        family = Family("first-hit-window", rng.randint(1, 3), rng.randint(3, 7), EXACT)
        jobs = some_jobs(rng, family)
        choices = {()}
        for sent, received in jobs:
            instants = range(sent, received + 1)
            choices = {tuple(sorted((*c, instant))) for c in choices for instant in instants}
        possible = any(some_lengths_work(chosen, family, coarse) for chosen in choices)
        tolerant = replace(family, tolerance=Tolerance(0, coarse))
        found = isinstance(search(jobs, tolerant, ENDLESS), Infeasible)
        assert found == (not possible), (jobs, tolerant)
        impossible += not possible
    assert impossible > instances / 8


def test_a_counter_delays_the_kth_admission_by_what_the_window_before_weighs():
    for window in (7, 60):
        for limit in range(1, 6):
            for previous in range(limit + 1):
                for k in range(1, limit + 1):
                    by_hand = [
                        into
                        for into in range(window)
                        if previous * (window - into) // window + k - 1 < limit
                    ]
                    found = earliest(limit, window, previous, k)
                    assert found == by_hand[0] if by_hand else found >= window


def test_two_bursts_that_no_phase_divides_are_a_breach_of_a_fixed_window():
    """Each alone may have straddled a boundary: 6 within 1 s, where 5 per 5 s are allowed."""
    s = 10**9
    model = Model.of(Policy.parse("fixed-window 5 per 5s"), Tolerance())
    burst = [(n * s // 10, n * s // 10 + 1) for n in range(6)]
    again = [(sent + 22 * s, due + 22 * s) for sent, due in burst]
    assert find_breach(burst, model, 0) == (None, 0)
    found, _ = find_breach(burst + again, model, 0)
    assert found == Breach(tuple(range(12)), None, 0, 0)
    later = [(sent + 20 * s, due + 20 * s) for sent, due in burst]
    assert find_breach(burst + later, model, 0) == (None, 0)


def test_only_a_key_known_whole_is_searched_for_windows_opened_by_a_hit():
    """2 per 5 s: of hits at 4.9, 5.1 and 5.1 the last is one too many, unless one at 0 came first."""
    model = Model.of(Policy.parse("first-hit-window 2 per 50ns"), EXACT)
    jobs = [(49, 49), (51, 51), (51, 51)]
    assert find_breach(jobs, model, 0) == (None, 0)
    assert find_breach(jobs, model, 0, whole=True)[0] == Breach(
        (0, 1, 2), None, 0, 0, complete=True
    )
    assert find_breach([(0, 0), *jobs], model, 0, whole=True) == (None, 0)


def dealt(rest: list[int], logs: list[list[int]], limit: int, window: int) -> bool:
    """Say whether the instants can be dealt to the logs, each of which keeps its limit."""
    if not rest:
        return True
    for log in logs:
        if len(log) < limit or rest[0] - log[-limit] >= window:
            log.append(rest[0])
            if dealt(rest[1:], logs, limit, window):
                return True
            log.pop()
    return False


def test_k_shards_of_a_sliding_log_admit_as_one_of_k_times_the_limit():
    """Any of the k may be asked: so instants suit k logs of N exactly if they suit one of k*N."""
    rng = random.Random(6)
    agreed = 0
    for _ in range(3_000):
        shards, limit, window = rng.randint(2, 3), rng.randint(1, 2), rng.randint(2, 6)
        instants = sorted(rng.randrange(3 * window) for _ in range(rng.randint(2, 7)))
        one = feasible(
            [(t, t) for t in instants], [Stair(shards * limit, 0, window, 1, 0)], ENDLESS
        )
        several = dealt(instants, [[] for _ in range(shards)], limit, window)
        assert several == isinstance(one, Feasible), (instants, shards, limit, window)
        agreed += several
    assert 500 < agreed < 2_500


def test_decisions_of_a_leaky_queue_say_nothing_that_its_forwarding_does_not():
    """Forwarded W/N apart, they may all have been decided as they were forwarded."""
    rng = random.Random(7)
    for _ in range(2_000):
        limit, burst, window = rng.randint(1, 4), rng.randint(1, 5), rng.randint(4, 40)
        queue = Policy.parse(f"leaky-queue {limit} per {window}ns burst {burst}")
        bucket = Policy.parse(f"token-bucket {limit} per {window}ns burst {burst + 1}")
        assert all(queue.gap(m) >= bucket.gap(m) for m in range(1, 30))


def test_a_search_that_gives_up_has_held_no_more_than_it_paid_for():
    """Of 20,000 hits under way together a window leaves 0 to 1,000 fewer: 20 million in all."""
    asked = (
        "import resource\n"
        "from rateproof.prove.over_admission.phases import Family\n"
        "from rateproof.prove.over_admission.families import search\n"
        "from rateproof.clock import EXACT\n"
        "def held(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "jobs = [(i, 10**13 + i) for i in range(20_000)]\n"
        "before = held()\n"
        "answer = search(jobs, Family('first-hit-window', 1_000, 10**9, EXACT), 0)\n"
        "print(type(answer).__name__, (held() - before) // 1024)\n"
    )
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    kind, held_mib = told.stdout.split()
    assert kind == "Exhausted"
    assert int(held_mib) < 60
