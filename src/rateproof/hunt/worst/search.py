"""The search for the worst: the most that one client is certainly let through in a window.

First more connections, then other clients meanwhile, by doubling; then phases, idling and
the second window, side by side on fresh clients, as far as there is time. Against a slow
server the known schedules first, and nothing is said of growth: its bursts never end.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rateproof.clock import Tolerance
from rateproof.events import UNKNOWN, EventLog
from rateproof.hunt.commands import command_line, repeat_command
from rateproof.hunt.exploration.attacks import attack
from rateproof.hunt.recipe import Recipe
from rateproof.hunt.rig import Rig, alone
from rateproof.hunt.worst.counts import Admissions, count
from rateproof.hunt.worst.growth import CONSTANT, Step, by_connections, by_load, by_others
from rateproof.output import say
from rateproof.policy import Policy, Quota
from rateproof.prove import pressing
from rateproof.prove.evidence.wording import spaced
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.units import SECOND_NS

_RATE_PER_S: Final = 500.0
_MOST_AT_ONCE: Final = 2_000
_MOST_RACED: Final = 200
_CONNECTIONS: Final = (1, 2, 4, 8, 16, 32)
_FIRST_OTHERS, _MOST_OTHERS = 10, 20_000
_GAPS: Final = (0, 1, 2, 4, 8)
_FOLDS: Final = (1, 4, 16)
_FILLING: Final = ("fill", "turn", "opening", "idle")
_PHASES: Final = 8
_STARTS: Final = 4
_EDGE_NS: Final = 50_000_000
_TICK_NS: Final = 800_000_000
_LEAST_GAP_NS: Final = 100_000_000
_GRACE_NS: Final = SECOND_NS // 2
_SETTLING_NS: Final = SECOND_NS // 2
"""Until a run is ready and its answers are counted."""

_NOTHING: Final = "no run in that time let more through than promised"
_NO_TIME: Final = "there was no time for one run (hint: a longer --worst-time)"


@dataclass(frozen=True, slots=True)
class Worst:
    """The most that one client was let through.

    Args:
        quota: the quota's text.
        certain: so many in one window, whatever instants are chosen.
        possible: more lie in none.
        allowed: the most that the quota lets through in any window.
        window_ns: the quota's window.
        recipe: what the client sent.
        growth: what it grows with, in words; empty where nothing can be said.
        repeat: the command that sends it again, quoted for a shell.
    """

    quota: str
    certain: int
    possible: int
    allowed: int
    window_ns: int
    recipe: Recipe
    growth: str
    repeat: str

    @property
    def schedule(self) -> str:
        """The client's requests, in words."""
        return str(self.recipe)

    def describe(self) -> str:
        """It as text, two lines or three."""
        most = f"{self.certain} in {spaced(self.window_ns)}, {self.allowed} promised"
        lines = [f"worst     {most}: {self.schedule}"]
        lines += [f"          {self.growth}"] if self.growth else []
        return "\n".join([*lines, f"repeat    {self.repeat}"])

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "quota": self.quota,
            "certain": self.certain,
            "possible": self.possible,
            "allowed": self.allowed,
            "window_ns": self.window_ns,
            "schedule": self.schedule,
            "growth": self.growth,
            "repeat": self.repeat,
        }


def find_worst(
    rig: Rig, quota: Quota, known: Sequence[Recipe], until_ns: int, answer_ns: int = 0
) -> Worst | None:
    """Look for the most that one client is let through; None where no run showed too many.

    Args:
        rig: what is tested; a stop ends the search.
        quota: what was violated.
        known: schedules that violated it.
        until_ns: when the search is over, on the monotonic clock.
        answer_ns: how long an answer takes.
    """
    left_s = max(0, until_ns - time.monotonic_ns()) / SECOND_NS
    say(f"looking for the worst of {quota}, for {left_s:.0f} s at most")
    search = _Search(rig, quota, until_ns, answer_ns)
    number = rig.settings.policy.quotas.index(quota)
    said: list[str | None] = []
    if pressing(rig.settings.policy)[number].needs_ns:  # what others deny says nothing of growth
        search.side_by_side([(recipe, 0) for recipe in (*known, *search.delayed(number))])
    elif search.is_slow:
        search.known_again([replace(recipe, phase=None) for recipe in known])
        search.shapes(search.races())
    else:
        said = [search.connections(), search.others()]
        search.shapes(known)
    if search.best is None:
        if not rig.stop.is_set():
            say(f"worst: {_NOTHING if search.ran else _NO_TIME}")
        return None
    recipe, most = search.best
    grows = [one for one in said if one and one != CONSTANT]
    growth = grows[-1] if grows else CONSTANT if said == [CONSTANT, CONSTANT] else ""
    return Worst(
        str(quota),
        most.certain,
        most.possible,
        search.allowed,
        quota.window_ns,
        recipe,
        growth,
        command_line(repeat_command(rig.settings, recipe)),
    )


@dataclass
class _Search:
    rig: Rig
    quota: Quota
    until_ns: int
    answer_ns: int
    best: tuple[Recipe, Admissions] | None = field(default=None, init=False)
    ran: bool = field(default=False, init=False)

    @property
    def room(self) -> int:
        """The clients that a run can have, others included."""
        most = self.rig.most_clients
        return _MOST_OTHERS * 10 if most is None else most

    @property
    def rate_per_s(self) -> float:
        return min(_RATE_PER_S, self.rig.settings.max_rate or _RATE_PER_S)

    @property
    def allowed(self) -> int:
        """The most that the quota lets through in any window."""
        return Policy((self.quota,)).worst_case(self.quota.window_ns)

    @property
    def full(self) -> int:
        """As many requests as fill the quota twice."""
        return 2 * min(self.quota.limit, _MOST_AT_ONCE // 2)

    def takes_ns(self, requests: int) -> int:
        """The time that so many requests take."""
        return round(requests / self.rate_per_s * SECOND_NS)

    def lasts_ns(self, recipe: Recipe) -> int:
        """The time of a recipe, until the last of its requests is answered."""
        in_turn = -(-recipe.largest // recipe.connections)
        return recipe.span_ns + in_turn * self.answer_ns

    @property
    def is_slow(self) -> bool:
        """True if a client's burst is not answered before the next one begins in `connections`."""
        return self.full * self.answer_ns > self.takes_ns(self.full * _CONNECTIONS[-1])

    def run(
        self, recipes: Sequence[Recipe], starts: Sequence[int] = (0,)
    ) -> list[Admissions] | None:
        """Send some recipes side by side, each by a fresh client; None if there is no time left."""
        begun = list(zip(recipes, starts, strict=True))
        clients = len(recipes) + sum(recipe.other_clients for recipe in recipes)
        if clients > self.room:
            return None
        span_ns = max(start_ns + self.lasts_ns(recipe) for recipe, start_ns in begun)
        last = sum(recipe.largest for recipe in recipes)
        duration_ns = span_ns + _GRACE_NS + self.takes_ns(last)
        stop = self.rig.stop
        late = time.monotonic_ns() + duration_ns + _SETTLING_NS > self.until_ns
        if stop.is_set() or late:
            return None
        self.ran = True
        groups = [recipe.client(start_ns) for recipe, start_ns in begun]
        groups += [group for recipe, start_ns in begun for group in recipe.crowd(start_ns)]
        log = self.rig.send(self.rig.scenario(tuple(groups), duration_ns))
        if stop.is_set():
            return None
        settings = self.rig.settings
        tolerance = Tolerance(settings.tolerance_ppm, settings.granularity_ns)
        logs = alone(log, len(recipes))
        missed = _missed(log, logs, sum(recipe.other_clients for recipe in recipes))
        counts = [count(own, self.quota, tolerance) for own in logs]
        counts = [replace(found, lost=found.lost + missed) for found in counts]
        for recipe, found in zip(recipes, counts, strict=True):
            # Of equal ones the shortest: with the fewest requests, then others.
            rank = (found.certain, -recipe.requests, -recipe.other_clients)
            best = self.best
            least = self.allowed if best is None else best[1].certain
            if found.certain > least or (
                best is not None
                and rank > (best[1].certain, -best[0].requests, -best[0].other_clients)
            ):
                self.best = recipe, found
        return counts

    def connections(self) -> str | None:
        """All at once on more and more connections; and what becomes of the limit under load."""
        requests = min(self.full * _CONNECTIONS[-1], _MOST_AT_ONCE)
        over = [number for number in _CONNECTIONS if self.full * number <= requests]
        bursts = [Recipe(Schedule(((0, requests),)), number) for number in over]
        every_ns = self.takes_ns(requests)
        starts = [number * every_ns for number in range(len(over))]
        counts = self.run(bursts[: self.room], starts[: self.room])
        if counts is None or len(counts) < len(over):
            return None
        steps = [Step(number, one) for number, one in zip(over, counts, strict=True)]
        if not counts[-1].denied:
            after = self.run(bursts[:1])
            return None if after is None else by_load(counts[0], counts[-1], after[0], self.allowed)
        return by_connections(steps)

    def others(self) -> str | None:
        """Other clients between two bursts, more and more; then in several gaps.

        As long as they change nothing, half of the time is left for what comes after.
        """
        each, flat = _FIRST_OTHERS, list[Step]()
        half_ns = (time.monotonic_ns() + self.until_ns) // 2
        while each <= min(_MOST_OTHERS, self.room - 1):
            gap_ns = self.gap_ns(each)
            late = time.monotonic_ns() + gap_ns + _SETTLING_NS > half_ns
            if late or 2 * gap_ns >= self.quota.window_ns:
                break
            pair = (self.gapped(1, gap_ns, each, 0), self.gapped(1, gap_ns, each, 1))
            counts = [found for one in pair if (found := self.run([one])) is not None]
            if len(counts) < len(pair):
                break
            without, among = counts[0][0], counts[1][0]
            if among.certain > without.certain + self.quota.limit // 2:
                return self.gaps(each, gap_ns)
            flat = [*(flat or [Step(0, without)]), Step(each, among)]
            each *= 2
        return by_others(flat, self.quota.limit, each) if flat else None

    def gaps(self, each: int, gap_ns: int) -> str | None:
        """So many others in more and more gaps between the same bursts."""
        most = (self.quota.window_ns - gap_ns) // gap_ns
        tried = [gaps for gaps in _GAPS if gaps <= most]
        said = None
        for _ in range(2):  # a burst may have come before the others had been answered
            steps = []
            for gaps in tried:
                counts = self.run([self.gapped(tried[-1], gap_ns, each, gaps)])
                if counts is None:
                    return said
                steps.append(Step(gaps * each, counts[0]))
            said = by_others(steps, self.quota.limit, each)
            if said is not None:
                break
        return said

    def gap_ns(self, each: int) -> int:
        """The time for so many others, and for a burst."""
        return max(_LEAST_GAP_NS, 2 * self.takes_ns(each + self.full))

    def gapped(self, gaps: int, gap_ns: int, each: int, filled: int) -> Recipe:
        """Bursts with so many gaps between them, of which the first have others in them."""
        bursts = Schedule(tuple((at * gap_ns, self.full) for at in range(gaps + 1)))
        others = tuple((at * gap_ns + gap_ns // 2, each) for at in range(filled))
        return Recipe(bursts, 1, Schedule(others) if others else None)

    def known_again(self, known: Sequence[Recipe]) -> None:
        """The known schedules, once and again from other instants on, in half of the time."""
        half_ns = (self.until_ns - time.monotonic_ns()) // 2
        step_ns = max(1, self.quota.window_ns // _STARTS)
        later = [(recipe, place * step_ns) for place in range(1, _STARTS) for recipe in known]
        later = [each for each in later if each[1] + self.lasts_ns(each[0]) <= half_ns]
        self.side_by_side([*((recipe, 0) for recipe in known), *later])

    def races(self) -> list[Recipe]:
        """As many as fill the quota twice, and eight times, each on a connection of its own."""
        counts = dict.fromkeys(min(self.full * fold, _MOST_RACED) for fold in (1, 4))
        return [Recipe(Schedule(((0, each),)), each) for each in counts]

    def ticks(self) -> list[tuple[Recipe, int]]:
        """Bursts for clocks of whole seconds, on which a window may be over almost one early."""
        if self.quota.window_ns < 2 * SECOND_NS:
            return []
        pair = _recipe((0, self.full), (self.quota.window_ns - _TICK_NS, self.full))
        return [(pair, place) for place in range(_PHASES)]

    def shapes(self, known: Sequence[Recipe]) -> None:
        """Phases, idling, one late request and the second window, all that there is time for."""
        window_ns, full = self.quota.window_ns, self.full
        part_ns = max(1, window_ns // _PHASES)
        pair = ((0, full), (part_ns, full))
        pace_ns = max(1, window_ns // self.quota.limit)
        drips = min(self.quota.limit, _PHASES)
        edge_ns = min(_EDGE_NS, part_ns // 2)
        shapes = [
            *((recipe, 0) for recipe in known if recipe.phase is None and recipe.others is None),
            *((_recipe(*pair), place * part_ns) for place in range(_PHASES)),
            *((recipe, place * SECOND_NS // _PHASES) for recipe, place in self.ticks()),
            (_recipe((0, 1), (window_ns - edge_ns, full), (window_ns + edge_ns, full)), 0),
            (_recipe((0, 1), (window_ns * 5 // 4, 2 * full)), 0),
            (_recipe(*((place * part_ns, full) for place in range(2 * _PHASES + 1))), 0),
            (
                _recipe(
                    *((0, 1), (2 * window_ns, 1)),
                    *((2 * window_ns + turn * pace_ns, 1) for turn in range(1, drips + 1)),
                ),
                0,
            ),
        ]
        self.side_by_side(shapes)

    def delayed(self, number: int) -> list[Recipe]:
        """Recipes that fill a quota as fast as others let it, and multiples on more connections."""
        policy, part_ns = self.rig.settings.policy, max(1, self.quota.window_ns // _PHASES)
        found = [attack(family, policy, number, part_ns).recipe for family in _FILLING]
        return [
            Recipe(Schedule(tuple((at, count * fold) for at, count in one.schedule.steps)), fold)
            for one in found
            for fold in _FOLDS
            if one.requests * fold <= _MOST_AT_ONCE
        ]

    def side_by_side(self, shapes: Sequence[tuple[Recipe, int]]) -> None:
        """Send what there is time for, each recipe from its instant on."""
        left_ns = self.until_ns - time.monotonic_ns() - _GRACE_NS - _SETTLING_NS
        at_once_ns = self.takes_ns(sum(recipe.largest for recipe, _ in shapes))
        fit = [one for one in shapes if one[1] + self.lasts_ns(one[0]) + at_once_ns <= left_ns]
        fit = fit[: max(1, self.room - sum(recipe.other_clients for recipe, _ in fit))]
        if fit:
            self.run([recipe for recipe, _ in fit], [start_ns for _, start_ns in fit])


def _missed(log: EventLog, clients: Sequence[EventLog], others: int) -> int:
    """Number of the others that had no answer of a limiter before the clients' last requests."""
    if not others:
        return 0
    last_ns = max((max(own.ints("sent_ns"), default=0) for own in clients), default=0)
    keys = {key for own in clients for key in own.by_key()}
    rows = zip(*map(log.column, ("key", "outcome", "received_ns")), strict=True)
    came = {
        key
        for key, outcome, received_ns in rows
        if key not in keys and outcome != UNKNOWN and (received_ns or last_ns + 1) <= last_ns
    }
    return max(0, others - len(came))


def _recipe(*steps: tuple[int, int]) -> Recipe:
    return Recipe(Schedule(tuple(steps)))
