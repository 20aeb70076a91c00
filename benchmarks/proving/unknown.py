"""Probes of simulated limiters: the truth is known, and sometimes not to the probe."""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool
from typing import Any

from proving.simulated import LIMITERS, Limiter
from proving.simulated_sender import SimulatedSender
from proving.tally import NAMED, SEVERAL, SILENT, WRONG, Outcome, Tally
from proving.unlisted import UNKNOWN, VARYING, is_of_clock, is_weighing
from rateproof.probe.budget import Budget, needed
from rateproof.probe.course import Course, wanted
from rateproof.probe.families import FAMILIES, LAST
from rateproof.probe.finding import named_kind
from rateproof.probe.inference import Kind
from rateproof.probe.investigation import run_course
from rateproof.probe.reach import Reach, reach_of
from rateproof.probe.seen import GRANULARITY_NS
from rateproof.units import SECOND_NS

__all__ = ["UNKNOWN", "Run", "draw", "outcome", "probe_one", "simulated"]

_OUT = 5  # one family in so many is taken out of the list in each turn
_KEYS = 60
_BLOCKS, _TICKS = "blocks of 1/", ", its clock in whole seconds"
_ALL_ONE_PHASE = {"fixed-window", "windows that follow each other from the first request"}
"""Limiters that a phase for each key explains, too: all of them the same, or that of its first request."""
_TWINS = {"fixed-window", "fixed-window, a full one puts off the next"}
"""Limiters that are one unless an answer is known more closely than a window by its limit: left out together."""
_CHEAP_LIMIT, _CHEAP_NS = 6, 2 * SECOND_NS
_SPENT = 0.85  # of the budget that naming may take


@dataclass(frozen=True, slots=True)
class Run:
    """One probe of a simulated limiter.

    Args:
        number: of the run.
        name: of the limiter.
        limit: its limit.
        window_ns: its window.
        known: its family is in the probe's list.
        limiter: what decided.
        phase_ns: of its clock.
        course: what the probe did.
        named: what it named, if anything.
        requests: how many it sent.
        took_ns: how long it took.
    """

    number: int
    name: str
    limit: int
    window_ns: int
    known: bool
    limiter: Limiter
    phase_ns: int
    course: Course
    named: Kind | None
    requests: int
    took_ns: int

    @property
    def wrong(self) -> bool:
        """True if the name is not what the limiter is."""
        return self.named is not None and not outcome(self)

    @property
    def verdict(self) -> str:
        """One word for it."""
        if self.wrong:
            return WRONG
        if self.named:
            return NAMED
        return SEVERAL if self.course.several else SILENT

    @property
    def reason(self) -> str:
        """Return the first thing that a name lacks."""
        course, proof = self.course, self.course.proof
        kinds = course.hypotheses.kinds() if course.hypotheses else []
        if self.named or course.several:
            return ""
        if course.surprises or not kinds or proof is None:
            return "surprise" if course.surprises else "nothing is left"
        most = needed(self.limit, self.window_ns)
        spent = [
            name
            for name, part in (
                ("requests", self.requests / most.requests),
                ("time", self.took_ns / most.time_ns),
            )
            if part > _SPENT
        ]
        missing = (
            ({kind.family for kind in kinds} - {proof.candidate[0], *proof.alike}, "rivals left"),
            (proof.open, "rivals open"),
            (proof.missing_edges, "edges"),
            (not proof.foretold, "predictions"),
            (not proof.stood, "keys to stand"),
        )
        first = next((name for lacks, name in missing if lacks), "the window")
        return f"{first} ({', '.join(spent) or 'nothing'} spent)"

    @property
    def said(self) -> str:
        """The first of what is left, and how many other families."""
        kinds = self.course.hypotheses.kinds() if self.course.hypotheses else []
        if several := self.course.several:
            return f"{several.counters} counters"
        told = [
            f"{kind.family.name} {kind.limit}, {kind.low_ns / SECOND_NS:.4g}-{kind.high_ns / SECOND_NS:.4g} s"
            for kind in kinds[:1]
        ]
        more = len({kind.family for kind in kinds[1:]})
        return f"{told[0]}{f' (+{more})' if more else ''}" if told else "-"


_WIDER: dict[str, Callable[[Run, Reach], bool]] = {
    "a log, and 20 times as many of all keys together": (
        lambda run, reach: reach.together <= 20 * run.limit
    ),
    "a log, and 7 times as many in ten windows": lambda run, reach: (
        reach.admitted <= 7 * run.limit or reach.admitted_ns > 10 * run.window_ns
    ),
}
"""Names of a log that are right as long as their reach leaves room for the other limit."""


def outcome(run: Run) -> bool:
    """Tell if what was named is the limiter, answers as it does, or includes it as one that looks the same."""
    kind, proof = run.named, run.course.proof
    if kind is None or proof is None:
        return False
    limit, window_ns = run.limit, run.window_ns
    if run.name == "spacing":
        limit, window_ns = 1, window_ns // limit
    of = kind.limit if kind.family.refills else 1
    slack_ns = 2 * GRANULARITY_NS
    right = kind.low_ns - slack_ns <= window_ns // of <= kind.high_ns + slack_ns
    varies_ns = proof.varies_ns
    if kind.limit == limit and kind.timeless and varies_ns and (block_ns := _block_ns(run, kind)):
        longest_ns = kind.high_ns + varies_ns
        return block_ns <= varies_ns and kind.low_ns <= window_ns <= longest_ns
    if kind.limit == limit and (varying := VARYING.get(run.name)) and varies_ns != 0:
        varies_ns = varies_ns or window_ns  # the name says that it is not known
        shortest_ns, longest_ns = (int(part * window_ns) for part in varying)
        low_ns, high_ns = kind.low_ns - varies_ns, kind.high_ns + varies_ns
        varies = longest_ns - shortest_ns <= varies_ns
        alike = kind.on_clock is is_of_clock(run.name, run.phase_ns)
        alike &= kind.weighs is is_weighing(run.name)
        return alike and varies and low_ns <= shortest_ns <= longest_ns <= high_ns
    if kind.limit == limit and right and (unmet := _WIDER.get(run.name)):
        return kind.family.name == "sliding-log" and unmet(
            run, reach_of(run.course.keys, window_ns)
        )
    names = {kind.family.name, *(family.name for family in proof.alike)}
    if kind.limit == limit and right and run.known and run.name in names:
        return True
    make = LIMITERS.get(kind.family.name)
    named_ns = {kind.figure.window_ns * of // kind.figure.limit}
    low_ns, high_ns = kind.bounds_ns
    # With a limit of 1 the one admission of a window may count until the end of the next.
    halved = 2 if run.limit == 1 else 1
    named_ns |= {
        window_ns // part
        for part in (1, halved)
        if low_ns - slack_ns <= window_ns // part // of <= high_ns + slack_ns
    }
    if (blocks := kind.family.number) > 1:  # with the one that is open
        named_ns = {each_ns + each_ns // (blocks - 1) for each_ns in named_ns}
    return make is not None and any(
        _same(run.limiter, make(kind.limit, each_ns, run.phase_ns), run)
        for each_ns in {*named_ns, *([window_ns] if right else ())}
    )


def _block_ns(run: Run, kind: Kind) -> int:
    """The blocks of a limiter, or the ticks of one that is named but for them; 0 for any other."""
    if run.name == kind.family.name + _TICKS:
        return SECOND_NS
    number = run.name.removeprefix(_BLOCKS).partition(" ")[0]
    return run.window_ns // int(number) if run.name.startswith(_BLOCKS) else 0


def _same(one: Limiter, two: Limiter, run: Run) -> bool:
    """Tell if two limiters answer the same, on keys of every kind."""
    rng = random.Random(run.number)
    for _ in range(_KEYS):
        admits, also, now_ns = one(), two(), run.phase_ns + rng.randrange(10**12)
        for _ in range(rng.choice((2, 4, 8))):
            for _ in range(rng.choice((1, 2, run.limit, 2 * run.limit))):
                if admits(now_ns) != also(now_ns):
                    return False
            now_ns += int(run.window_ns * rng.choice((0.1, 0.5, 1, 2)) * rng.random())
    return True


@dataclass(frozen=True, slots=True)
class _Drawn:
    name: str
    limiter: Limiter
    limit: int
    window_ns: int
    phase_ns: int
    left_out: bool
    line: dict[str, Any]


def draw(number: int, seed: int, *, cheap: bool = False, without: bool = False) -> _Drawn:
    """A limiter and a line to it: every family in turn, then those that are in no list.

    Args:
        number: of the run.
        seed: of all runs.
        cheap: a small limit, a short window and quick answers: the probe computes less.
        without: each is of a family that is taken out of the list.
    """
    rng = random.Random(f"{seed} {number}")
    every = [*LIMITERS, *UNKNOWN]
    if without:
        every = [name for name in LIMITERS if name != "spacing"]
    turn, position = divmod(number, len(every))
    name = every[position]
    limit = max(1, min(500, int(rng.lognormvariate(2.3, 1.5))))
    window_ns = int(SECOND_NS * rng.choice((0.2, 0.5, 1, 1, 2, 3, 5, 5, 10, 10, 15, 30, 60)))
    if cheap:
        limit, window_ns = 1 + limit % _CHEAP_LIMIT, window_ns % _CHEAP_NS + _CHEAP_NS // 5
    if "seconds" in name:
        window_ns = max(window_ns, SECOND_NS)
    if rng.random() < 0.2 and "seconds" not in name:
        window_ns = window_ns * rng.randrange(70, 130) // 100
    window_ns -= window_ns % (60 * limit)
    if "seconds" in name:
        window_ns = -(-window_ns // SECOND_NS) * SECOND_NS
    phase_ns = rng.randrange(10 * window_ns)
    lowest = rng.choice((200_000, 200_000, 2_000_000, 10_000_000))
    spread = rng.choice((500_000, 500_000, 5_000_000, 40_000_000))
    if cheap:
        lowest, spread = 200_000, 500_000
    return _Drawn(
        name,
        (LIMITERS | UNKNOWN)[name](limit, window_ns, phase_ns),
        limit,
        window_ns,
        phase_ns,
        without or (name in LIMITERS and (position + turn) % _OUT == 0),
        {
            "begin_ns": 10**15 + rng.randrange(10**12),
            "took_ns": (lowest, lowest + spread),
            "slow": rng.choice((0, 0.002, 0.01)),
        },
    )


def probe_one(number: int, seed: int, *, cheap: bool = False, without: bool = False) -> Run:
    """Probe one with the default budget, and again with that which exit 2 asks for."""
    drawn = draw(number, seed, cheap=cheap, without=without)
    budget, run = Budget(), None
    while True:
        sender = SimulatedSender(drawn.limiter, number, **drawn.line)
        left_out = {drawn.name} if drawn.left_out else set()
        if left_out & _ALL_ONE_PHASE:
            left_out |= {family.name for family in LAST}
        if left_out & _TWINS:
            left_out |= _TWINS
        families = [family for family in (*FAMILIES, *LAST) if family.name not in left_out]
        begun_ns = sender.now_ns()
        course = run_course(sender, budget, families=families)
        run = Run(
            number,
            drawn.name,
            drawn.limit,
            drawn.window_ns,
            drawn.name in LIMITERS and not drawn.left_out,
            drawn.limiter,
            drawn.phase_ns,
            course,
            named_kind(course),
            sender.requests,
            sender.now_ns() - begun_ns,
        )
        found = course.hypotheses
        told = run.named or course.several or (found is not None and not found.kinds())
        more = wanted(course, budget, Budget(run.requests, run.took_ns))
        if told or budget != Budget() or more == budget:
            return run
        budget = more


def tell(number: int, seed: int, *, cheap: bool = False, without: bool = False) -> Outcome:
    """The outcome of one probe as plain data, which another process can send."""
    begun_s = time.process_time()
    run = probe_one(number, seed, cheap=cheap, without=without)
    return Outcome(
        number,
        run.name,
        run.limit,
        run.window_ns,
        run.known,
        run.verdict,
        run.said,
        run.reason,
        run.requests,
        run.took_ns,
        time.process_time() - begun_s,
    )


def simulated(
    numbers: Sequence[int],
    seed: int,
    note: Callable[[str], object],
    *,
    cheap: bool = False,
    without: bool = False,
    processes: int = 1,
) -> Tally:
    """Probe these limiters, in so many processes."""
    tally, probed = Tally(), partial(tell, seed=seed, cheap=cheap, without=without)
    with Pool(processes) if processes > 1 else nullcontext() as pool:
        for each in pool.imap_unordered(probed, numbers) if pool else map(probed, numbers):
            tally.runs.append(each)
            note(str(each))
    return tally
