"""Starts for shrinking: the requests of the client that shows a violation, or of an attack."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from rateproof.events import ADMITTED, EventLog
from rateproof.hunt.exploration.attacks import FAMILIES, attack
from rateproof.hunt.recipe import Phase, Recipe
from rateproof.hunt.rig import rows_of
from rateproof.hunt.shrinking.edits import GRIDS, Draft, grain_ns
from rateproof.policy import Policy
from rateproof.prove import OVER_ADMISSION, Evidence, Verdict
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.identities import identity_of

_BURST_PARTS = 100
_OTHERS_PARTS = 100
_MOST_STEPS = 400
_AS_SHORT_AS_SEEN = {"chain", "late", "tick"}
_EDGE_PARTS = 50
_DRIP_PARTS = 10  # its edge is shared by as many drips as the limit, and is to be above latency


@dataclass(frozen=True, slots=True)
class Trace:
    """The requests that the client of a piece of evidence had sent until then, as bursts.

    Args:
        evidence: the violation.
        starts: all that it sent within two windows before; those of them that were admitted
            or are evidence; the evidence alone.
        window_ns: of the quota that was violated.
        least: requests without which there is no such violation.
    """

    evidence: Evidence
    starts: tuple[Recipe, ...]
    window_ns: int
    least: int


def retrace(log: EventLog, verdict: Verdict, policy: Policy, claim: str) -> list[Trace]:
    """The clients that show a violation of a claim, those with the fewest requests first."""
    pieces = {piece.key: piece for piece in verdict.evidence if piece.claim == claim}
    traces = [
        _trace(log, pieces[key], policy, rows) for key, rows in rows_of(log, list(pieces)).items()
    ]
    return sorted(traces, key=lambda trace: trace.starts[0].requests)


def _trace(log: EventLog, piece: Evidence, policy: Policy, rows: list[int]) -> Trace:
    windows = [quota.window_ns for quota in policy.quotas]
    # Of a violation over several windows, the whole part.
    window_ns = max((ns for ns in windows if ns <= piece.window_ns), default=min(windows))
    shown = Counter((event.sent_ns, event.received_ns, event.outcome) for event in piece.events)
    sends: list[tuple[int, int, bool, bool]] = []
    for event in (log[row] for row in rows):
        what = (event.sent_ns, event.received_ns, event.outcome)
        at_ns = event.sent_ns if event.intended_ns is None else event.intended_ns
        told = shown[what] > 0
        shown[what] -= told
        sends.append((at_ns, event.sent_ns, told or event.outcome == ADMITTED, told))
    sends.sort()
    meant = [at_ns for at_ns, _, _, told in sends if told]
    # All that was meant for the last instant belongs to it, in whatever order it was sent.
    sends = [each for each in sends if meant[0] - 2 * window_ns <= each[0] <= meant[-1]]
    began_ns, shortest_ns = sends[0][0], min(windows)
    grid_ns, burst_ns = (grain_ns(shortest_ns, parts) for parts in (GRIDS[-1], _BURST_PARTS))
    steps: list[tuple[int, list[int]]] = []
    for at_ns, _, admitted, told in sends:
        after_ns = (at_ns - began_ns) // grid_ns * grid_ns
        full = len(steps) == _MOST_STEPS
        if not steps or (after_ns - steps[-1][0] >= burst_ns and not full):
            steps.append((after_ns, [0, 0, 0]))
        for place, counts in enumerate((True, admitted, told)):
            steps[-1][1][place] += counts
    others = _others(
        log,
        piece.key,
        sends[0][1],
        sends[-1][1],
        span_ns=steps[-1][0],
        grid_ns=grain_ns(shortest_ns, _OTHERS_PARTS),
    )
    instants = tuple(at_ns for at_ns, _ in steps)
    drafts = [
        Draft(
            instants,
            tuple(counts[place] for _, counts in steps),
            _connections(log.metadata, piece.key),
            None if place else others,
            _phase(log.metadata, began_ns, window_ns),
        )
        for place in range(3)
    ]
    starts = dict.fromkeys(filter(None, (draft.recipe() for draft in drafts)))
    least = piece.allowed + 1 if piece.claim == OVER_ADMISSION else 1
    return Trace(piece, tuple(starts), window_ns, least)


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
    log: EventLog, key: bytes, since_ns: int, until_ns: int, *, span_ns: int, grid_ns: int
) -> Schedule | None:
    """Other clients meanwhile: a store may have forgotten ours, or counted them in its place.

    Those who came while the last requests were sent came with them.
    """
    codes, words = log.codes("key")
    first: dict[int, int] = {}
    for code, sent_ns in zip(codes, log.ints("sent_ns"), strict=True):
        if since_ns <= sent_ns < until_ns and words[code] != key:
            first[code] = min(sent_ns, first.get(code, sent_ns))
    if not first:
        return None
    came_ns = sorted(first.values())[len(first) // 10]  # some are always there
    at_ns = (came_ns - since_ns) // grid_ns * grid_ns
    return Schedule(((min(at_ns, span_ns), len(first)),))


def _phase(metadata: dict[str, Any], began_ns: int, window_ns: int) -> Phase | None:
    epoch_ns, start_ns = metadata.get("epoch_ns"), metadata.get("start_ns")
    if epoch_ns is None or start_ns is None:
        return None
    grid_ns = grain_ns(window_ns, GRIDS[-1])
    at_ns = (epoch_ns + began_ns - start_ns) % window_ns
    return Phase(at_ns // grid_ns * grid_ns, window_ns)


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
        if family not in _AS_SHORT_AS_SEEN
    }
    whole = [attack(name, policy, number, edge_ns).recipe for name, edge_ns in edges_ns.items()]
    few = max(least, policy.quotas[number].limit + 1)
    cut = dict.fromkeys(_first(count, recipe) for count in (few, few + 1) for recipe in whole)
    return [recipe for recipe in cut if recipe.requests >= least]


def _first(count: int, recipe: Recipe) -> Recipe:
    steps = []
    for at_ns, requests in recipe.schedule.steps:
        if count > 0:
            steps.append((at_ns, min(requests, count)))
        count -= requests
    return Recipe(Schedule(tuple(steps)), recipe.connections)
