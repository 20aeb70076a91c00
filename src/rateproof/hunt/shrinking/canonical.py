"""Where shrinking also starts: the first requests of each attack, one and two above the limit."""

from rateproof.hunt.exploration.attacks import FAMILIES, attack
from rateproof.hunt.recipe import Recipe
from rateproof.policy import Policy
from rateproof.simulate.behaviours.schedule import Schedule

__all__ = ["canonical"]

_EDGE_PARTS = 50
_DRIP_PARTS = 10  # its edge is shared by as many drips as the limit, and is to be above latency


def canonical(policy: Policy, window_ns: int, least: int) -> list[Recipe]:
    """The attacks of every family on the quota of a window, cut short.

    Args:
        policy: what was violated.
        window_ns: of one of its quotas.
        least: requests below which it is certain that nothing is reproduced.
    """
    number = [quota.window_ns for quota in policy.quotas].index(window_ns)
    edges_ns = {
        family: max(1, window_ns // (_DRIP_PARTS if family == "drip" else _EDGE_PARTS))
        for family in FAMILIES
    }
    whole = [attack(name, policy, number, edge_ns).recipe for name, edge_ns in edges_ns.items()]
    few = max(least, policy.quotas[number].limit + 1)
    cut = dict.fromkeys(_first(count, recipe) for count in (few, few + 1) for recipe in whole)
    return [recipe for recipe in cut if recipe.requests >= least]


def _first(count: int, recipe: Recipe) -> Recipe:
    """No more than so many requests of a recipe, the first."""
    steps = []
    for at_ns, requests in recipe.schedule.steps:
        if count > 0:
            steps.append((at_ns, min(requests, count)))
        count -= requests
    return Recipe(Schedule(tuple(steps)), recipe.connections)
