"""Traffic drawn from the seed, the iteration's number, and the attacks that came close.

First a fixed list: short iterations that cover every known family of faults.
Then every second iteration tries the best lead again, closer, and the others
draw freely.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from rateproof.hunt.exploration.attacks import FAMILIES, REST_NS, TICK_NS, Attack, attack
from rateproof.hunt.exploration.forgetting import FIRST_OTHERS
from rateproof.hunt.exploration.leads import Lead
from rateproof.hunt.exploration.traffic import AFTER_NS, SCHEDULE, Draw, fitted, groups_of, stream
from rateproof.policy import Policy, Quota
from rateproof.prove import pressing
from rateproof.prove.evidence.wording import plain_quota
from rateproof.simulate.behaviour import Behaviour
from rateproof.simulate.behaviours.burst import Burst
from rateproof.simulate.behaviours.constant import Constant
from rateproof.simulate.behaviours.poisson import Poisson
from rateproof.simulate.behaviours.polite import Polite
from rateproof.simulate.behaviours.saturate import Saturate
from rateproof.simulate.behaviours.sybil import Sybil
from rateproof.simulate.behaviours.think import Think
from rateproof.simulate.programs.arrivals import Exponential, Uniform
from rateproof.simulate.scenario import Group
from rateproof.units import SECOND_NS, format_seconds

_CLIENTS = (2, 100)
_RATE_PER_S = (10.0, 300.0)
_BOOK_RATE_PER_S = (10.0, 60.0)
_WINDOWS = (1.35, 1.45)
_DURATION_NS = (2 * SECOND_NS, 30 * SECOND_NS)
_MOST_WINDOWS, _SHORT_NS = 1.5, 3 * SECOND_NS  # the last request of an attack, where that is later
_SHORTEST_NS, _MOST_CHAINED_NS = SECOND_NS, 3_500_000_000

_MOST_RACED = 20_000
_STEADY_CLIENTS, _STEADY_LEAST_NS = 2, 5_000_000

_FILL_STARTS_NS = (0, 300_000_000, 700_000_000)

LONGEST_NS = 60 * SECOND_NS
_LONG_GAP_NS = 20 * SECOND_NS
_RACES_NS, _DRAWN_RACES_NS = SECOND_NS * 3 // 4, 2 * SECOND_NS
_MOST_SPREAD_NS = 10 * SECOND_NS
_EDGE_PARTS = (3.0, 1_000.0)
_FIRST_EDGE_PARTS = 50
_WIDE_EDGE_PARTS = 4  # counters that count denials show only between 1.2 and 2 windows
_MOST_KEYS, _MOST_REQUESTS = 6, 600
_MOST_FOLD = 16
_FEW_OTHERS, _CLIMB_EVERY = 256, 4
_PAGES = {
    "races": "bursts on many connections",
    "edges": "bursts around a window's end",
    "many keys": "many other clients",
}
_OTHERS_SHARE = 0.4


def _bursts(interval_ns: int, quota: Quota) -> Behaviour:
    requests = min(quota.limit + 1, _MOST_RACED)
    return Burst(requests, requests * interval_ns)


SHAPES: dict[str, Callable[[int, Quota], Behaviour]] = {
    "steady": lambda interval_ns, _: Think(Exponential(interval_ns)),
    "uniform": lambda interval_ns, _: Think(Uniform(0, 2 * interval_ns)),
    "poisson": lambda interval_ns, _: Poisson(interval_ns),
    "constant": lambda interval_ns, _: Constant(interval_ns),
    "polite": lambda interval_ns, _: Polite(Exponential(interval_ns)),
    "bursts": _bursts,
    "saturate": lambda _, __: Saturate(),
    "rotating": lambda interval_ns, quota: Sybil(
        min(quota.limit + 1, _MOST_RACED), Exponential(interval_ns)
    ),
}
"""Behaviours of the crowd, from the mean interval between two requests of one client."""


def draw(
    seed: int,
    iteration: int,
    policy: Policy,
    *,
    lead: Lead | None = None,
    others: int | None = None,
    max_rate: float | None = None,
    keys: int | None = None,
) -> Draw:
    """The traffic of one iteration; equal arguments give equal draws.

    Counts and rates are log-uniform, so that few clients are as likely as
    many. Every len(SHAPES) iterations each shape comes once, in an order
    drawn from the seed. Each iteration presses one quota, in turn.

    Args:
        seed: of the whole test.
        iteration: its number, from 1.
        policy: what is claimed to hold.
        lead: what came closest so far; every second iteration after the book refines it.
        others: other clients that come between two bursts, in every fourth after the book;
            None: no more are worth trying.
        max_rate: requests a second at most.
        keys: clients at most; None: any number.
    """
    hand = _Hand(policy, 0, stream(seed, iteration, "draw"), max_rate, keys)
    pages, quotas = _book(policy), _pressable(policy)
    calm = iteration <= len(pages)
    hand.quota = quotas[(iteration - 1) % len(quotas)]
    if calm:
        name, hand.quota = pages[iteration - 1]
        note, attacks = "attack", hand.opening(name)
    elif lead is not None and (iteration - len(pages)) % 2 == 0:
        note, attacks = (
            f"attack, closer than {lead}",
            replace(hand, quota=lead.attack.quota).closer(lead),
        )
    elif others is not None and (iteration - len(pages)) % _CLIMB_EVERY == 1:
        note, attacks = "attack, more other clients", [hand.forgetting(others)]
    else:
        note, attacks = "attack, drawn", hand.any()
    attacks, over = fitted(attacks, keys)
    shape = _shape(seed, iteration)
    clients, rate_per_s, duration_ns = hand.figures(attacks, calm=calm)
    if keys is not None:
        clients = max(1, min(clients, keys - sum(len(each.starts) for each in attacks)))
    interval_ns = max(1, round(clients / rate_per_s * SECOND_NS))
    saturating = shape == "saturate"
    if saturating:
        clients = min(clients, 2)  # the generator itself must not be what is measured
    beside = [_steady(policy)] if len(policy.quotas) > 1 else []
    beside.append(Group(SHAPES[shape](interval_ns, hand.pressed), clients))
    words = map(str, attacks)
    return Draw(
        seed,
        iteration,
        shape,
        clients,
        None if saturating else rate_per_s,
        duration_ns,
        groups_of(attacks, *beside),
        tuple(attacks),
        f"{note}: {'; '.join(words)}",
        tuple(over),
    )


@dataclass
class _Hand:
    """The means to draw an iteration's attacks on one quota of a policy."""

    policy: Policy
    quota: int
    rng: Random
    max_rate: float | None
    keys: int | None = None

    @property
    def pressed(self) -> Quota:
        return self.policy.quotas[self.quota]

    def figures(self, attacks: Sequence[Attack], *, calm: bool) -> tuple[int, float, int]:
        """Clients of the crowd, its requests a second, and how long it all lasts, in ns."""
        rng, window_ns = self.rng, self.pressed.window_ns
        clients = round(_log_uniform(rng, *_CLIENTS))
        rate_per_s = round(_log_uniform(rng, *(_BOOK_RATE_PER_S if calm else _RATE_PER_S)), 1)
        low, high = (round(factor * window_ns) for factor in _WINDOWS)
        duration_ns = min(max(rng.randint(low, high), _DURATION_NS[0]), _DURATION_NS[1])
        if calm:
            duration_ns = rng.randint(_SHORTEST_NS, _SHORTEST_NS * 3 // 2)
        needed_ns = max((each.end_ns for each in attacks), default=0) + AFTER_NS
        return clients, rate_per_s, max(duration_ns, needed_ns)

    def opening(self, name: str) -> list[Attack]:
        """The attacks of an iteration of the book."""
        window_ns = self.pressed.window_ns
        if name == "races":
            races = [self._placed("race", spread_ns=_RACES_NS, keys=2, fold=f) for f in (1, 2, 4)]
            edge_ns = max(1, window_ns // 10, window_ns - _RACES_NS)
            return [*races, self.forgetting(_FEW_OTHERS, edge_ns)]
        if name == "many keys":
            return [self.forgetting(FIRST_OTHERS)]
        edges: tuple[tuple[str, int], ...] = (
            ("opening", _FIRST_EDGE_PARTS),
            ("opening", _WIDE_EDGE_PARTS),
            ("turn", 2),
            ("turn", _FIRST_EDGE_PARTS),
            ("drip", _FIRST_EDGE_PARTS),
        )
        if self.chains:
            edges = (*edges, ("chain", _FIRST_EDGE_PARTS))
        placed = [self._placed(family, max(1, window_ns // parts)) for family, parts in edges]
        rests = [self._placed("rest", keys=2)] if 2 * self.pressed.window_ns < REST_NS else []
        return [*placed, *map(self._edged, ("tick", "late")), *rests]

    @property
    def chains(self) -> bool:
        """True if there is time for the end of a second window."""
        return self.pressed.window_ns <= _MOST_CHAINED_NS

    def closer(self, lead: Lead) -> list[Attack]:
        """The lead's attack at half its distance, on more connections, on more keys.

        Beside it two bursts as far apart: a window that is too short shows in them.
        """
        before = lead.attack
        fold = min(2 * before.recipe.connections, self.pressed.limit, _MOST_FOLD)
        if before.family == "forget":
            return [self.forgetting(FIRST_OTHERS, lead.closer_ns)]
        fold = 1 if before.family == "late race" else fold
        edges_ns = dict.fromkeys((lead.closer_ns, max(1, lead.closer_ns // 2)))
        near = [self._placed(before.family, edge_ns, fold=fold) for edge_ns in edges_ns]
        return [*near, *(self._placed("turn", edge_ns) for edge_ns in edges_ns)]

    def any(self) -> list[Attack]:
        """Races, the window's edge and a family at random, at random distances, over all phases.

        Of windows too long to be waited for, only what needs no waiting.
        """
        races = self._placed("race", spread_ns=_DRAWN_RACES_NS, fold=self.rng.randint(1, 4))
        unfit = {"rest"} if self.chains else {"rest", "chain"}
        family = self.rng.choice([each for each in FAMILIES if each not in unfit])
        if self.pressed.window_ns > LONGEST_NS:
            return [races, *([self.forgetting(FIRST_OTHERS)] if family == "forget" else [])]
        return [races, *map(self._edged, ("opening", family))]

    def _edged(self, family: str) -> Attack:
        if family == "forget":
            return self.forgetting(self.rng.randint(FIRST_OTHERS, 2 * FIRST_OTHERS))
        if family == "tick":
            return self._placed(family, max(1, min(TICK_NS, self.pressed.window_ns // 4)))
        parts = _log_uniform(self.rng, *_EDGE_PARTS)
        return self._placed(family, max(1, round(self.pressed.window_ns / parts)))

    def forgetting(self, others: int, edge_ns: int | None = None) -> Attack:
        """So many others in between, as far as the rate lets them through; two keys together."""
        window_ns = self.pressed.window_ns
        if edge_ns is None:
            edge_ns = max(1, window_ns // 10, window_ns - _LONG_GAP_NS)
        if self.max_rate is not None:
            room = self.max_rate * _OTHERS_SHARE * (window_ns - edge_ns) / SECOND_NS
            others = min(others, int(room))
        if self.keys is not None:
            others = min(others, self.keys // 2)
        return attack("forget", self.policy, self.quota, edge_ns, starts=(0, 0), others=others)

    def _placed(
        self,
        family: str,
        edge_ns: int = 1,
        *,
        spread_ns: int = _MOST_SPREAD_NS,
        keys: int = _MOST_KEYS,
        fold: int = 1,
    ) -> Attack:
        """On as many keys as load allows, which begin at different times."""
        once = attack(family, self.policy, self.quota, edge_ns, fold=fold)
        longest_ns = max(round(_MOST_WINDOWS * self.pressed.window_ns), _SHORT_NS)
        spread_ns = min(spread_ns, self.pressed.window_ns, max(0, longest_ns - once.end_ns))
        keys = max(1, min(keys, _MOST_REQUESTS // once.recipe.requests))
        starts = (round((key + self.rng.random()) * spread_ns / keys) for key in range(keys))
        return replace(once, starts=tuple(starts))


def _steady(policy: Policy) -> Group:
    """Clients who take all that the tighter quotas admit, so that the wider ones fill up."""
    interval_ns = min(quota.window_ns // quota.limit for quota in policy.quotas) // 2
    return Group(Constant(max(interval_ns, _STEADY_LEAST_NS)), _STEADY_CLIENTS)


def _shape(seed: int, iteration: int) -> str:
    turn, place = divmod(iteration - 1, len(SHAPES))
    order = sorted(SHAPES)
    stream(seed, turn, "shapes").shuffle(order)
    return order[place]


def _book(policy: Policy) -> list[tuple[str, int]]:
    """The opening iterations: their names, and the quotas that they press."""
    quotas = _pressable(policy)
    short = [quota for quota in quotas if policy.quotas[quota].window_ns <= LONGEST_NS]
    edges = [("edges", quota) for quota in short]
    return [("races", quotas[0]), *edges, ("many keys", quotas[0])]


def _pressable(policy: Policy) -> list[int]:
    """The quotas that others leave a chance to be filled soon, the shortest window first."""
    delays = [needs.needs_ns for needs in pressing(policy)]
    windows = [quota.window_ns for quota in policy.quotas]
    found = [n for n, ns in enumerate(delays) if ns == 0 or (ns and windows[n] <= LONGEST_NS)]
    return sorted(found, key=windows.__getitem__)


def delayed(policy: Policy, within_ns: int) -> list[Attack]:
    """Of each quota that others delay, by that time at most, the attack that fills it."""
    fills = [
        attack("fill", policy, number, quota.window_ns, starts=_FILL_STARTS_NS)
        for number, quota in enumerate(policy.quotas)
        if pressing(policy)[number].needs_ns
    ]
    return [each for each in fills if each.recipe.span_ns <= within_ns]


def filling(seed: int, iteration: int, fill: Attack, keys: int | None = None) -> Draw:
    """The iteration that fills a quota which others delay, for so many clients at most."""
    fill = replace(fill, starts=fill.starts[:keys])
    recipe = fill.recipe
    note = (
        f"{recipe.requests} requests in {format_seconds(recipe.span_ns)}, "
        "as fast as the other quotas let them through"
    )
    duration_ns = fill.end_ns + AFTER_NS
    clients = len(fill.starts)
    return Draw(
        seed, iteration, SCHEDULE, clients, None, duration_ns, tuple(fill.groups()), (fill,), note
    )


def book_length(policy: Policy) -> int:
    """Number of iterations before anything is drawn freely."""
    return len(_book(policy))


def book_words(policy: Policy, first: int) -> list[str]:
    """The attacks of these iterations in plain words, from a number on, which counts from 0."""
    several = len(policy.quotas) > 1
    return [
        _PAGES[name]
        + (f" ({plain_quota(str(policy.quotas[quota]))})" if several and name == "edges" else "")
        for name, quota in _book(policy)[first:]
    ]


def _log_uniform(rng: Random, low: float, high: float) -> float:
    """From low to high, each order of magnitude as likely as the next."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))
