"""The traffic that led to a crash of the server, shrunk like a violation.

The server must be one that was started here, for every try kills it.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rateproof.events import EventLog
from rateproof.hunt.iteration import Iteration
from rateproof.hunt.recipe import Recipe
from rateproof.hunt.rig import Rig
from rateproof.hunt.server.child import ChildServer
from rateproof.hunt.server.watch import Watch
from rateproof.hunt.shrinking.bench import Bench
from rateproof.hunt.shrinking.edits import size
from rateproof.hunt.shrinking.reproduction import CONFIRMATIONS, CRASH, Reproduction, Tries
from rateproof.hunt.shrinking.search import shrink
from rateproof.output import say
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.units import SECOND_NS

_TRIES = 2
_BURSTS_NS = (10_000_000, 100_000_000, 3_600 * SECOND_NS)
_MOST_STEPS = 200
_MOST_SUSPECTS = 3
_MOST_CONNECTIONS = 1_000
_DYING_NS = 300_000_000
_LOOK_S = 0.01


@dataclass(slots=True)
class Crashes:
    """An `Oracle`: a recipe is reproduced when the server, or a worker, dies while it is sent.

    Each try is a run of its own, of a server started for it.

    Args:
        rig: what is tested; a stop ends a run early, and then nothing was tried.
        child: the server.
        until_ns: nothing more is tried from this instant on.
    """

    rig: Rig
    child: ChildServer
    until_ns: int
    _used: bool = True

    def __call__(self, candidates: Sequence[Recipe], _tries: int) -> list[Tries | None]:
        """See `Oracle`. The simplest is looked for by bisection: most are not tried."""
        window_ns = self.rig.settings.policy.quotas[0].window_ns
        results: list[Tries | None] = [None] * len(candidates)
        left = sorted(range(len(candidates)), key=lambda n: size(candidates[n], window_ns))
        while left:
            middle = len(left) // 2
            number = left[middle]
            result = results[number] = self.tried(candidates[number], _TRIES)
            if result is None:
                return [None] * len(candidates)
            left = left[:middle] if result.always else left[middle + 1 :]
        return [results[0] or Tries(0, 0), *results[1:]]

    def tried(self, recipe: Recipe, tries: int) -> Tries | None:
        """Try one, until it is plain that it does not in most tries; None if there was no time."""
        crashed = 0
        for made in range(1, tries + 1):
            if time.monotonic_ns() > self.until_ns:
                return None
            crashed += self._crashes(recipe)
            if self.rig.stop.is_set():
                return None
            if 2 * (made - crashed) >= tries:
                return Tries(crashed, made)
        return Tries(crashed, tries)

    def _crashes(self, recipe: Recipe) -> bool:
        bench = Bench.of([recipe], 1, max_rate=self.rig.settings.max_rate)
        if self._used:
            self.child.restart()
        with Watch(self.child) as watch:
            log = self.rig.send(self.rig.scenario(bench.groups, bench.duration_ns))
            # It may hang up before it dies.
            until_ns = time.monotonic_ns() + _DYING_NS * any(log.column("error"))
            while not watch.crashes and time.monotonic_ns() < until_ns:
                time.sleep(_LOOK_S)
        self._used = all(crash.whose != "server" for crash in watch.crashes)
        return bool(watch.crashes)


def suspects(log: EventLog, until_ns: int) -> Iterator[Recipe]:
    """Recipes that may have crashed the server: the busiest clients each, then all as one.

    The more is sent together, the more is in flight at once.
    """
    columns = map(log.column, ("key", "sent_ns", "connection"))
    rows = [row for row in zip(*columns, strict=True) if row[1] <= until_ns]
    busiest = Counter(key for key, *_ in rows).most_common(_MOST_SUSPECTS)
    for key, _ in busiest:
        yield _recipe([row[1:] for row in rows if row[0] == key])
    if rows:
        yield from (_recipe([row[1:] for row in rows], within_ns) for within_ns in _BURSTS_NS)


def _recipe(sends: list[tuple[int, int]], within_ns: int = 0) -> Recipe:
    """Requests (sent_ns, connection) as one client's, in bursts."""
    sends.sort()
    first_ns, last_ns = sends[0][0], sends[-1][0]
    within_ns = max(within_ns, _BURSTS_NS[0], (last_ns - first_ns) // _MOST_STEPS)
    counts = Counter((sent_ns - first_ns) // within_ns * within_ns for sent_ns, _ in sends)
    connections = min(len({connection for _, connection in sends}), _MOST_CONNECTIONS)
    return Recipe(Schedule(tuple(sorted(counts.items()))), connections)


def shrunk_crash(
    iteration: Iteration, rig: Rig, child: ChildServer, until_ns: int
) -> Reproduction | None:
    """The shortest schedule that crashes the server again; None if nothing was sent before.

    Args:
        iteration: in which it crashed.
        rig: what is tested; a stop ends the search with the shortest so far, or with what
            the busiest client sent.
        child: the server.
        until_ns: when the search is over, on the monotonic clock.
    """
    say(f"shrinking the crash: {iteration.crashes[0]}")
    oracle, start = Crashes(rig, child, until_ns), None
    for recipe in suspects(iteration.log, iteration.crashes[0].at_ns):
        start = start or recipe
        tries = None if rig.stop.is_set() else oracle.tried(recipe, 1)
        if tries is None:
            return Reproduction.of(rig.settings, CRASH, start)
        if tries.accepted:
            start = recipe
            break
    if start is None:
        return None
    window_ns = rig.settings.policy.quotas[0].window_ns
    found = shrink([start], oracle, window_ns=window_ns)
    tries = oracle.tried(found.recipe, CONFIRMATIONS) or found.tries
    return Reproduction.of(rig.settings, CRASH, found.recipe, tries, complete=found.complete)
