"""By which statuses a log's limiter says no, and outcomes that follow from others."""

from array import array
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rateproof.events.columns import NULL
from rateproof.events.log import (
    OUTCOMES,
    REJECTED_STATUSES,
    UNKNOWN,
    EventLog,
    outcome_of,
)


def noted_statuses(metadata: Mapping[str, Any]) -> frozenset[int] | None:
    """The statuses by which the limiter says no, as a log's scenario has them; None: it has none."""
    scenario = metadata.get("scenario")
    noted = scenario.get("rejected_statuses") if isinstance(scenario, dict) else None
    if not isinstance(noted, list) or not all(isinstance(status, int) for status in noted):
        return None
    return frozenset(noted)


def rejected_statuses(log: EventLog) -> frozenset[int]:
    """The statuses by which the limiter says no: those noted, or else 429 and 503.

    A log of another tool with outcomes of its own may have gone by others.
    """
    noted = noted_statuses(log.metadata)
    return REJECTED_STATUSES if noted is None else noted


def declines(status: int | None) -> bool:
    """True if an answer gives something else than what was asked for."""
    return status is not None and status >= 300


def listed(statuses: Collection[int]) -> str:
    """Statuses as `--rejected` takes them: `429,503`."""
    return ",".join(map(str, sorted(statuses)))


def outcomes(
    statuses: Sequence[int], rejected: Collection[int], undecided: Collection[int] = ()
) -> tuple["array[int]", list[str]]:
    """The outcomes of statuses, as a column of words.

    Args:
        statuses: as a log stores them.
        rejected: the statuses by which the limiter says no; see `outcome_of`.
        undecided: those of requests that it may never have seen.
    """
    doubted = {NULL, *undecided}.difference(rejected)
    code_of = {
        status: OUTCOMES.index(outcome_of(None if status in doubted else status, rejected))
        for status in set(statuses)
    }
    return array("i", map(code_of.__getitem__, statuses)), list(OUTCOMES)


def _doubting(log: EventLog, undecided: Collection[int]) -> EventLog:
    """The same log in which answers of these statuses decide nothing."""
    if not undecided:
        return log
    codes, words = log.codes("outcome")
    words = words if UNKNOWN in words else [*words, UNKNOWN]
    doubt, rows = words.index(UNKNOWN), zip(log.ints("status"), codes, strict=True)
    told = array("i", [doubt if status in undecided else code for status, code in rows])
    doubted = log.with_column("outcome", (told, words))
    doubted.metadata["undecided_statuses"] = sorted(undecided)
    return doubted


def known_clients_only(log: EventLog) -> EventLog:
    """The same log without the answers to keys of a file that the server does not know, such as 401.

    Among answers to keys that it knows they are no admissions, unless its metadata names them
    as such, by `admitted_statuses`. A log whose scenario has no keys of a file stays as it is.
    """
    scenario, admitted = log.metadata.get("scenario"), log.metadata.get("admitted_statuses")
    if not isinstance(scenario, dict) or "own_keys" not in scenario:
        return log
    known = rejected_statuses(log).union(admitted if isinstance(admitted, list) else ())
    return _doubting(log, {one for one in log.distinct("status") if 300 <= one < 500} - known)


def derived(log: EventLog, rejected: Collection[int]) -> EventLog:
    """The same log with the outcome of every row as it follows from its status.

    Outcomes that it had are given up. The statuses are noted where a scenario has them.
    """
    scenario = log.metadata.get("scenario")
    noted = scenario if isinstance(scenario, dict) else {}
    undecided = log.metadata.get("undecided_statuses", ())
    told = log.with_column("outcome", outcomes(log.ints("status"), rejected, undecided))
    told.metadata["scenario"] = noted | {"rejected_statuses": sorted(rejected)}
    return told
