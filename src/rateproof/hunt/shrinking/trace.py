"""Starts for shrinking: the requests of the client that shows a violation, or of an attack."""

from dataclasses import dataclass
from typing import Any

from rateproof.events import EventLog
from rateproof.hunt.exploration.attacks import FAMILIES, attack
from rateproof.hunt.recipe import Phase, Recipe
from rateproof.hunt.rig import rows_of
from rateproof.policy import Policy
from rateproof.prove import OVER_ADMISSION, Evidence, Verdict
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.identities import identity_of

__all__ = ["Trace", "book", "retrace"]

_BURST_PARTS = 100
_OTHERS_PARTS = 50
_FORGETTING = 500
_MOST_STEPS = 400
_EDGE_PARTS = 50
_DRIP_PARTS = 10  # its edge is shared by as many drips as the limit, and is to be above latency


@dataclass(frozen=True, slots=True)
class Trace:
    """The requests that the client of a piece of evidence had sent until then.

    Args:
        evidence: the violation.
        recipe: all that it sent within two windows before, as bursts.
        window_ns: of the quota that was violated.
        hint: which steps hold the requests of the evidence.
        least: requests without which there is no such violation.
    """

    evidence: Evidence
    recipe: Recipe
    window_ns: int
    hint: frozenset[int]
    least: int


def retrace(log: EventLog, verdict: Verdict, policy: Policy, claim: str) -> list[Trace]:
    """The clients that show a violation of a claim, those with the fewest requests first."""
    pieces = {piece.key: piece for piece in verdict.evidence if piece.claim == claim}
    traces = [
        _trace(log, pieces[key], policy, rows) for key, rows in rows_of(log, list(pieces)).items()
    ]
    return sorted(traces, key=lambda trace: trace.recipe.requests)


def _trace(log: EventLog, piece: Evidence, policy: Policy, rows: list[int]) -> Trace:
    window_ns = _window_ns(piece, policy)
    events = [log[row] for row in rows]
    sends = sorted(
        (e.sent_ns if e.intended_ns is None else e.intended_ns, e.sent_ns) for e in events
    )
    shown = {event.sent_ns for event in piece.events}
    meant = [at_ns for at_ns, sent_ns in sends if sent_ns in shown]
    # All that was meant for the last instant belongs to it, in whatever order it was sent.
    sends = [each for each in sends if meant[0] - 2 * window_ns <= each[0] <= meant[-1]]
    steps, hint = _bursts(sends, shown, max(1, window_ns // _BURST_PARTS))
    began_ns = sends[0][0]
    recipe = Recipe(
        Schedule(tuple((at_ns - began_ns, count) for at_ns, count in steps)),
        connections=_connections(log.metadata, piece.key),
        others=_others(
            log, piece.key, sends[0][1], steps[-1][0], max(1, window_ns // _OTHERS_PARTS)
        ),
        phase=_phase(log.metadata, began_ns, window_ns),
    )
    least = piece.allowed + 1 if piece.claim == OVER_ADMISSION else 1
    return Trace(piece, recipe, window_ns, hint, least)


def _window_ns(piece: Evidence, policy: Policy) -> int:
    """The window of the quota: of a violation over several windows, the whole part."""
    windows = [quota.window_ns for quota in policy.quotas]
    return max((ns for ns in windows if ns <= piece.window_ns), default=min(windows))


def _bursts(
    sends: list[tuple[int, int]], shown: set[int], within_ns: int
) -> tuple[list[tuple[int, int]], frozenset[int]]:
    """Requests that lie close together as one step each; which of them show the violation."""
    steps: list[tuple[int, int]] = []
    hint: set[int] = set()
    for at_ns, sent_ns in sends:
        if steps and (at_ns - steps[-1][0] < within_ns or len(steps) == _MOST_STEPS):
            steps[-1] = (steps[-1][0], steps[-1][1] + 1)
        else:
            steps.append((at_ns, 1))
        if sent_ns in shown:
            hint.add(len(steps) - 1)
    return steps, frozenset(hint)


def _connections(metadata: dict[str, Any], key: bytes) -> int:
    """Count the connections that the client of this key owned; 1 where that is not known."""
    scenario = metadata.get("scenario") or {}
    number = 0
    for group in scenario.get("groups", ()):
        for _ in range(group["clients"]):
            if identity_of(scenario["namespace"], number) == key:
                return int(group["connections"])
            number += 1
    return 1


def _others(
    log: EventLog, key: bytes, since_ns: int, until_ns: int, grid_ns: int
) -> Schedule | None:
    """Other clients meanwhile, where they are so many that a store may have forgotten ours."""
    codes, words = log.codes("key")
    first: dict[int, int] = {}
    for code, sent_ns in zip(codes, log.ints("sent_ns"), strict=True):
        if since_ns <= sent_ns < until_ns and words[code] != key:
            first[code] = min(sent_ns, first.get(code, sent_ns))
    if len(first) < _FORGETTING:
        return None
    at_ns = (min(first.values()) - since_ns) // grid_ns * grid_ns
    return Schedule(((at_ns, len(first)),)) if since_ns + at_ns < until_ns else None


def _phase(metadata: dict[str, Any], began_ns: int, window_ns: int) -> Phase | None:
    epoch_ns, start_ns = metadata.get("epoch_ns"), metadata.get("start_ns")
    if epoch_ns is None or start_ns is None:
        return None
    return Phase((epoch_ns + began_ns - start_ns) % window_ns, window_ns)


def book(policy: Policy, window_ns: int, least: int) -> list[Recipe]:
    """Short recipes that may do the same: the first requests of each attack on a quota.

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
