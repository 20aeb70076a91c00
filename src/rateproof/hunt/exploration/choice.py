"""Which attacks an iteration makes: from the opening book, closer to a lead, or drawn."""

from random import Random

from rateproof.hunt.exploration.attacks import FAMILIES, Attack, attack, reachable
from rateproof.hunt.exploration.leads import Lead
from rateproof.hunt.streams import log_uniform
from rateproof.policy import Policy
from rateproof.units import SECOND_NS

__all__ = ["book", "closer", "drawn", "opening", "pressable"]

_LONGEST_NS = 60 * SECOND_NS
_LONG_GAP_NS = 20 * SECOND_NS
_RACES_NS, _DRAWN_RACES_NS = SECOND_NS * 3 // 4, 2 * SECOND_NS
_MOST_SPREAD_NS = 10 * SECOND_NS
_EDGE_PARTS = (3.0, 1_000.0)
_FIRST_EDGE_PARTS = 50
_WIDE_EDGE_PARTS = 4  # counters that count denials show only between 1.2 and 2 windows
_MOST_KEYS, _MOST_REQUESTS = 6, 600
_MOST_FOLD = 16
_OTHERS = (2_000, 5_000)
_OTHERS_SHARE = 0.4


def book(policy: Policy) -> list[tuple[str, int]]:
    """The opening iterations: their names, and the quotas that they press."""
    quotas = pressable(policy)
    short = [quota for quota in quotas if policy.quotas[quota].window_ns <= _LONGEST_NS]
    edges = [("edges", quota) for quota in short]
    return [("races", quotas[0]), *edges, ("many keys", quotas[0])]


def pressable(policy: Policy) -> list[int]:
    """The quotas that tighter ones leave a chance to be filled, the shortest window first."""
    quotas = range(len(policy.quotas))
    inward = sorted(quotas, key=lambda quota: policy.quotas[quota].window_ns)
    return [quota for quota in inward if reachable(policy, quota)]


def opening(
    name: str, policy: Policy, quota: int, rng: Random, max_rate: float | None
) -> list[Attack]:
    """The attacks of an iteration of the book."""
    window_ns = policy.quotas[quota].window_ns
    if name == "races":
        spread_ns = _RACES_NS
        return [
            _placed("race", policy, quota, 1, rng, spread_ns=spread_ns, keys=2, fold=fold)
            for fold in (1, 2, 4)
        ]
    if name == "many keys":
        return [_forgetting(policy, quota, rng, max_rate)]
    edge_ns = max(1, window_ns // _FIRST_EDGE_PARTS)
    wide_ns = max(1, window_ns // 2)
    return [
        _placed(family, policy, quota, edge_ns, rng, spread_ns=min(window_ns // 4, _MOST_SPREAD_NS))
        for family, edge_ns in (
            ("opening", edge_ns),
            ("opening", max(1, window_ns // _WIDE_EDGE_PARTS)),
            ("turn", wide_ns),
            ("turn", edge_ns),
            ("drip", edge_ns),
        )
    ]


def closer(lead: Lead, policy: Policy, rng: Random, max_rate: float | None) -> list[Attack]:
    """The lead's attack at half its distance, on more connections, on more keys."""
    before = lead.attack
    fold = min(2 * before.recipe.connections, policy.quotas[before.quota].limit, _MOST_FOLD)
    if before.family == "forget":
        return [_forgetting(policy, before.quota, rng, max_rate, edge_ns=lead.closer_ns)]
    spread_ns = policy.quotas[before.quota].window_ns // 2
    return [
        _placed(
            *(before.family, policy, before.quota, edge_ns, rng),
            spread_ns=min(spread_ns, _MOST_SPREAD_NS),
            fold=1 if before.family == "late race" else fold,
        )
        for edge_ns in dict.fromkeys((lead.closer_ns, max(1, lead.closer_ns // 2)))
    ]


def drawn(policy: Policy, quota: int, rng: Random, max_rate: float | None) -> list[Attack]:
    """A family at random, at a random distance, over all phases.

    Of windows too long to be waited for, only what needs no waiting.
    """
    window_ns = policy.quotas[quota].window_ns
    family = rng.choice(list(FAMILIES))
    if family == "forget":
        return [_forgetting(policy, quota, rng, max_rate)]
    if family == "race" or window_ns > _LONGEST_NS:
        fold = rng.randint(1, 4)
        return [_placed("race", policy, quota, 1, rng, spread_ns=_DRAWN_RACES_NS, fold=fold)]
    if family == "idle" and 2 * window_ns > _LONGEST_NS:
        family = "turn"
    edge_ns = max(1, round(window_ns / log_uniform(rng, *_EDGE_PARTS)))
    spread_ns = min(window_ns, _MOST_SPREAD_NS)
    return [_placed(family, policy, quota, edge_ns, rng, spread_ns=spread_ns)]


def _forgetting(
    policy: Policy,
    quota: int,
    rng: Random,
    max_rate: float | None,
    *,
    edge_ns: int | None = None,
) -> Attack:
    """As many others as the rate lets through in between; two keys, who come together."""
    window_ns = policy.quotas[quota].window_ns
    if edge_ns is None:
        edge_ns = max(1, window_ns // 10, window_ns - _LONG_GAP_NS)
    others = rng.randint(*_OTHERS)
    if max_rate is not None:
        others = min(others, int(max_rate * _OTHERS_SHARE * (window_ns - edge_ns) / SECOND_NS))
    return attack("forget", policy, quota, edge_ns, starts=(0, 0), others=others)


def _placed(
    family: str,
    policy: Policy,
    quota: int,
    edge_ns: int,
    rng: Random,
    *,
    spread_ns: int,
    keys: int = _MOST_KEYS,
    fold: int = 1,
) -> Attack:
    """On as many keys as load allows, which begin at different times."""
    once = attack(family, policy, quota, edge_ns, fold=fold)
    keys = max(1, min(keys, _MOST_REQUESTS // once.recipe.requests))
    starts = tuple(round((key + rng.random()) * spread_ns / keys) for key in range(keys))
    return attack(family, policy, quota, edge_ns, fold=fold, starts=starts)
